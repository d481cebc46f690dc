"""Makes text of a request safe to print: control characters would change the terminal."""

import re

_NOT_SHOWN = re.compile("[^ -~]")


def printable(text: str) -> str:
    """Return the text in visible ASCII and spaces. Other characters become Python escapes."""
    return _NOT_SHOWN.sub(lambda character: ascii(character[0])[1:-1], text)


def excerpt(text: str, max_length: int = 60) -> str:
    """Return the text escaped and in quotes. If it has more than `max_length` characters, the middle is left out."""
    if len(text) <= max_length:
        return ascii(text)
    half = max_length // 2
    return f"{text[:half]!a}...{text[-half:]!a}"
