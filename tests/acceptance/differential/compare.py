"""The property: the guard refuses a request, or every framework behind it reads the text that was verified."""

import hmac
from asyncio import AbstractEventLoop
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple, NoReturn

from support import Sent, environ_for, request_of

from acceptance.differential.grammar.ids import NOW, WINDOW
from acceptance.differential.views import REFUSED, Answer, call_asgi, call_wsgi, views_behind
from hmac_guard import Claim, Cookie, Form, Guard, Header, Json, Path, Query, Scheme, Timestamp
from hmac_guard.core.signed import reader_of

KEY = b"the key of the differential tests"

PLACES = {
    "query": Query("a"),
    "header": Header("X-Sig"),
    "cookie": Cookie("a"),
    "form": Form("a"),
    "multipart": Form("a"),
    "json": Json("/a"),
    "number": Json("/a", allow_int=True),
    "path": Path("/p/{a}/c"),
    "body-or-query": Query("a") | Json("/a") | Form("a"),
}


#: The id beside a time.
_ID = "b1"
_SIGNATURE = Header("X-Signature")
SCHEMES = {
    **{
        name: Scheme(name=name, ids={"a": place}, message="{a}", signature=_SIGNATURE) for name, place in PLACES.items()
    },
    "raw": Scheme(name="raw", ids={}, message="{@body}", signature=_SIGNATURE),
    "time": Scheme(
        name="time",
        ids={"b": Header("X-Id")},
        message="{b}.{timestamp}",
        signature=_SIGNATURE,
        timestamp=Timestamp(Query("a"), max_age=WINDOW, leeway=WINDOW),
    ),
}


class Finding(NamedTuple):
    """A framework that did not read what the guard verified."""

    framework: str
    source: str
    sent: Sent
    verified: str
    answer: Answer


class Comparison:
    """One source: a guard that takes the id, the time or the body from it alone, and the frameworks behind that guard.

    `counts` has how many requests were generated and how many distinct ones accepted, and how often which framework
    itself refused an accepted one.
    """

    def __init__(self, source: str, loop: AbstractEventLoop) -> None:
        self.source = source
        self._scheme = SCHEMES[source]
        self._reader = reader_of(self._scheme, with_tenant=False)
        note = lambda verdict, claim: self._read.append(claim)  # noqa: E731
        guard = Guard(self._scheme, KEY, on_verdict=note, clock=lambda: NOW)
        self.counts: Counter[str] = Counter()
        self._read: list[Claim] = []
        self._loop = loop
        self._wsgi, self._asgi = guard.wsgi(unreachable), guard.asgi(unreachable)
        self._views = views_behind(guard, loop)
        self._seen: set[int] = set()

    def findings(self, sent: Sent) -> list[Finding]:
        """What is wrong with `sent`; nothing, where all goes well."""
        self.counts["generated"] += 1
        claim, other = self.claims(sent)
        if _said(claim) != _said(other):
            return [Finding("the other interface", self.source, sent, repr(claim), Answer("read", repr(other)))]
        if claim.problem is not None or not self._is_new(sent):
            return []
        verified = self._verified(sent, claim)
        if verified is None:
            return []
        self.counts["accepted"] += 1
        return list(self._ask(sent, verified))

    def _verified(self, sent: Sent, claim: Claim) -> str | None:
        """The text that is verified with the right signature; None if its time is over, or not yet there."""
        if self.source == "raw":
            return sent.delivered().decode("latin-1")
        if self.source != "time":
            return claim.ids["a"]
        request = request_of(environ_for(self._signed(sent, "")), self._reader)
        time = self._reader.read(request).others["timestamp"]
        return time if abs(int(time) - NOW) <= WINDOW else None

    def claims(self, sent: Sent) -> list[Claim]:
        """What the guard reads at WSGI, and at ASGI. The signature is wrong, and looked at after that."""
        self._read.clear()
        unproven = self._signed(sent, "0" * 64)
        call_wsgi(self._wsgi, unproven)
        self._loop.run_until_complete(call_asgi(self._asgi, unproven))
        return list(self._read)

    def _is_new(self, sent: Sent) -> bool:
        key = hash((sent.method, sent.path, sent.query, tuple(sent.headers), sent.body))
        new = key not in self._seen
        self._seen.add(key)
        return new

    def _fine(self, verified: str) -> tuple[Answer, ...]:
        """What a view may have made of a request. Where the id may be in several places, a view looks into one."""
        also = {"number": Answer("number", verified), "body-or-query": Answer("absent")}
        return Answer("read", verified), also.get(self.source, Answer("read", verified))

    def _signed(self, sent: Sent, signature: str) -> Sent:
        beside = [("X-Id", _ID)] if self.source == "time" else []
        return replace(sent, headers=[*sent.headers, *beside, ("X-Signature", signature)])

    def _message(self, verified: str) -> bytes:
        if self.source == "time":
            return f"{_ID}.{verified}".encode()
        return verified.encode("latin-1" if self.source == "raw" else "utf-8")

    def _ask(self, sent: Sent, verified: str) -> Iterator[Finding]:
        signed = self._signed(sent, hmac.new(KEY, self._message(verified), "sha256").hexdigest())
        for framework, view in self._views.items():
            answer = view(signed)
            if answer == REFUSED:
                self.counts[f"refused by {framework}"] += 1
            elif answer not in self._fine(verified):
                yield Finding(framework, self.source, sent, verified, answer)


def _said(claim: Claim) -> tuple[object, ...]:
    # Not `detail`: WSGI joins two lines with a comma, and the text tells what was seen.
    return claim.problem, claim.ids, claim.tenant, claim.method


def unreachable(*request: Any) -> NoReturn:
    """An application behind a guard that has refused."""
    raise AssertionError("a wrong signature was verified")
