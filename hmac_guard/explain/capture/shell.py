"""The words of a shell command, as a browser's "Copy as cURL" and people write it."""

import re
import shlex

from hmac_guard.explain.capture.request import CaptureError

# What may stand in a command line and is left to shlex, and what shlex does not know: $'…' and a line's continuation.
_PIECES = re.compile(
    r"""'[^']*' | "(?:\\.|[^"\\])*" | \$'(?P<ansi>(?:\\.|[^'\\])*)' | (?P<continued>\\\r?\n) | \\.""",
    re.DOTALL | re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{1,4}|U[0-9a-fA-F]{1,8}|[0-7]{1,3}|.)", re.DOTALL)
_NAMED = {"a": "\a", "b": "\b", "e": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_CONTROL = re.compile("[;|&<>()]+")


def first_command(text: str) -> tuple[list[str], str]:
    """The words of the first command in a text, and the operator that ends it ("" at the text's end).

    Nothing is expanded. Raises `CaptureError` for a quote that is not closed.
    """
    lexer = shlex.shlex(_PIECES.sub(_plain, text), posix=True, punctuation_chars=";|&<>()")
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    try:
        for word in lexer:
            if _CONTROL.fullmatch(word):
                return words, word
            words.append(word)
    except ValueError:
        raise CaptureError("a quote in the command is not closed; copy the whole command") from None
    return words, ""


def _plain(piece: re.Match[str]) -> str:
    if piece["continued"]:
        return " "
    if piece["ansi"] is None:
        return piece[0]
    return shlex.quote(_ESCAPE.sub(_unescaped, piece["ansi"]))


def _unescaped(escape: re.Match[str]) -> str:
    code = escape[1]
    if code[0] in "xuU" and len(code) > 1:
        return chr(int(code[1:], 16))
    if code[0] in "01234567":
        return chr(int(code, 8))
    return _NAMED.get(code, code)
