"""A client that decides about every byte and every moment itself. Answers are read by h11."""

import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import h11
from support import Sent

TIMEOUT = 20.0


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def head(sent: Sent, *more: tuple[str, str]) -> bytes:
    """The request line and the headers."""
    target = sent.path + (f"?{sent.query}" if sent.query else "")
    lines = [f"{sent.method} {target} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in (*sent.all_headers(), *more)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def chunked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield b"%x\r\n%s\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


class Connection:
    """One TCP connection to a server on this machine."""

    def __init__(self, port: int, timeout: float = TIMEOUT) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self._parser = h11.Connection(h11.CLIENT)

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def finish(self) -> None:
        """Say that nothing more will be sent."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def is_closed(self) -> bool:
        """Whether the server closes the connection. What it still sends before is ignored."""
        try:
            while self._socket.recv(65_536):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True

    def ask(self, sent: Sent) -> Answer:
        self.send(head(sent) + sent.body)
        return self.answer(sent.method)

    def answer(self, method: str = "GET") -> Answer:
        """The next final answer. Raises `EOFError` if the server closed the connection, and `TimeoutError` if no answer
        has started; then it can be called again."""
        if self._parser.their_state is h11.DONE:
            self._parser.start_next_cycle()
        if self._parser.our_state is h11.IDLE:
            # The parser has to know the method; what was sent is not its concern.
            self._parser.send(h11.Request(method=method, target="/", headers=[("Host", "127.0.0.1")]))
            self._parser.send(h11.EndOfMessage())
        elif self._parser.their_state is not h11.SEND_RESPONSE:
            raise EOFError
        response, body = None, b""
        while True:
            event = self._parser.next_event()
            if event is h11.NEED_DATA:
                received = self._socket.recv(65_536)
                if not received and response is None:
                    raise EOFError
                self._parser.receive_data(received)
            elif isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif response is not None and isinstance(event, (h11.EndOfMessage, h11.ConnectionClosed)):
                headers = {name.decode().lower(): value.decode("latin-1") for name, value in response.headers}
                return Answer(response.status_code, headers, body)

    def interim(self) -> int:
        """The status of the next answer, of which only the head is read: 100, 101, or a refusal in their place."""
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            data += self._exactly(1)
        return int(data.split(b" ", 2)[1])

    def text_frame(self) -> bytes:
        """The payload of the next websocket frame, a text of less than 126 bytes."""
        kind, length = self._exactly(2)
        assert (kind, length < 126) == (0x81, True)
        return self._exactly(length)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            received = self._socket.recv(size - len(data))
            if not received:
                raise EOFError
            data += received
        return data
