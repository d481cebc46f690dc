"""Measures deliberately expensive requests: the cost before they are refused."""

from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.drivers import IN_LOOP, WSGI
from benchmarks.harness import Row, logged, only
from benchmarks.samples import BROWSER, BY_HEADER, BY_JSON, BY_QUERY, SECRET, Sample
from hmac_guard import Cookie, Guard, Scheme

# The usual limits: servers accept a line of 64 KB; the guard reads 256 KB of body.
LINE, BODY = 65_000, 262_144
BY_COOKIE = Scheme(name="by_cookie", ids={"id": Cookie("id")}, message="{id}", signature=Cookie("sig"))


class Hostile(NamedTuple):
    name: str
    scheme: Scheme
    sample: Sample


def groups() -> Iterator[list[Row]]:
    for interface in (IN_LOOP, WSGI):
        for hostile in _requests():
            name = f"{interface.name}: {hostile.name}"
            driver = interface.driver(interface.guarded(Guard(hostile.scheme, SECRET), interface.app), hostile.sample)
            with only(None):
                assert driver.status() in (400, 401), name
            yield [Row(name, logged(driver.timed, None))]


def _requests() -> Iterator[Hostile]:
    yield Hostile("query: 64 KB of '%'", BY_QUERY, Sample(query="connection_id=" + "%" * LINE))
    yield Hostile("query: 64 KB of '&'", BY_QUERY, Sample(query="&" * LINE))
    yield Hostile("query: 1,000 names to decode", BY_QUERY, Sample(query="&".join(["%63onnection_ie=x"] * 1000)))
    yield Hostile("header: 64 KB of 'a '", BY_HEADER, _header("x-integration-id", "a " * (LINE // 2)))
    yield Hostile("header: 64 KB of 'a'", BY_HEADER, _header("x-integration-id", "a" * LINE + "\t"))
    yield Hostile("cookie: 64 KB of ';'", BY_COOKIE, _header("cookie", ";" * LINE))
    yield Hostile("cookie: 64 KB of white space", BY_COOKIE, _header("cookie", "x" + " " * LINE + "id"))
    for what, body in (
        ("'['", b"[" * BODY),
        ("'{\"a\":'", b'{"a":' * (BODY // 5)),
        ("numbers", b"[" + b"1," * (BODY // 2 - 2) + b"1]"),
        ("one number", b"9" * BODY),
        ("empty objects", b"[" + b"{}," * (BODY // 3 - 1) + b"{}]"),
        ("'\\u0000'", b'"' + b"\\u0000" * (BODY // 6 - 1) + b'"'),
    ):
        yield Hostile(f"JSON: 256 KB of {what}", BY_JSON, Sample(method="POST", body=body))


def _header(name: str, value: str) -> Sample:
    return Sample(headers=(*BROWSER, (name, value)))
