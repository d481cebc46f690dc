"""String literals of other languages.

A scheme's text may hold anything, quotes and whatever a language interpolates too. So only characters that mean nothing
in any of the languages stand for themselves; every other one is written as a numeric escape, and the code is ASCII.
"""

import re
from collections.abc import Callable

_PLAIN = re.compile(r"[A-Za-z0-9 _.,:;=+|/@~^()-]")

#: Writes a text as a literal of one language.
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
    """A PostgreSQL text; the server refuses one with a NUL."""
    return _sql(_escaped(text, lambda character: f"\\u{ord(character):04x}"))


def sql_bytes(text: str) -> str:
    """A PostgreSQL bytea of the text's UTF-8, in its escape form; it may hold NULs."""
    return _sql(_escaped(text, lambda character: _octal(character, "\\\\"))) + "::bytea"


def _sql(body: str) -> str:
    return f"E'{body}'" if "\\" in body else f"'{body}'"


def shell_format(text: str) -> str:
    """A piece of a single-quoted format of printf. A hyphen at its start would make an option of it."""
    return _escaped(text, _octal).replace("-", "\\055")
