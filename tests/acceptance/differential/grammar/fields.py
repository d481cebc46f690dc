"""`name=value&…`, as a query and as an urlencoded body."""

from collections.abc import Callable
from random import Random

from support import Sent

from acceptance.differential.grammar import latin, mostly, with_body
from acceptance.differential.grammar.ids import a_time, an_id

OUR_NAMES = (
    "%61",
    "A",
    "a[]",
    "a[0]",
    "a%5B%5D",
    "a%20",
    "+a",
    "a+",
    "a%00",
    " a",
    "a ",
    "\ta",
    "\xef\xbd\x81",
    "a.",
    "a%",
    "%2561",
    "%E2%80%A8a",
    "\xe2\x80\xa8a",
    "a%C2%A0",
    "\xa0a",
    "a%85",
)
OTHER_NAMES = (
    "b",
    "hmac",
    "c%5B%5D",
    "x[y]",
    "",
    "b%00",
    "_charset_",
    "a.b",
    "ab",
    "%62",
    "\xc3\xa9",
    "%C3%A9",
    "%E9",
    "aa",
)
OTHER_VALUES = (
    "",
    "1",
    "%",
    "%zz",
    "%ff",
    "\xc3\xa9",
    "a=2",
    "%26a=2",
    "%3Ba=2",
    "+",
    "%00",
    '"',
    "'",
    "x=y",
    "?a=2",
    "1,2",
    "+ACY-a+AD0-2",
    "\\x26a\\x3d2",
)
RAW_OTHERS = ("\xff", "\xe9", "1;2", "x;a=2", ";a", "\x00", "\n", "\xc3", "\xef\xbb\xbf")
JOINTS = (";", "&&", "&amp;", "?", "&;", ",", "\n", "\r\n", "%26", " & ", "#")
RAW_VALUES = (
    *("", "%ff", "%C3%28", "%ED%A0%80", "%C0%AF", "%", "%4", "%zz", "%u0061", "1%", "%25", "%2561", "a%00b", "1\t2"),
    *(
        "1 2",
        "1\x002",
        "\xc3\xa9",
        "\xff",
        "\xe9",
        "1#2",
        "1?2",
        "1%0D%0Ax",
        "%EF%BB%BF1",
        "%FE%FF",
        "1;2",
        "%F4%90%80%80",
    ),
)
MANY = (199, 200, 201, 999, 1000, 1001)


def percent(rng: Random, text: str) -> str:
    """`text`, escaped where it must be and sometimes where it need not be, in either case of hex digits."""
    also, form = rng.choice(("", "", "", "aA1", "%:/@")), rng.choice(("%{:02X}", "%{:02X}", "%{:02x}"))
    space = rng.choice(("+", "%20"))
    out = []
    for char in latin(text):
        if char == " ":
            out.append(space)
        else:
            plain = "!" <= char <= "~" and char not in "&=+%;#" + also
            out.append(char if plain else form.format(ord(char)))
    return "".join(out)


def _ours(rng: Random, value_of: Callable[[Random], str]) -> str:
    value = mostly(rng, percent(rng, value_of(rng)), RAW_VALUES, 0.15)
    return mostly(rng, "a", OUR_NAMES) + mostly(rng, "=", ("", "==", " = ", "%3D", "=="), 0.04) + value


def _other(rng: Random) -> str:
    return (
        rng.choice(OTHER_NAMES)
        + rng.choice(("=", "=", "=", ""))
        + mostly(rng, rng.choice(OTHER_VALUES), RAW_OTHERS, 0.03)
    )


def fields(rng: Random, value_of: Callable[[Random], str] = an_id) -> str:
    several = [_ours(rng, value_of) for _ in range(mostly(rng, 1, (0, 2, 2, 3)))]
    several += [_other(rng) for _ in range(rng.choice((0, 0, 1, 1, 2, 4)))]
    if rng.random() < 0.0005:
        several += ["f=1"] * (rng.choice(MANY) - len(several))
    rng.shuffle(several)
    text = several[0] if several else ""
    for field in several[1:]:
        text += mostly(rng, "&", JOINTS, 0.05) + field
    return (
        mostly(rng, "", ("&", "?", "&&", "\xef\xbb\xbf", " ", "\r\n"), 0.03)
        + text
        + mostly(rng, "", ("&", "\r\n", "\n", "\x00", "&&", "="), 0.03)
    )


#: Django on WSGI decodes the query with the charset of a body.
QUERY_TYPES = (
    *("text/plain; charset=utf-7", "text/plain; charset=utf-8", "text/plain; charset=iso-8859-1", "x; charset=utf-16"),
    *('text/plain; Charset="UTF-7"', ";charset=unicode_escape", "a/b; charset*=utf-8''utf-7", "a/b; charset=hz"),
    *('a/b; charset=";utf-7"', "a/b; charset=punycode", "a/b; charset=idna", 'a/b; charset="utf-8;sig"'),
    *("a/b; charset=utf-8; charset=utf-7", "a/b; charset=shift_jis", "a/b; charset=cp500", "a/b; x=charset"),
)


def _in_query(rng: Random, text: str) -> Sent:
    kind = mostly(rng, "", QUERY_TYPES, 0.1)
    return Sent("GET", "/query", text, headers=[("Content-Type", kind)] if kind else [])


def query(rng: Random) -> Sent:
    return _in_query(rng, fields(rng))


def time(rng: Random) -> Sent:
    return _in_query(rng, fields(rng, a_time))


FORM = "application/x-www-form-urlencoded"
FORM_TYPES = (
    *(FORM + "; charset=utf-8", FORM + ";charset=UTF-8", FORM + '; charset="utf-8"', FORM + "; charset=utf8"),
    *(FORM.upper(), FORM + "; charset=iso-8859-1", FORM + "; charset=utf-7", FORM + "; charset=utf-16", FORM + ";"),
    *(FORM + "; charset=utf-8; charset=latin-1", FORM + "; x=y", FORM + ", application/json", FORM + " ", "text/plain"),
    *("application/x-url-encoded", "", "application/json", FORM + "; boundary=B", "multipart/form-data; boundary=B"),
)


def form(rng: Random) -> Sent:
    kind = mostly(rng, FORM, FORM_TYPES, 0.15)
    return with_body(rng, "/form", kind, fields(rng))
