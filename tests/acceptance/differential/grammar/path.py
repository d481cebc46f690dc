"""The id in a segment of the path."""

from random import Random
from urllib.parse import unquote_to_bytes

from support import Sent

from acceptance.differential.grammar import latin, mostly
from acceptance.differential.grammar.ids import an_id

SEGMENTS = (
    *(
        "",
        ".",
        "..",
        "%2e%2e",
        "%2E",
        "a%2Fb",
        "a%2fb",
        "a%5Cb",
        "a\\b",
        "%252F",
        "%25",
        "a%3Bb",
        "a;b",
        ";a=1",
        "a%00",
        "%0A",
    ),
    *(
        "a%0D%0A",
        "%FF",
        "%C0%AF",
        "%EF%BF%BD",
        "%ED%A0%80",
        "%",
        "%zz",
        "a b",
        "a+b",
        "%2B",
        "%3F",
        "a%3Fb",
        "%23",
        "a%23b",
    ),
    *(
        "\xc3\xa9",
        "\xff",
        "{a}",
        "<a>",
        "%20a",
        "a%20",
        "%C2%A0a",
        "%E2%80%A8a",
        "a:b",
        "http:",
        "%3A",
        "~",
        "%7E",
        "*",
        "c",
    ),
)
ROUTES = (
    "/p/{}/c",
    "/p/{}",
    "/p/{}/c/",
    "//p/{}/c",
    "/p//{}/c",
    "/p/{}//c",
    "/./p/{}/c",
    "/P/{}/c",
    "p/{}/c",
    "/x/../p/{}/c",
    "/p/{}/c;x",
    "/p/{}/c%0A",
    "/%70/{}/c",
    "/p/{}/c%2F",
    "/p/{}/%63",
    "http://h/p/{}/c",
    "/p/{}/c/c",
    "/p;x/{}/c",
)


def _segment(rng: Random) -> str:
    keep = rng.choice(("!$'()*,-.:;=@_~+&", "-._~", "!$'()*,-.:;=@_~+&\"<>[]^`{|}"))
    form = rng.choice(("%{:02X}", "%{:02x}"))
    encoded = latin(an_id(rng))
    return "".join(c if (c.isascii() and c.isalnum()) or c in keep else form.format(ord(c)) for c in encoded)


def path(rng: Random) -> Sent:
    segment = mostly(rng, _segment(rng), SEGMENTS, 0.25)
    target = mostly(rng, "/p/{}/c", ROUTES, 0.12).replace("{}", segment)
    return sent_to(target)


def sent_to(target: str) -> Sent:
    """A request for a target as it stands on the wire, decoded once, as servers do."""
    raw, _, query = target.partition("?")
    decoded = unquote_to_bytes(raw.encode("latin-1")).decode("latin-1")
    return Sent("GET", decoded, query, raw_path=raw)
