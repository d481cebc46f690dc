"""The property: the guard refuses a request, or every framework behind it reads the text that was verified."""

import hmac
from asyncio import AbstractEventLoop
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple, NoReturn

from support import Sent

from differential.views import REFUSED, Answer, call_asgi, call_wsgi, views_behind
from hmac_guard import Claim, Cookie, Form, Guard, Header, Json, Path, Query, Scheme

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


class Finding(NamedTuple):
    """A framework that did not read what the guard verified."""

    framework: str
    source: str
    sent: Sent
    verified: str
    answer: Answer


class Comparison:
    """One source: a guard that takes the id from it alone, and the frameworks behind that guard.

    `counts` has how many requests were generated and how many distinct ones accepted, and how often which framework
    itself refused an accepted one.
    """

    def __init__(self, source: str, loop: AbstractEventLoop) -> None:
        self.source = source
        scheme = Scheme(name=source, ids={"a": PLACES[source]}, message="{a}", signature=Header("X-Signature"))
        guard = Guard(scheme, KEY, on_verdict=lambda verdict, claim: self._read.append(claim))
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
            return [Finding("the other door", self.source, sent, repr(claim), Answer("read", repr(other)))]
        if claim.problem is not None or not self._is_new(sent):
            return []
        self.counts["accepted"] += 1
        return list(self._ask(sent, claim.ids["a"]))

    def claims(self, sent: Sent) -> list[Claim]:
        """What the guard reads at WSGI, and at ASGI. The signature is wrong, and looked at after that."""
        self._read.clear()
        unproven = _signed(sent, "0" * 64)
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

    def _ask(self, sent: Sent, verified: str) -> Iterator[Finding]:
        signed = _signed(sent, hmac.new(KEY, verified.encode(), "sha256").hexdigest())
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


def _signed(sent: Sent, signature: str) -> Sent:
    return replace(sent, headers=[*sent.headers, ("X-Signature", signature)])
