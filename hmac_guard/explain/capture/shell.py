"""Splits a shell command into words. It reads the quotes and escapes of a browser's "Copy as cURL"."""

import re
from collections.abc import Callable, Mapping

from hmac_guard.explain.capture.request import CaptureError

# The expressions for quotes find an unclosed quote in one pass. This avoids quadratic time.
_PIECE = re.compile(
    r"""
      (?P<blank>[ \t\r\n]+)
    | (?P<operator>[;|&<>()]+)
    | \\(?P<continued>\r?\n|\Z)
    | \\(?P<escaped>.)
    | '(?P<single>[^']*)'
    | \$?"(?P<double>[^"\\]*(?:\\.[^"\\]*)*)"
    | \$'(?P<ansi>[^'\\]*(?:\\.[^'\\]*)*)'
    | (?P<plain>[^ \t\r\n;|&<>()\\'"$]+|\$(?!['"]))
    """,
    re.DOTALL | re.VERBOSE,
)
_DOUBLE_ESCAPE = re.compile(r'\\(?:([$`"\\])|\r?\n)')
_ANSI_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{1,4}|U[0-9a-fA-F]{1,8}|[0-7]{1,3}|.)", re.DOTALL)
_NAMED = dict(zip("abeEfnrtv\\'\"?", "\a\b\x1b\x1b\f\n\r\t\v\\'\"?", strict=True))


def first_command(text: str) -> tuple[list[str], str]:
    """Return the words of the first command, and the operator after it ("" at the end of the text).

    Variables are not expanded. A byte from an escape that is not UTF-8 is decoded with `surrogateescape`.

    Raises:
        CaptureError: A quote is not closed, or an escape names no character.
    """
    words: list[str] = []
    word: list[str] = []
    begun = False
    position = 0
    while position < len(text):
        piece = _PIECE.match(text, position)
        if piece is None:
            raise CaptureError("a quote in the command is not closed; copy the whole command")
        position = piece.end()
        kind = piece.lastgroup or ""
        if kind in _MEANINGS:
            word.append(_MEANINGS[kind](piece[kind]))
            begun = True
        elif kind != "continued" and begun:
            words.append("".join(word))
            word, begun = [], False
        if kind == "operator":
            return words, piece[0]
    return ([*words, "".join(word)] if begun else words), ""


def _in_double_quotes(text: str) -> str:
    return _DOUBLE_ESCAPE.sub(lambda escape: escape[1] or "", text)


def _in_ansi_quotes(text: str) -> str:
    return _ANSI_ESCAPE.sub(_unescaped, text)


def _unescaped(escape: re.Match[str]) -> str:
    code = escape[1]
    if code[0] in "uU" and len(code) > 1:
        return _character(int(code[1:], 16))
    if code[0] == "x" and len(code) > 1:
        return _byte(int(code[1:], 16))
    if code[0] in "01234567":
        return _byte(int(code, 8) % 256)
    return _NAMED.get(code, escape[0])


def _character(number: int) -> str:
    if number > 0x10FFFF:
        raise CaptureError(f"the command has an escape for {number:X}, which is not a character; correct it")
    return chr(number).encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")


def _byte(number: int) -> str:
    return bytes([number]).decode("utf-8", "surrogateescape")


_MEANINGS: Mapping[str, Callable[[str], str]] = {
    "escaped": str,
    "single": str,
    "double": _in_double_quotes,
    "ansi": _in_ansi_quotes,
    "plain": str,
}
