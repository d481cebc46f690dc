"""Writes a text as code in Markdown."""

import re


def code(text: str) -> str:
    """Return a text as Markdown code. Characters that are not printable are escaped."""
    shown = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
    fence = "`" * (max(map(len, re.findall("`+", shown)), default=0) + 1)
    space = " " if shown.startswith(("`", " ")) or shown.endswith(("`", " ")) else ""
    return f"{fence}{space}{shown}{space}{fence}"
