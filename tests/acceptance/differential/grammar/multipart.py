"""The id in a part of a multipart body."""

from random import Random

from support import Sent

from acceptance.differential.grammar import latin, mostly, with_body
from acceptance.differential.grammar.ids import an_id
from acceptance.differential.grammar.multipart_words import (
    BLANK_LINES,
    BOUNDARIES,
    COUNTS,
    DISPOSITIONS,
    ENDS,
    EXTRAS,
    FILES,
    FINE_EXTRAS,
    LENGTHS,
    NAMES,
    ODD_VALUES,
    PIECES,
    TYPES,
)


def _disposition(rng: Random, name: str, file: str) -> str:
    header = mostly(
        rng,
        "Content-Disposition: ",
        ("content-disposition:", "Content-Disposition : ", "Content-Disposition:\t", "CONTENT-DISPOSITION: "),
        0.04,
    )
    return header + mostly(rng, "form-data; ", DISPOSITIONS, 0.03) + name + file


def _part(rng: Random, name: str, file: str, value: str) -> str:
    lines = [_disposition(rng, name, file)]
    if rng.random() < 0.3:
        lines.insert(rng.randint(0, 1), mostly(rng, rng.choice(FINE_EXTRAS), EXTRAS, 0.2))
    if rng.random() < 0.01:
        lines += rng.choice(
            (["X-Y: " + "z" * rng.choice(LENGTHS)], ["X-Y: z"], [f"X-{n}: z" for n in range(rng.choice(COUNTS))])
        )
    end = mostly(rng, "\r\n", ENDS, 0.005)
    return end.join(lines) + end + mostly(rng, end, ("", "\n"), 0.005) + value


def _ours(rng: Random) -> str:
    name = mostly(rng, rng.choice(('name="a"', 'name="a"', "name=a")), NAMES, 0.1)
    return _part(rng, name, mostly(rng, "", FILES, 0.03), mostly(rng, latin(an_id(rng)), ODD_VALUES, 0.1))


def _other(rng: Random) -> str:
    name = mostly(rng, rng.choice(('name="b"', "name=c", 'name="f"')), NAMES, 0.05)
    file = rng.choice(("", '; filename="x"', '; filename="x"')) if rng.random() < 0.9 else rng.choice(FILES)
    return _part(rng, name, file, mostly(rng, latin(an_id(rng)), ODD_VALUES, 0.3))


def _body(rng: Random, boundary: str) -> str:
    parts = [_ours(rng) for _ in range(mostly(rng, 1, (0, 2), 0.06))]
    parts += [_other(rng) for _ in range(rng.choice((0, 0, 1, 1, 2)))]
    rng.shuffle(parts)
    if rng.random() < 0.004:
        filler = rng.choice("x\r-") * (rng.choice(PIECES) - rng.randint(0, 400))
        parts.insert(rng.randint(0, len(parts)), _part(rng, 'name="f"', rng.choice(("", '; filename="x"')), filler))
    text = mostly(rng, "", (*BLANK_LINES, *BLANK_LINES, "junk\r\n", " "), 0.1)
    for part in parts:
        text += "--" + boundary + mostly(rng, "\r\n", ENDS, 0.01) + part + mostly(rng, "\r\n", ENDS, 0.01)
    text += "--" + boundary + mostly(rng, "--", ("", "-", "---", "-- "), 0.02)
    epilogue = f'\r\n--{boundary}\r\nContent-Disposition: form-data; name="a"\r\n\r\n2\r\n--{boundary}--\r\n'
    return text + mostly(rng, rng.choice(("\r\n", "")), (*BLANK_LINES, "x", epilogue, epilogue[2:]), 0.08)


def multipart(rng: Random) -> Sent:
    boundary = latin(mostly(rng, rng.choice(BOUNDARIES[:4]), BOUNDARIES, 0.12))
    quoted = boundary if rng.random() < 0.6 else f'"{boundary}"'
    kind = mostly(rng, "multipart/form-data; boundary={b}", TYPES, 0.1).replace("{b}", quoted)
    return with_body(rng, "/form", kind, _body(rng, boundary))
