"""String literals of other languages.

The texts of a scheme may contain any character, also quotes and characters that a language interpolates. So only
characters without a special meaning in all languages are written directly. All others are numeric escapes, and the code
is ASCII.
"""

import re
from collections.abc import Callable

_PLAIN = re.compile(r"[A-Za-z0-9 _.,:;=+|/@~^()-]")

#: Returns the literal of a text in one language.
Literal = Callable[[str], str]


def _escaped(text: str, escape: Callable[[str], str]) -> str:
    return "".join(character if _PLAIN.fullmatch(character) else escape(character) for character in text)


def _quoted(escape: Callable[[str], str]) -> Literal:
    return lambda text: f'"{_escaped(text, escape)}"'


def _by_width(character: str) -> str:
    number = ord(character)
    if number < 0x80:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _utf16(character: str) -> str:
    return re.sub("....", r"\\u\g<0>", character.encode("utf-16-be").hex())


def _java(character: str) -> str:
    # Java reads \u0022 as a quote before it looks for literals, an octal escape after that.
    return f"\\{ord(character):03o}" if character.isascii() else _utf16(character)


def _octal(character: str, backslash: str = "\\") -> str:
    return "".join(f"{backslash}{byte:03o}" for byte in character.encode())


python = go = _quoted(_by_width)
braced = _quoted(lambda character: f"\\u{{{ord(character):x}}}")
utf16 = _quoted(_utf16)
java = _quoted(_java)


def sql_text(text: str) -> str:
    """Return a PostgreSQL text literal. The server refuses a NUL in it."""
    return _sql(_escaped(text, lambda character: f"\\u{ord(character):04x}"))


def sql_bytes(text: str) -> str:
    """Return the UTF-8 of the text as a PostgreSQL bytea literal in escape format. It may contain NULs."""
    return _sql(_escaped(text, lambda character: _octal(character, "\\\\"))) + "::bytea"


def _sql(body: str) -> str:
    return f"E'{body}'" if "\\" in body else f"'{body}'"


def shell_format(text: str) -> str:
    """Return a part of a single-quoted printf format. Hyphens are escaped: printf reads a first one as an option."""
    return _escaped(text, _octal).replace("-", "\\055")
