"""The id in a header line."""

from random import Random

from support import Sent

from acceptance.differential.grammar import latin, mostly
from acceptance.differential.grammar.ids import ascii_id

NAMES = ("x-sig", "X-SIG", "X-sIG", "X_Sig", "x_sig", "X-Sig_", "X.Sig", "X-Sig2", "XSig", "X--Sig", "HTTP-X-Sig")
VALUES = (
    *(
        "",
        " ",
        "\t",
        "1,2",
        "1, 2",
        ",1",
        "1,",
        " 1",
        "1 ",
        "\t1",
        "1\t",
        "1  2",
        "1 2",
        "1\t2",
        '"1"',
        "1;a=2",
        "(c)1",
    ),
    *(
        "\xc3\xa9",
        "\xe9",
        "1\x00",
        "1\x012",
        "1\x0b",
        "1\xa0",
        "1\x85",
        "1\r\n 2",
        "=?utf-8?b?MQ==?=",
        "utf-8''1",
        "%31",
        "\\1",
    ),
)
OTHERS = (
    ("X-Other", "1"),
    ("X-Other", "\xff"),
    ("X-Sig-Not", "a, b"),
    ("Cookie", "a=1"),
    ("X_Other", "2"),
    ("Host", "h"),
)


def _line(rng: Random) -> tuple[str, str]:
    return mostly(rng, "X-Sig", NAMES, 0.2), mostly(rng, latin(ascii_id(rng)), VALUES, 0.25)


def header(rng: Random) -> Sent:
    lines = [_line(rng) for _ in range(mostly(rng, 1, (0, 2, 2, 3)))]
    lines += rng.sample(OTHERS, rng.choice((0, 0, 1, 2)))
    rng.shuffle(lines)
    return Sent("GET", "/header", headers=lines)
