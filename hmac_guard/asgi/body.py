"""Reads the body of an ASGI request, within bounds of size and time, and gives the application the same bytes.

Rules: threats T049 to T053.
"""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any

from hmac_guard.asgi.deadline import is_in_cancelled_scope, within
from hmac_guard.core.bodies import TOO_LARGE, read_length
from hmac_guard.core.reader import Reader
from hmac_guard.core.request import LAYER_RAISED, Request
from hmac_guard.core.verdict import Reason, Refused

DEADLINE = 10.0

_TOO_LATE = Refused(Reason.BODY_TIMEOUT, f"the body did not arrive within {DEADLINE:.0f} seconds")
_CUT_OFF = Refused(Reason.BAD_FRAMING, "the client closed the connection, or the server failed, before the body ended")
_NO_BODY = Refused(Reason.MALFORMED, "a websocket has no body, and the scheme signs the body")
_OTHER_LENGTH = Refused(Reason.BAD_FRAMING, "the body is not as long as its Content-Length says")

#: The type of a message that holds the exception of a layer outside of the guard.
_OUTER_ERROR = "hmac_guard.raises"
_PROBLEM_OF_END = {"http.disconnect": _CUT_OFF, _OUTER_ERROR: LAYER_RAISED}


def take_body(
    scope: Any, request: Request, reader: Reader, receive: Any, limit: int
) -> Coroutine[Any, Any, None] | None:
    """Read as much of the body as the reader needs, into `request.body` or `request.body_problem`.

    If anything was read, `request.stream` has the messages that the application receives first: its `receive` is
    `partial(replay, request.stream, receive)`. The request does not refer to `receive`. A server's `receive` refers to
    the scope, and the scope keeps the request: only the garbage collector would free them.

    Args:
        scope: The scope.
        request: The request.
        reader: The reader.
        receive: The server's `receive`.
        limit: The most bytes that are read.

    Returns:
        None, or a coroutine that waits for the body.
    """
    if reader.signs_body and reader.refuses_ahead(request):
        return None
    if scope["type"] != "http":
        request.body, request.body_problem = b"", _NO_BODY if reader.signs_body else None
        return None
    wants_all = reader.wants_all_of(request)
    length = length_of(request, limit if wants_all else None)
    if isinstance(length, Refused):
        request.body_problem = length
        return None
    rest = within(DEADLINE, _read(request, None if wants_all else reader, receive, limit, length))
    return None if rest is None else _read_in_time(rest, request)


def length_of(request: Request, limit: int | None) -> int | Refused | None:
    """Return the Content-Length; None if the request has none, a `Refused` if it is not valid or over the limit."""
    _, announced, _, transfer_encoding = request.framing
    length = read_length(announced, transfer_encoding)
    is_over = limit is not None and isinstance(length, int) and length > limit
    return TOO_LARGE if is_over else length


async def _read_in_time(rest: Coroutine[Any, Any, None], request: Request) -> None:
    try:
        await rest
    except asyncio.TimeoutError:
        request.body_problem = _TOO_LATE


async def _read(request: Request, reader: Reader | None, receive: Any, limit: int, length: int | None) -> None:
    """Read to the end. With a `reader`, read until the body shows whether it counts as absent."""
    # Also after the deadline: in report mode the application gets the bytes that have arrived.
    request.stream = pending = []
    try:
        message = await _received(receive)
        body = message.get("body")
        is_whole = type(body) is bytes and len(body) == (length or 0) and message.get("more_body") is False
        if is_whole and (reader is None or not body) and message["type"] == "http.request":
            # The quick way: most servers send no body, or a small one, in one message.
            pending.append(message)
            request.body = body
            return
        start = None if reader is None else (reader, request)
        problem = await _collect([message], receive, pending, start, limit)
    except asyncio.TimeoutError:
        problem = _TOO_LATE
    except Exception:  # A server's own error while it reads: the body did not arrive whole.
        problem = _CUT_OFF
    if problem is None and not pending[0]["more_body"]:
        content = pending[0]["body"]
        if length is None or length == len(content):
            request.body = content
        else:
            problem = _OTHER_LENGTH
    request.body_problem = problem
    if len(pending) > 1:
        request.broke_off = True
        request.outer_error = pending[-1]["error"] if problem is LAYER_RAISED else None


async def _received(receive: Any) -> Any:
    """Return the next message.

    An exception of a layer outside of the guard becomes a message, which `replay` raises: the layer may answer the
    request when it catches its exception. An `OSError` or a time-out is the server's, and the body did not arrive.
    """
    try:
        return await receive()
    except (OSError, asyncio.TimeoutError):
        raise
    except Exception as error:
        return {"type": _OUTER_ERROR, "error": error}


async def _collect(
    first: list[Any], receive: Any, pending: list[Any], start: "tuple[Reader, Request] | None", limit: int
) -> Refused | None:
    """Read to the end. With a `start`, read until the body shows whether it counts as absent.

    `first` has the first message. `pending` gets the messages that the application receives later: the body so far,
    and the disconnect of the client or the exception of a layer outside of the guard.
    """
    pieces: list[bytes] = []
    size, has_started, more = 0, False, True
    problem = end = None
    try:
        while more and problem is None:
            message = first.pop() if first else await _received(receive)
            if message["type"] != "http.request":
                end = message if message["type"] in _PROBLEM_OF_END else None
                return _PROBLEM_OF_END.get(message["type"], _CUT_OFF)
            piece = message.get("body") or b""
            if piece:
                pieces.append(piece if type(piece) is bytes else bytes(memoryview(piece)))
                size += len(pieces[-1])
            has_started = True
            more = bool(message.get("more_body", False))
            if start is not None and piece:
                # One piece at a time: the bytes before the first byte of JSON do not matter.
                reader, request = start
                problem = reader.refuse_start(request, pieces[-1])
                if reader.knows_start(pieces[-1]):
                    break
            if size > limit and problem is None:
                problem = TOO_LARGE
    finally:
        # Also after the deadline: in report mode the application gets the bytes that have arrived.
        if has_started or end is not None:
            content = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pending.append({"type": "http.request", "body": content, "more_body": more})
        if end is not None:
            pending.append(end)
    return problem


async def replay(pending: list[Any], receive: Any) -> Any:
    """Return the next message for the application: each one that was read once, and then those of the server.

    A repeated body or an invented disconnect would freeze a streaming application, or cut it off. Starlette looks in a
    cancelled scope whether the client has disconnected. A message that it gets there without a wait is lost, so it gets
    none of the body, and after a whole body a message of the server, which is kept.
    """
    if pending and is_in_cancelled_scope():
        if pending[-1]["type"] == "http.request" and not pending[-1].get("more_body"):
            pending.append(await receive())
        if pending[-1]["type"] != "http.disconnect":
            from anyio.lowlevel import checkpoint

            await checkpoint()
        return pending[-1]
    if not pending:
        return await receive()
    if pending[0]["type"] == _OUTER_ERROR:
        raise pending.pop(0)["error"]
    return pending.pop(0)


def replays(receive: Any, request: Request) -> bool:
    """Return whether this `receive` replays the messages that were read for a request."""
    is_ours = isinstance(receive, partial) and receive.func is replay
    return is_ours and receive.args[0] is request.stream
