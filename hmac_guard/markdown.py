"""Writes a text as code in Markdown."""

import re

from hmac_guard.core.text import escaped


def code(text: str) -> str:
    """Return a text as Markdown code. Characters that are not printable are escaped."""
    shown = escaped(text)
    fence = "`" * (max(map(len, re.findall("`+", shown)), default=0) + 1)
    space = " " if shown.startswith(("`", " ")) or shown.endswith(("`", " ")) else ""
    return f"{fence}{space}{shown}{space}{fence}"
