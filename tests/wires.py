"""Connections that can be cut or delayed, and a Redis that can be stopped."""

import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import pytest
from ports import LOCAL, accepts, own_port
from waiting import TIMEOUT, becomes_true


class Wire:
    """A port that forwards to another port."""

    def __init__(self, port: int, target: tuple[str, int]) -> None:
        self.port = port
        self._target = target
        self._flowing = threading.Event()
        self._flowing.set()
        self._ends: set[socket.socket] = set()
        self._lost: set[socket.socket] = set()
        self._ended: set[socket.socket] = set()
        self.restore()

    def cut(self) -> None:
        """Break every connection and refuse new ones."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()
        self.drop()

    def drop(self) -> None:
        """Break every connection, like a server that restarts."""
        for end in list(self._ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def restore(self) -> None:
        self._listener = socket.create_server((LOCAL, self.port))
        self._accepting = threading.Thread(target=self._accept, args=[self._listener], daemon=True)
        self._accepting.start()

    def hold(self) -> None:
        """Stop forwarding without breaking connections."""
        self._flowing.clear()

    def release(self) -> None:
        self._flowing.set()

    def lose(self) -> None:
        """Let nothing more through the connections that there are, and break none, as a firewall does that forgot
        them; new ones work."""
        self._lost |= self._ends

    def end_when_used(self) -> None:
        """Break each connection that there is when something is sent through it. Before, its ends do not notice."""
        self._ended |= self._ends

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(self._target)
                self._ends |= {near, far}
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                self._flowing.wait()
                if source in self._ended:
                    break
                if source not in self._lost:
                    target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()
        self._ends.discard(source)


@contextmanager
def wire_to(host: str, port: int) -> Iterator[Wire]:
    with own_port() as near:
        wire = Wire(near, (host, port))
        try:
            yield wire
        finally:
            wire.release()
            with suppress(OSError):
                wire.cut()


class RedisServer:
    """A separate redis-server. `words` stand before its settings, which may be more than a port."""

    def __init__(self, port: int, words: Sequence[str] = (), **settings: str) -> None:
        self.port = port
        self.url = f"redis://{LOCAL}:{port}/0"
        self._words, self._settings = words, settings
        self.start()

    def start(self) -> None:
        settings = {"port": str(self.port), "bind": LOCAL, "dir": tempfile.gettempdir(), **self._settings}
        if not self._words:
            settings |= {"save": "", "appendonly": "no"}
        options = [word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", value)]
        self._process = subprocess.Popen(["redis-server", *self._words, *options], stdout=subprocess.DEVNULL)
        assert becomes_true(lambda: accepts(self.port)), "redis-server does not answer"

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(TIMEOUT)


@contextmanager
def own_redis(words: Sequence[str] = (), **settings: str) -> Iterator[RedisServer]:
    if shutil.which("redis-server") is None:
        pytest.skip("not run: there is no redis-server")
    with own_port() as port:
        server = RedisServer(port, words, **settings)
        try:
            yield server
        finally:
            server.stop()
