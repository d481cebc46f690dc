"""The id in a cookie, beside the cookies of others."""

from random import Random

from support import Sent

from acceptance.differential.grammar import latin, mostly
from acceptance.differential.grammar.ids import ascii_id

OUR_NAMES = (
    "A",
    '"a"',
    " a",
    "a ",
    "\ta",
    "\xa0a",
    "\x0ba",
    "$a",
    "a[]",
    "__Host-a",
    "\xe2\x80\xa8a",
    "a\xc2\xa0",
    "a\x85",
    "\xc2\x85a",
    "a\x00",
    "%61",
    "",
)
OUR_VALUES = (
    *(
        "",
        '"1"',
        '"1',
        '1"',
        '"1; a=2"',
        '"\\061"',
        "\\061",
        '"x\\"y"',
        "%31",
        "1,2",
        "1 2",
        "1=2",
        "==",
        " 1",
        "1 ",
        "1\t",
    ),
    *(
        "\xc3\xa9",
        "\xe9",
        "1\x00",
        "1\x01",
        "[1]",
        "{1}",
        "1:2",
        "a",
        "b=1",
        "1, a=2",
        "1 a=2",
        "1\ta=2",
        "1|2",
        "(1)",
        "<1>",
    ),
)
OTHERS = (
    *("b=1", "b", "=b", "", "b=", "$Version=1", "$Path=/", "Path=/", "expires=x", "bad[key]=1", 'b="x; a=2"', 'b="x'),
    *('b={"x": 1, "y": 2}', "b=1, a=2", "b=1 a=2", "b:c=1", 'g_state={"i_l":0}', "b=%22", 'b="x\\";', 'b="\\073 a=2"'),
    *(
        'x"',
        'b="1"',
        'b="a=2"',
        "b=1\x00",
        "b=\xff",
        "b=\xc3\xa9",
        "secure",
        "httponly; a2=1",
        "_ga=GA1.2.3",
        "b='a=2'",
        "a2=3",
        "\xe2\x80\xa8a=2",
        "a\xc2\xa0=2",
        "\xef\xbb\xbfa=2",
        "\x1ca=2",
    ),
)
JOINTS = (";", " ; ", ";  ", ";\t", ",", ", ", "\t", " ", ";;", "; ;", "&", "\r\n ", ";\xa0")


def _pairs(rng: Random) -> str:
    value = mostly(rng, latin(ascii_id(rng)), OUR_VALUES, 0.25)
    pairs = [mostly(rng, "a", OUR_NAMES) + mostly(rng, "=", ("", " = ", "= ", " =", "=="), 0.04) + value]
    pairs *= mostly(rng, 1, (0, 2), 0.06)
    pairs += rng.choices(OTHERS, k=rng.choice((0, 0, 1, 1, 2, 3)))
    rng.shuffle(pairs)
    return mostly(rng, "; ", JOINTS, 0.15).join(pairs)


def cookie(rng: Random) -> Sent:
    lines = [_pairs(rng)]
    if rng.random() < 0.1:
        lines.insert(rng.randint(0, 1), rng.choice((*OTHERS, _pairs(rng))))
    return Sent("GET", "/cookie", headers=[("Cookie", line) for line in lines])
