"""Reads a cookie. In this place a value may be inside another one (threats T030)."""

import re
from functools import lru_cache

from hmac_guard.core.verdict import Reason, Refused

COOKIE_VALUE = re.compile(r"[!#$&-+\--:<-\[\]-~]*")
_QUOTED_COOKIE = re.compile(r'=[ \t]*"(?:[^\\"]|\\.)*"[ \t]*(?=;|\Z)')

_ODD_NAME = Refused(
    Reason.MALFORMED, "has characters around its name, or in its value, that frameworks read differently"
)
_HIDDEN = Refused(Reason.MALFORMED, "is also inside the value of another cookie, where some frameworks find it")
_QUOTED = Refused(Reason.MALFORMED, "is inside a quoted cookie, where some frameworks do not find it")


def cookie_values(name: str, line: str) -> list[str] | Refused:
    """Return all values of the cookie `name` in a Cookie header. Several headers count as one joined by `; `."""
    if name not in line:
        return []
    found = _find(name, line)
    # Werkzeug reads a quoted value beyond a `;`, and finds no cookie inside it.
    if isinstance(found, list) and '"' in line and _find(name, _QUOTED_COOKIE.sub("=", line)) != found:
        return _QUOTED
    return found


def _find(name: str, line: str) -> list[str] | Refused:
    hidden, ours = _patterns(name)
    found: list[str] = []
    for pair in line.split(";"):
        key, _, value = pair.partition("=")
        if ours.fullmatch(key):
            # Frameworks disagree on quotes, too, and on what else a value may hold.
            if key.lstrip(" ") != name or not COOKIE_VALUE.fullmatch(value):
                return _ODD_NAME
            found.append(value)
        elif hidden.search(pair.strip()):
            return _HIDDEN
    return found


@lru_cache(maxsize=64)
def _patterns(name: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    # The standard library's parser also ends a value at white space or a comma and begins a name there.
    hidden = re.compile(rf"[\s,]{re.escape(name)}\s*(?:=|\Z)")
    # Some frameworks strip white space of Latin-1 from a name. Django on WSGI also strips others, such as U+2028.
    ours = re.compile(rf"[^!-~]*{re.escape(name)}[^!-~]*")
    return hidden, ours
