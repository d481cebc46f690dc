"""Makes text of a request safe to print, since control characters would change the terminal, and writes numbers."""

import re

_NOT_SHOWN = re.compile("[^ -~]")


def printable(text: str) -> str:
    """Return the text in visible ASCII and spaces. Other characters become Python escapes."""
    return _NOT_SHOWN.sub(lambda character: ascii(character[0])[1:-1], text)


def counted(number: int, word: str) -> str:
    """Return a number with its noun: "1 key", "2,000 keys"."""
    return f"{number:,} {word if number == 1 else word + 's'}"


def excerpt(text: str, max_length: int = 60) -> str:
    """Return the text escaped and in quotes. If it has more than `max_length` characters, the middle is left out."""
    if len(text) <= max_length:
        return ascii(text)
    half = max_length // 2
    return f"{text[:half]!a}...{text[-half:]!a}"
