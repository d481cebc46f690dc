"""WSGI only: framing and replay of bodies, threads and exceptions."""

import asyncio
import io
import random
import threading
import zlib
from asyncio import IncompleteReadError
from collections.abc import Callable, Iterable
from copy import deepcopy
from gzip import GzipFile, compress
from tempfile import SpooledTemporaryFile, TemporaryFile
from traceback import walk_tb
from typing import Any

import pytest
from secrecy import texts_of
from support import Sent, environ_for, request_of
from werkzeug.exceptions import ClientDisconnected
from werkzeug.middleware.lint import LintMiddleware
from werkzeug.test import Client

from hmac_guard import Guard, Header, Json, Key, Keyring, Path, Query, Reason, Scheme, Verdict, verdict_from
from hmac_guard.decider import decider_of
from hmac_guard.guard import Mode

KEY = "a key that is long enough"
SCHEME = Scheme(name="one", ids={"a": Json("/a") | Query("a")}, message="{a}", signature=Query("sig"))
QUERY = f"sig={SCHEME.sign(KEY, a='x')}"
BODY = b'{"a": "x"}'


class Stream:
    """An input stream that returns given chunks and records the calls."""

    def __init__(self, *pieces: bytes | BaseException) -> None:
        self.pieces = list(pieces)
        self.asked: list[int] = []

    def read(self, size: int) -> bytes:
        self.asked.append(size)
        if not self.pieces:
            return b""
        piece = self.pieces.pop(0)
        if isinstance(piece, BaseException):
            raise piece
        if len(piece) > size:
            self.pieces.insert(0, piece[size:])
        return piece[:size]

    def __repr__(self) -> str:
        return f"Stream{tuple(self.pieces)}"


def environ(stream: Any, **more: Any) -> dict[str, Any]:
    made = environ_for(Sent("POST", query=QUERY, headers=[("Content-Type", "application/json")]))
    return {**made, "wsgi.input": stream, **more}


def run(guard: Guard, environ: dict[str, Any]) -> tuple[int, list[Any], bytes]:
    """Return the status, the verdict and the body that the application got, and the body of the answer."""
    seen: list[Any] = []
    statuses: list[str] = []

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        length = environ.get("CONTENT_LENGTH")
        stream = environ["wsgi.input"]
        seen.extend([verdict_from(environ), stream.read(int(length)) if length else stream.read(-1)])
        start_response("200 OK", [])
        return [b"reached"]

    answer = b"".join(guard.wsgi(app)(environ, lambda status, headers: statuses.append(status)))  # type: ignore[arg-type]
    return int(statuses[0][:3]), seen, answer


GUARD = Guard(SCHEME, KEY, max_body=100)


@pytest.mark.parametrize(
    "pieces", [[BODY], [BODY[:3], BODY[3:]], [BODY[i : i + 1] for i in range(len(BODY))]], ids=["whole", "two", "bytes"]
)
@pytest.mark.parametrize("framing", ["length", "end", "length and end"])
def test_a_body_in_chunks_is_read_completely_and_replayed(pieces: list[bytes], framing: str) -> None:
    stream = Stream(*pieces)
    more: dict[str, Any] = {"wsgi.input_terminated": True} if "end" in framing else {}
    if "length" in framing:
        more["CONTENT_LENGTH"] = str(len(BODY))
    else:
        more["HTTP_TRANSFER_ENCODING"] = "chunked"
    made = environ(stream, **more)
    status, seen, _ = run(GUARD, made)

    assert (status, seen[0].reason, seen[1]) == (200, Reason.VERIFIED, BODY)
    assert made["CONTENT_LENGTH"] == str(len(BODY))
    assert "HTTP_TRANSFER_ENCODING" not in made
    assert all(0 < size <= 101 for size in stream.asked)
    if framing == "length":
        assert sum(stream.asked) <= len(BODY) * (len(BODY) + 1)


def test_without_a_length_and_a_terminated_input_the_stream_is_not_read() -> None:
    """T045: on two servers, such a read hangs."""
    stream = Stream(BODY)
    status, seen, _ = run(GUARD, environ(stream))

    assert (status, seen, stream.asked) == (401, [], [])


def test_a_body_that_is_empty_for_the_guard_is_empty_for_the_application() -> None:
    """The raw connection would return unverified ids to the application, or hang."""
    stream = Stream(b'{"a": "another"}')
    status, seen, _ = run(GUARD, environ(stream, QUERY_STRING=f"{QUERY}&a=x"))

    assert (status, seen[1], stream.asked) == (200, b"", [])


@pytest.mark.parametrize(
    ("more", "is_left"),
    [({}, True), ({"CONTENT_LENGTH": "0"}, True), ({"CONTENT_LENGTH": "10"}, False)],
    ids=["no length", "length 0", "a body"],
)
def test_a_websocket_takes_its_connection_from_the_input_without_a_body(more: dict[str, str], is_left: bool) -> None:
    """simple_websocket takes `wsgi.input.raw` on gevent, which gives the raw connection for an upgrade."""
    stream = io.BufferedReader(io.BytesIO(BODY))
    made = environ(stream, **more, **{"wsgi.input_terminated": False, "QUERY_STRING": QUERY + "&a=x" * is_left})
    status, seen, _ = run(GUARD, made)

    assert (status, seen[1]) == (200, b"" if is_left else BODY)
    assert getattr(made["wsgi.input"], "raw", None) is (stream.raw if is_left else None)


@pytest.mark.parametrize(
    ("stream", "more"),
    [
        (Stream(BODY[:5]), {"CONTENT_LENGTH": "10"}),
        (Stream(BODY + b" "), {"CONTENT_LENGTH": "10", "wsgi.input_terminated": True}),
        (Stream(BODY[:5], OSError()), {"CONTENT_LENGTH": "10"}),
        (Stream(ValueError()), {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}),
        (Stream(BODY), {"CONTENT_LENGTH": "10", "HTTP_TRANSFER_ENCODING": "chunked"}),
        (Stream(BODY), {"HTTP_TRANSFER_ENCODING": "chunked"}),
        *(
            (Stream(BODY), {"CONTENT_LENGTH": length})
            for length in ("+10", "0x5", "1_0", "\uff11\uff10", "\xb2", "-1", "9" * 19)
        ),
    ],
    ids=repr,
)
def test_a_body_with_wrong_framing_is_400(stream: Stream, more: dict[str, Any]) -> None:
    status, seen, _ = run(GUARD, environ(deepcopy(stream), **more))

    assert (status, seen) == (400, [])


def test_a_blank_length_counts_as_missing() -> None:
    status, seen, _ = run(GUARD, environ(Stream(), CONTENT_LENGTH="", QUERY_STRING=f"{QUERY}&a=x"))

    assert (status, seen[0].ids) == (200, {"a": "x"})


def test_a_length_of_eighteen_digits_is_valid() -> None:
    assert run(GUARD, environ(Stream(BODY), CONTENT_LENGTH="9" * 18))[0] == 413


@pytest.mark.parametrize(
    ("twin", "status"),
    [
        ({"HTTP_CONTENT_TYPE": "text/json"}, 415),
        ({"HTTP_CONTENT_LENGTH": "11"}, 400),
        ({"HTTP_CONTENT_TYPE": "application/json", "HTTP_CONTENT_LENGTH": "10"}, 200),
        ({"HTTP_CONTENT_LENGTH": 10}, 200),
        ({"CONTENT_LENGTH": 10}, 200),
    ],
    ids=repr,
)
def test_an_equal_type_or_length_in_another_spelling_is_not_a_duplicate(twin: dict[str, Any], status: int) -> None:
    assert run(GUARD, environ(Stream(BODY), **{"CONTENT_LENGTH": "10", **twin}))[0] == status


def test_a_type_that_only_has_another_spelling_is_not_the_type_of_the_body() -> None:
    sent = environ(Stream(BODY), CONTENT_LENGTH="10", HTTP_CONTENT_TYPE="application/json")
    del sent["CONTENT_TYPE"]

    assert run(GUARD, sent)[0] == 415
    assert run(GUARD, {**sent, "CONTENT_LENGTH": "0", "QUERY_STRING": "a=x&" + QUERY})[0] == 200


def test_the_mount_point_is_not_part_of_the_path() -> None:
    scheme = Scheme(name="path", ids={"a": Path("/orgs/{a}")}, message="{a}", signature=Query("sig"))
    sent = environ_for(Sent(path="/orgs/x", query=QUERY))

    assert run(Guard(scheme, KEY), {**sent, "SCRIPT_NAME": "/api"})[0] == 200


def test_a_body_with_a_length_over_the_limit_is_413_and_unread() -> None:
    stream = Stream(b" " * 200)

    assert run(GUARD, environ(stream, CONTENT_LENGTH="101"))[0] == 413
    assert stream.asked == []


def test_a_body_over_the_limit_is_413_and_not_read_much_further() -> None:
    stream = Stream(*[b" " * 60] * 100)

    assert run(GUARD, environ(stream, **{"wsgi.input_terminated": True}))[0] == 413
    assert len(stream.pieces) >= 98


def test_a_body_of_exactly_the_limit_is_read() -> None:
    body = b'{"a": "x"}'.ljust(100)

    assert run(GUARD, environ(Stream(body), CONTENT_LENGTH="100"))[1][1] == body
    assert run(GUARD, environ(Stream(body), **{"wsgi.input_terminated": True}))[1][1] == body


@pytest.mark.parametrize(
    ("stream", "more", "reason"),
    [
        (Stream(b"x" * 300), {"CONTENT_LENGTH": "300"}, Reason.BODY_TOO_LARGE),
        (Stream(b"x" * 300), {"wsgi.input_terminated": True}, Reason.BODY_TOO_LARGE),
        (Stream(b"x" * 5), {"CONTENT_LENGTH": "10"}, Reason.BAD_FRAMING),
    ],
    ids=["with a length", "streamed", "truncated"],
)
def test_report_mode_replays_the_read_part_and_the_rest(stream: Stream, more: Any, reason: Reason) -> None:
    total = b"".join(piece for piece in stream.pieces if isinstance(piece, bytes))
    status, seen, _ = run(Guard(SCHEME, KEY, max_body=100, mode="report"), environ(deepcopy(stream), **more))

    assert (status, seen[0].reason, seen[1]) == (200, reason, total)


@pytest.mark.parametrize("mode", ["enforce", "report"])
@pytest.mark.parametrize("make", [io.BytesIO, TemporaryFile, SpooledTemporaryFile], ids=lambda make: make.__name__)
def test_a_seekable_stream_is_left_to_the_application(make: Any, mode: Mode) -> None:
    """WebOb, and so Pyramid, seeks in a stream that an outer layer of WebOb has made seekable."""
    sent, stream = b"x" * 3000, make()
    stream.write(b"before" + sent)
    stream.seek(6)
    upload = {"CONTENT_TYPE": "image/png", "CONTENT_LENGTH": "3000"}
    made = environ(stream, **(upload if mode == "enforce" else {"wsgi.input_terminated": True}))
    seen: list[Any] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        seen.extend([environ["wsgi.input"] is stream, environ["wsgi.input"].read()])
        return []

    Guard(SCHEME, KEY, max_body=1000, mode=mode).wsgi(app)(
        {**made, "QUERY_STRING": QUERY + "&a=x"},
        lambda *_: None,  # type: ignore[arg-type]
    )

    stream.close()
    assert seen == [True, sent]


class SaysSeekable(io.BytesIO):
    """It fails as a `GzipFile` does over the stream of a server."""

    def seek(self, *where: int) -> int:
        raise io.UnsupportedOperation


def unzipped(body: bytes) -> GzipFile:
    stream: Any = Stream(compress(body))
    return GzipFile(fileobj=stream)


@pytest.mark.parametrize("make", [unzipped, SaysSeekable])
def test_a_stream_that_cannot_seek_although_it_says_so_is_replayed(make: Any) -> None:
    body = random.Random(1).randbytes(70_000)
    read: list[bytes] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        read.append(environ["wsgi.input"].read())
        return []

    made = environ(make(body), **{"wsgi.input_terminated": True})
    Guard(SCHEME, KEY, max_body=50_000, mode="report").wsgi(app)(made, lambda *_: None)  # type: ignore[arg-type]

    assert read == [body]


def test_report_mode_replays_more_than_one_buffer() -> None:
    body = b"x" * 3 * io.DEFAULT_BUFFER_SIZE
    read: list[bytes] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        read.extend(iter(lambda: environ["wsgi.input"].read(1000), b""))
        return []

    made = environ(Stream(body), CONTENT_LENGTH=str(len(body) + 1))
    Guard(SCHEME, KEY, mode="report").wsgi(app)(made, lambda *_: None)  # type: ignore[arg-type]

    assert b"".join(read) == body


def test_report_mode_replays_one_byte_over_the_limit() -> None:
    stream = Stream(BODY + b"yz")
    made = environ(stream, CONTENT_LENGTH="10", **{"wsgi.input_terminated": True})
    read: list[bytes] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        read.append(environ["wsgi.input"].read())
        return []

    Guard(SCHEME, KEY, mode="report").wsgi(app)(made, lambda *_: None)  # type: ignore[arg-type]

    assert (read, stream.asked) == ([BODY + b"y"], [11])


def test_report_mode_replays_at_most_the_content_length() -> None:
    """If a server passes the raw connection, the next request follows the body."""
    stream = Stream(BODY[:3], OSError("reset"), b"y" * 20)
    read: list[bytes] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        read.append(environ["wsgi.input"].read())
        return []

    Guard(SCHEME, KEY, mode="report").wsgi(app)(environ(stream, CONTENT_LENGTH="10"), lambda *_: None)  # type: ignore[arg-type]

    assert read == [BODY[:3] + b"y" * 7]


def test_report_mode_passes_errors_of_the_server_to_the_application() -> None:
    stream = Stream(BODY[:3], OSError("reset"), OSError("reset"))

    with pytest.raises(OSError, match="reset"):
        run(Guard(SCHEME, KEY, mode="report"), environ(stream, CONTENT_LENGTH="10"))


SERVERS: dict[str, Callable[[], Any]] = {
    "gunicorn: the size of a chunk": lambda: pytest.importorskip("gunicorn.http.errors").InvalidChunkSize(b"x"),
    "gunicorn: a trailer": lambda: pytest.importorskip("gunicorn.http.errors").InvalidHeader("x"),
    "cheroot: over its limit": lambda: pytest.importorskip("cheroot.errors").MaxSizeExceeded(),
    "werkzeug": ClientDisconnected,
    "asyncio": lambda: IncompleteReadError(b"", 5),
    "cheroot: the size of a chunk": OverflowError,
    "eventlet": type("ChunkReadError", (ValueError,), {"__module__": "eventlet.wsgi"}),
    "a server that fails": lambda: TypeError("A coroutine object is required"),
    "data that is not compressed": zlib.error,
}


@pytest.mark.parametrize("server", list(SERVERS))
def test_an_exception_of_a_server_for_a_malformed_body_is_400(server: str) -> None:
    assert run(GUARD, environ(Stream(BODY[:3], SERVERS[server]()), CONTENT_LENGTH="10"))[0] == 400


def test_a_time_out_of_the_server_is_408() -> None:
    assert run(GUARD, environ(Stream(BODY[:3], TimeoutError()), CONTENT_LENGTH="10"))[0] == 408


def test_an_environ_without_a_stream_is_503() -> None:
    """It is no exception of a layer, although it is raised where the body is read."""
    assert run(GUARD, environ(None, CONTENT_LENGTH="10"))[0] == 503


class TooLarge(Exception):
    """Raised and caught by a layer outside of the guard that limits bodies."""


@pytest.mark.parametrize("before", [[], [BODY[:3]]], ids=["at once", "after a piece"])
def test_an_exception_of_a_layer_outside_of_the_guard_reaches_it(
    before: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    decisions: list[Any] = []
    error = TooLarge()

    with pytest.raises(TooLarge) as caught:
        run(Guard(SCHEME, KEY, on_decision=decisions.append), environ(Stream(*before, error), CONTENT_LENGTH="10"))

    assert caught.value is error
    assert (decisions, caplog.records) == ([], [])


def test_report_mode_raises_the_exception_of_a_layer_outside_where_the_application_reads() -> None:
    stream = Stream(BODY[:3], TooLarge(), BODY[3:])
    seen: list[Any] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        seen.extend([verdict_from(environ).reason, environ["wsgi.input"].read(3)])
        for _ in range(2):
            with pytest.raises(TooLarge):
                environ["wsgi.input"].read(1)
        return []

    Guard(SCHEME, KEY, mode="report").wsgi(app)(environ(stream, CONTENT_LENGTH="10"), lambda *_: None)  # type: ignore[arg-type]

    assert seen == [Reason.BAD_FRAMING, BODY[:3]]


def test_the_traceback_of_an_exception_of_a_layer_outside_shows_no_part_of_the_body() -> None:
    with pytest.raises(TooLarge) as caught:
        run(GUARD, environ(Stream(BODY[:7], TooLarge()), CONTENT_LENGTH="10"))

    held = [
        each
        for frame, _ in walk_tb(caught.tb)
        if frame.f_globals["__name__"].startswith("hmac_guard.")
        for each in frame.f_locals.items()
    ]
    shown = [name for name, value in held if BODY[:7].decode() in "".join(texts_of(value))]
    carriers = [value for name, value in held if name == "outer"]
    assert (shown, caught.value.__context__) == ([], None)
    assert [carrier.__traceback__ for carrier in carriers] == [None], "the frames of the guard's reading"
    assert [carrier._error for carrier in carriers] == [None], "a circle: its traceback has this frame"


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit()], ids=repr)
def test_a_timeout_of_the_server_during_read_is_not_caught(error: BaseException) -> None:
    """T053: the timeout of gunicorn is a SystemExit. A guard that catches it would answer without the body."""
    with pytest.raises(type(error)):
        run(GUARD, environ(Stream(error), CONTENT_LENGTH="10"))


def test_only_the_start_of_a_body_of_an_unread_type_is_read() -> None:
    content = b"image" * 1000
    stream = Stream(content)
    query = f"{QUERY}&a=x"
    made = environ(stream, CONTENT_LENGTH="5000", CONTENT_TYPE="image/png", QUERY_STRING=query)
    Guard(SCHEME, KEY, max_body=1).wsgi(lambda environ, start: [])(made, lambda *_: None)  # type: ignore[arg-type]

    assert sum(stream.asked) == 512
    assert made["wsgi.input"].read() == content


def test_a_body_with_many_leading_blanks_is_read_in_a_few_steps() -> None:
    content = b" " * 100_000 + b"image"
    stream = Stream(content)
    query = f"{QUERY}&a=x"
    made = environ(stream, CONTENT_LENGTH=str(len(content)), CONTENT_TYPE="image/png", QUERY_STRING=query)
    Guard(SCHEME, KEY).wsgi(lambda environ, start: [])(made, lambda *_: None)  # type: ignore[arg-type]

    assert len(stream.asked) < 12
    assert made["wsgi.input"].read() == content


def test_a_body_is_not_read_if_the_scheme_has_no_source_in_it() -> None:
    stream = Stream(b"image")
    scheme = Scheme(name="query", ids={"a": Query("a")}, message="{a}", signature=Query("sig"))
    made = environ(stream, CONTENT_LENGTH="5", CONTENT_TYPE="application/json", QUERY_STRING=f"{QUERY}&a=x")
    Guard(scheme, KEY).wsgi(lambda environ, start: [])(made, lambda *_: None)  # type: ignore[arg-type]

    assert stream.asked == []
    assert made["wsgi.input"] is stream


def test_the_verdict_names_the_scheme_of_its_guard() -> None:
    """A handle of the same guard uses the verdict, and a handle of another guard decides again."""
    made = environ(Stream(BODY), CONTENT_LENGTH="10")
    run(GUARD, made)
    reader = decider_of("test", GUARD).reader

    judged = [decider_of("test", guard).judged(made, request_of(made, reader)) for guard in (GUARD, Guard(SCHEME, KEY))]
    assert [found and found.verdict for found in judged] == [made["hmac_guard"], None]


@pytest.mark.parametrize(
    "change",
    [
        {"REQUEST_METHOD": "DELETE"},
        {"PATH_INFO": "/other"},
        {"QUERY_STRING": "a=y&sig=0"},
        {"HTTP_X_SIG": "0"},
        {"CONTENT_TYPE": "application/x-www-form-urlencoded"},
        {"HTTP_CONTENT_ENCODING": "gzip"},
        {"hmac_guard": Verdict(Reason.VERIFIED, "one")},
    ],
    ids=repr,
)
def test_a_verdict_is_not_used_for_a_changed_request(change: dict[str, Any]) -> None:
    scheme = SCHEME.replace(signature=Query("sig") | Header("X-Sig"))
    guard = Guard(scheme, KEY)
    made = environ(Stream(BODY), CONTENT_LENGTH="10", HTTP_X_SIG=SCHEME.sign(KEY, a="x"), QUERY_STRING="")
    run(guard, made)
    decider = decider_of("test", guard)

    assert decider.judged(made, request_of(made, decider.reader)) is not None
    changed = {**made, **change}
    assert decider.judged(changed, request_of(changed, decider.reader)) is None


def test_a_part_of_the_path_may_move_into_the_mount_point() -> None:
    made = environ(Stream(BODY), CONTENT_LENGTH="10", PATH_INFO="/api/x")
    run(GUARD, made)
    moved = {**made, "SCRIPT_NAME": "/api", "PATH_INFO": "/x"}

    decider = decider_of("test", GUARD)
    assert decider.judged(moved, request_of(moved, decider.reader)) is not None


def test_the_guard_follows_the_wsgi_protocol() -> None:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
        return [b"ok"]

    guarded = LintMiddleware(GUARD.wsgi(LintMiddleware(app)))
    for query, status in ((f"{QUERY}&a=x", "200 OK"), ("", "401 Unauthorized")):
        assert Client(guarded).get(f"/?{query}").status == status


def test_an_exception_of_the_application_is_not_caught() -> None:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        raise RuntimeError("the application's")

    with pytest.raises(RuntimeError, match="the application's"):
        GUARD.wsgi(app)(environ(Stream(BODY), CONTENT_LENGTH="10"), lambda *_: None)  # type: ignore[arg-type]


def test_the_iterable_of_the_application_is_returned_unchanged() -> None:
    class Answer:
        def __iter__(self) -> Any:
            return iter([b"x"])

    answer = Answer()
    made = environ(Stream(BODY), CONTENT_LENGTH="10")

    assert GUARD.wsgi(lambda environ, start: answer)(made, lambda *_: None) is answer  # type: ignore[arg-type]


def test_a_sync_resolver_runs_on_the_requests_own_thread() -> None:
    threads: list[Any] = []

    def keys(claim: Any) -> str:
        threads.append(threading.current_thread())
        return KEY

    assert run(Guard(SCHEME, keys), environ(Stream(BODY), CONTENT_LENGTH="10"))[0] == 200
    assert threads == [threading.current_thread()]


def test_an_async_resolver_runs_to_completion() -> None:
    async def keys(claim: Any) -> Keyring:
        await asyncio.sleep(0)
        return Keyring(Key(KEY))

    assert run(Guard(SCHEME, keys), environ(Stream(BODY), CONTENT_LENGTH="10"))[0] == 200


def test_a_fault_of_the_guard_is_503_in_both_modes(caplog: pytest.LogCaptureFixture) -> None:
    faults: list[Exception] = []

    def clock() -> float:
        for fault in faults:
            raise fault
        return 0.0

    for mode in ("enforce", "report"):
        faults.clear()
        guard = Guard(SCHEME, Key(KEY, not_after=2e11), mode=mode, clock=clock)
        faults.append(RuntimeError(KEY))
        status, seen, _ = run(guard, environ(Stream(BODY), CONTENT_LENGTH="10"))
        assert (status, seen) == (503, [])
    assert "the guard itself failed" in caplog.text
    assert "in clock" in caplog.text
    assert KEY not in caplog.text


def test_an_environ_with_text_outside_latin_1_is_refused_and_does_not_raise() -> None:
    for key in ("PATH_INFO", "QUERY_STRING", "HTTP_X_A"):
        made = environ(io.BytesIO(b""), **{key: "/größe-日本?a=日本&sig=\ud800"})
        assert run(GUARD, made)[0] == 401
