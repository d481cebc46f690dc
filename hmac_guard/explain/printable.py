"""Text of a request in a form that is safe to print: a terminal obeys some characters instead of showing them."""

import re

_NOT_SHOWN = re.compile("[^ -~]")


def printable(text: str) -> str:
    """The text as visible ASCII and spaces; each other character as Python's escape for it."""
    return _NOT_SHOWN.sub(lambda character: ascii(character[0])[1:-1], text)


def excerpt(text: str, most: int = 60) -> str:
    """The text in quotes, escaped; of one with more than `most` characters only the two ends."""
    if len(text) <= most:
        return ascii(text)
    half = most // 2
    return f"{text[:half]!a}...{text[-half:]!a}"
