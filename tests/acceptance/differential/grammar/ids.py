"""Ids, good and odd."""

from random import Random

PLAIN = ("1", "2", "42", "acme", "user_7", "A-b.C~d", "b8278572-2929-4af6-be2b-cdc2bc1f6256", "a@example.org", "x" * 64)
LOOK_LIKE = ("None", "null", "true", "01", "1.0", "-1", "+1", "1e3", "a", "a=1", "0x1", "[]", "{}", "*", ".", "..")
UNICODE = (
    *(
        "é",
        "e\u0301",
        "\uff21",
        "日本",
        "😀",
        "ß",
        "ﬁ",
        "İ",
        "\u017f",
        "\u212a",
        "א",
        "a\u200bb",
        "a\u202eb",
        "a\u00adb",
    ),
    *("a\u00a0b", "a\u2028b", "a\u3000b", "a\u1680b", "\u2028a", "a\u00a0", "\u0301", "\ufeffa", "a\ufffdb", "\ud800"),
    *("\udc80a", "\U0010ffff", "\ufdd0", "\u0080", "a\u0085b", "\u009f", "a\u0600b", "\u00ff", "ÿ", "Ã©", "%é"),
)
MARKS = " !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
CONTROLS = "\x00\x01\x08\t\n\x0b\x0c\r\x1b\x1c\x1d\x1e\x1f\x7f"
LENGTHS = (127, 128, 255, 256, 257, 1023, 1024, 1025)


#: The time of the tests. A time may be so many seconds off.
NOW, WINDOW = 1_800_000_000, 100
ODD_TIMES = (
    *(
        "0",
        "-1",
        "1",
        f"0{NOW}",
        f"+{NOW}",
        f"{NOW}.0",
        f"{NOW}.5",
        "1.8e9",
        f"{NOW}000",
        f"{NOW}0000000",
        f" {NOW}",
        f"{NOW} ",
    ),
    *(
        "NaN",
        "inf",
        "",
        f"{NOW}_0",
        "1_800_000_000",
        f"0x{NOW:x}",
        "\u0661\u0662",
        "".join(chr(0xFF10 + int(c)) for c in str(NOW)),
    ),
    *(str(NOW + off) for off in (-101, 101, 10**6, -(10**6))),
)


def a_time(rng: Random) -> str:
    """A Unix time as text; mostly one that may be verified."""
    return rng.choice(ODD_TIMES) if rng.random() < 0.2 else str(NOW + rng.randint(-WINDOW, WINDOW))


def an_id(rng: Random) -> str:
    """An id as text; mostly one that may be verified."""
    kind = rng.random()
    if kind < 0.1:
        return rng.choice(PLAIN)
    if kind < 0.4:
        return _letters(rng, rng.randint(1, 12))
    if kind < 0.5:
        return rng.choice(LOOK_LIKE) + rng.choice(("", "7"))
    if kind < 0.75:
        return _around(rng, rng.choice(MARKS))
    if kind < 0.95:
        return _around(rng, rng.choice(UNICODE))
    if kind < 0.98:
        return _around(rng, rng.choice(CONTROLS))
    return rng.choice("xé") * rng.choice(LENGTHS)


def ascii_id(rng: Random) -> str:
    """An id for places that hold visible ASCII alone; mostly."""
    kind = rng.random()
    if kind < 0.2:
        return rng.choice(PLAIN)
    if kind < 0.6:
        return _letters(rng, rng.randint(1, 12))
    if kind < 0.8:
        return _around(rng, rng.choice(MARKS))
    return an_id(rng)


def _letters(rng: Random, count: int) -> str:
    return "".join(rng.choices("abcdefXYZ0123456789._~-:", k=count))


def _around(rng: Random, mark: str) -> str:
    return rng.choice(("", _letters(rng, 2))) + mark + rng.choice(("", _letters(rng, 3), mark))
