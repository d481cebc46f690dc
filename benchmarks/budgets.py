"""Checks the budgets of deliberately expensive requests: `python -m benchmarks.budgets`.

A body of 64 KiB may cost 10 ms and 8 MiB in addition to the body. A query or headers of 16 KiB may cost 1 ms. A body
in 10,000 chunks may cost 2 us per chunk, including the part of the server. A request with a wrong signature may cost at
most twice as much as with the right one. The results are valid only on an idle machine.
"""

import sys
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from benchmarks.drivers import IN_LOOP, WSGI, AsgiInLoop
from benchmarks.harness import only
from benchmarks.samples import BROWSER, SECRET, Sample
from hmac_guard import Cookie, Form, Guard, Header, Json, Path, Query, Scheme

KIB = 1024
BODY, LINE = 64 * KIB, 16 * KIB
FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data; boundary=B"
SCHEME = Scheme(
    name="budgets",
    ids={"id": Json("/id") | Form("id") | Query("id") | Cookie("id") | Header("X-Id") | Path("/connect/{id}")},
    message="{id}",
    signature=Query("sig") | Header("X-Sig"),
)
RIGHT, WRONG = SCHEME.sign(SECRET, id="x"), "0" * 64


@dataclass(frozen=True)
class Typed(Sample):
    """A sample whose body is of another type than JSON."""

    kind: str = "application/json"

    def all_headers(self) -> tuple[tuple[str, str], ...]:
        framing = (("content-type", self.kind), ("content-length", str(len(self.body))))
        return (*self.headers, *framing) if self.body else self.headers


class Budget(NamedTuple):
    milliseconds: float
    mebibytes: float = 8.0


LARGE, SMALL, PIECES = Budget(10), Budget(1), Budget(20)


def bodies() -> Iterator[tuple[str, str, bytes]]:
    """Yield a name, a media type and a body. All bodies that can be parsed have the field `id`."""
    lists = b",".join([b"[" * 60 + b"]" * 60] * (BODY // 121))
    objects = b",".join([b'{"":' * 60 + b"1" + b"}" * 60] * (BODY // 302))
    yield "JSON: lists, 62 deep", "application/json", b'{"id":"x","a":[%s]}' % lists
    yield "JSON: objects, 62 deep", "application/json", b'{"id":"x","a":[%s]}' % objects
    yield "JSON: empty objects", "application/json", b'{"id":"x","a":[%s{}]}' % (b"{}," * (BODY // 3))
    yield "JSON: brackets in a string", "application/json", b'{"id":"x","a":"%s"}' % (b"[" * BODY)
    yield "JSON: strings of one bracket", "application/json", b'{"id":"x","a":[%s1]}' % (b'"[",' * (BODY // 4))
    yield "JSON: escapes", "application/json", b'{"id":"x","a":"%s"}' % (rb"\"\\" * (BODY // 4))
    yield "JSON: keys", "application/json", b'{"id":"x"%s}' % b"".join(b',"%d":1' % n for n in range(BODY // 9))
    yield "JSON: numbers", "application/json", b'{"id":"x","a":[%s1]}' % (b"1e9," * (BODY // 4))
    yield "JSON: one number", "application/json", b'{"id":"x","a":%s}' % (b"9" * BODY)
    yield "JSON: lists without an end", "application/json", b"[" * BODY
    yield "form: fields", FORM, b"id=x" + b"&%69=" * 999
    yield "form: ampersands", FORM, b"&" * BODY
    yield "form: percent signs", FORM, b"id=x&a=" + b"%" * BODY
    yield "form: semicolons", FORM, b"id=x&" + b";" * BODY
    yield "multipart: dashes", MULTIPART, b"--" * (BODY // 2)
    yield "multipart: boundaries", MULTIPART, b"--B\r\n" * (BODY // 5)
    part = b'--B\r\nContent-Disposition: form-data; name="%s"\r\n\r\nx\r\n'
    yield "multipart: parts", MULTIPART, part % b"id" + (part % b"a") * (BODY // 55) + b"--B--\r\n"


def requests(signature: str) -> Iterator[tuple[str, Budget, Sample]]:
    signed = f"sig={signature}"
    for name, kind, body in bodies():
        yield name, LARGE, Typed(query=signed, body=body, method="POST", kind=kind)
    for name, filler in (("percent signs", "%" * LINE), ("escaped names", "%69=1&" * 999), ("ampersands", "&" * LINE)):
        yield f"query: {name}", SMALL, Sample(query=f"id=x&{signed}&{filler}"[:LINE])
    for name, value in (("blanks", "a " * (LINE // 2)), ("letters", "a" * LINE), ("commas", "," * LINE)):
        yield f"header: {name}", SMALL, Sample(query=signed, headers=(*BROWSER, ("x-id", value)))
        yield f"cookie: {name}", SMALL, Sample(query=signed, headers=(*BROWSER, ("cookie", f"id=x; b={value}")))
    yield "10,000 headers", LARGE, Sample(query=f"id=x&{signed}", headers=(("x-unused", "a"),) * 10_000)
    yield "10,000 headers of a name's length", LARGE, Sample(query=f"id=x&{signed}", headers=(("X_nb", "a"),) * 10_000)
    for name, path in (("segments", "/a" * (BODY // 2)), ("dots", "/." * (BODY // 2)), ("letters", "/" + "a" * BODY)):
        yield f"path of 64 KiB: {name}", LARGE, Sample(path=path, query=f"id=x&{signed}")


class InPieces(AsgiInLoop):
    """Sends the body in messages of one byte."""

    def receive(self) -> Any:
        pieces = iter(self.body)

        async def receive() -> Any:
            piece = next(pieces, None)
            body = b"" if piece is None else bytes([piece])
            return {"type": "http.request", "body": body, "more_body": piece is not None}

        return receive


class Cost(NamedTuple):
    status: int
    milliseconds: float
    mebibytes: float


def cost_of(driver: Any) -> Cost:
    milliseconds = min(driver.timed(1) for _ in range(7)) * 1000
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        status = driver.status()
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    return Cost(status, milliseconds, peak / KIB / KIB)


def measured() -> Iterator[tuple[str, Budget, Cost, Cost]]:
    guard = Guard(SCHEME, SECRET)
    for interface in (IN_LOOP, WSGI):
        guarded = interface.guarded(guard, interface.app)
        for (name, budget, good), (_, _, bad) in zip(requests(RIGHT), requests(WRONG), strict=True):
            accepted, refused = (cost_of(interface.driver(guarded, sample)) for sample in (good, bad))
            yield f"{interface.name}: {name}", budget, accepted, refused
    body = b'{"id":"x"}'.ljust(10_000)
    guarded = IN_LOOP.guarded(guard, IN_LOOP.app)
    accepted, refused = (
        cost_of(InPieces(guarded, Typed(query=f"sig={signature}", body=body, method="POST")))
        for signature in (RIGHT, WRONG)
    )
    yield "ASGI in a loop: 10,000 pieces of one byte", PIECES, accepted, refused


def main() -> int:
    over = 0
    with only(None):
        for name, budget, accepted, refused in measured():
            highest = max(accepted.milliseconds, refused.milliseconds), max(accepted.mebibytes, refused.mebibytes)
            # A refusal that is as fast as a small request is cheap, so its ratio does not matter.
            twice = accepted.status == 200 and refused.milliseconds > max(2 * accepted.milliseconds, 0.1)
            wrong = [*(["time"] if highest[0] > budget.milliseconds else [])]
            wrong += ["memory"] if highest[1] > budget.mebibytes else []
            wrong += ["refusing costs more than twice as much"] if twice else []
            over += bool(wrong)
            print(
                f"{name:58} {accepted.status} {accepted.milliseconds:7.3f} ms  {refused.status} "
                f"{refused.milliseconds:7.3f} ms {highest[1]:6.2f} MiB  of {budget.milliseconds} ms  {', '.join(wrong)}"
            )
    print(f"{over} over budget")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
