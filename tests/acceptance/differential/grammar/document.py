"""The id in a JSON document."""

import json
from collections.abc import Callable
from random import Random

from support import Sent

from acceptance.differential.grammar import latin, mostly, with_body
from acceptance.differential.grammar.ids import an_id

JSON = "application/json"
TYPES = (
    *(
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        'application/json; charset="utf-8"',
        "text/json",
    ),
    *(
        "APPLICATION/JSON",
        "Application/Json",
        "application/vnd.api+json",
        "application/problem+json; charset=utf-8",
        "",
    ),
    *(
        "application/json; charset=utf-16",
        "application/json; charset=utf-7",
        "application/json; charset=latin-1",
        "*/*",
    ),
    *("application/json, text/plain", "application/json;", "application/json; x=y", " application/json", "text/plain"),
    *("application/x-json", "application/jsonp", "application/json; charset=utf-8; charset=utf-16", "a/b+json"),
)
NUMBERS = (
    "0",
    "-0",
    "1",
    "1.0",
    "1e0",
    "1E+2",
    "-1.5e-3",
    "9007199254740993",
    "18446744073709551616",
    "1e308",
    "1e400",
    "NaN",
    "Infinity",
    "-Infinity",
    "01",
    "+1",
    "1.",
    ".5",
    "0x1",
    "1_0",
    "9" * 400,
    "1" * 4300,
    "1" * 4301,
    "-",
)
KEYS = (
    '"b"',
    '"A"',
    '"\\u0061"',
    '"a\\u0000"',
    '"a "',
    '""',
    '"\\u0062"',
    "'a'",
    "a",
    '"__proto__"',
    '"\\ud800"',
    '"\xc3\xa9"',
    '"/a"',
    '"\\u2028a"',
    '"a\xc2\xa0"',
    '"\\ufeffa"',
)
ODD_VALUES = (
    "null",
    "true",
    "1",
    '["1"]',
    '{"a":"1"}',
    '""',
    '" 1"',
    "'1'",
    '"\\ud800"',
    '"\\ud83d\\ude00"',
    '"\\ude00\\ud83d"',
    '"x\\u0000y"',
    '"x\x01y"',
    '"x\ny"',
    '"x\x7fy"',
    '"\xff"',
    '"\xc0\xaf"',
    '"\xed\xa0\x80"',
    '"\\x41"',
    '"\\u00e9"',
    '"\\U00e9"',
)
SPACES = ("", "", "", " ", "\n", "\r\n", "\t", "  ")
ODD_SPACES = ("\x0b", "\x0c", "\xc2\xa0", "/**/", "//\n", "\x00", "\xef\xbb\xbf", "#", "\xe2\x80\xa8")
CODINGS = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig")


def _string(rng: Random, text: str) -> str:
    style = rng.random()
    if style < 0.4:
        return latin(json.dumps(text, ensure_ascii=False))
    if style < 0.7:
        return json.dumps(text)
    every = "".join(
        f"\\u{ord(c):04x}" if ord(c) < 0x10000 and rng.random() < 0.5 else json.dumps(c)[1:-1] for c in text
    )
    return f'"{every}"'.replace("/", rng.choice(("/", "\\/")))


def _space(rng: Random) -> str:
    return mostly(rng, rng.choice(SPACES), ODD_SPACES, 0.002)


def _value(rng: Random, depth: int) -> str:
    kind = rng.random()
    if depth > 3 or kind < 0.3:
        return _string(rng, an_id(rng))
    if kind < 0.5:
        return mostly(rng, rng.choice(("1", "true", "false", "null", "-1.5")), NUMBERS, 0.15)
    if kind < 0.65:
        return "[" + ",".join(_value(rng, depth + 1) for _ in range(rng.randint(0, 3))) + "]"
    if kind < 0.68:
        levels = rng.choice((1, 5, 60, 61, 62, 63, 64, 65, 66))
        return "[" * levels + "]" * levels
    return _object(rng, [_member(rng, depth + 1) for _ in range(rng.randint(0, 3))])


def _member(rng: Random, depth: int) -> str:
    return (
        mostly(rng, '"' + rng.choice("bcdefghijk") + '"', KEYS, 0.05)
        + _space(rng)
        + ":"
        + _space(rng)
        + _value(rng, depth)
    )


def _object(rng: Random, members: list[str]) -> str:
    comma = mostly(rng, ",", (",,", ";", ""), 0.002)
    return "{" + _space(rng) + (comma + _space(rng)).join(members) + mostly(rng, "", (",",), 0.005) + _space(rng) + "}"


def _ours(rng: Random, value: str) -> str:
    return mostly(rng, '"a"', ('"\\u0061"', '"\\u0061"', *KEYS), 0.12) + _space(rng) + ":" + _space(rng) + value


def document(rng: Random) -> Sent:
    return _document(rng, lambda: mostly(rng, _string(rng, an_id(rng)), (*ODD_VALUES, *NUMBERS), 0.08))


def number(rng: Random) -> Sent:
    """The id as a number, where those are allowed."""
    return _document(rng, lambda: mostly(rng, str(int(rng.gauss(0, 10 ** rng.randint(1, 16)))), NUMBERS, 0.3))


def _document(rng: Random, value: Callable[[], str]) -> Sent:
    members = [_ours(rng, value()) for _ in range(mostly(rng, 1, (0, 2)))]
    members += [_member(rng, 0) for _ in range(rng.choice((0, 0, 1, 2)))]
    rng.shuffle(members)
    text = (
        _space(rng) + _object(rng, members) + _space(rng) + mostly(rng, "", ("x", "{}", "\x00", ",", "\n\n", "]"), 0.02)
    )
    text = mostly(rng, text, (f"[{text}]", text * 2, "", "null", '"a"'), 0.02)
    if rng.random() < 0.01:
        text = text.encode(rng.choice(CODINGS)).decode("latin-1")
    return with_body(rng, "/json", mostly(rng, JSON, TYPES, 0.15), text)
