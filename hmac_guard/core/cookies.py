"""Cookies: the source in which a value may hide inside another one (threats T030)."""

import re
from collections.abc import Sequence

from hmac_guard.core.errors import Refused
from hmac_guard.core.field import Lookup, Source, check_name
from hmac_guard.core.request import Request
from hmac_guard.core.verdict import Reason

_COOKIE_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_COOKIE_VALUE = re.compile(r"[!#$&-+\--:<-\[\]-~]*")
_QUOTED_COOKIE = re.compile(r'=[ \t]*"(?:[^\\"]|\\.)*"[ \t]*(?=;|\Z)')


class Cookie(Source):
    """The cookie `name`: RFC 6265 characters, unquoted, without `%` (one framework would decode it)."""

    name: str

    def __init__(self, name: str) -> None:
        check_name("Cookie", name, _COOKIE_NAME, "letters, digits and !#$%&'*+-.^_`|~ (an RFC 6265 token)")
        self._set(name=name)

    def lookup(self, name: str) -> Lookup:
        # The standard library's parser also ends a value at white space or a comma and begins a name there.
        hidden = re.compile(rf"[\s,]{re.escape(self.name)}\s*(?:=|\Z)")
        # Some strip a name of what is white space in Latin-1, Django at WSGI of what is so in UTF-8 (U+2028 say).
        ours = re.compile(rf"[^!-~]*{re.escape(self.name)}[^!-~]*")

        def find(line: str) -> list[str]:
            found: list[str] = []
            for pair in line.split(";"):
                key, _, value = pair.partition("=")
                if ours.fullmatch(key):
                    # Frameworks disagree on quotes, too, and on what else a value may hold.
                    if key.lstrip(" ") != self.name or not _COOKIE_VALUE.fullmatch(value):
                        raise Refused(Reason.MALFORMED)
                    found.append(value)
                elif hidden.search(pair.strip()):
                    raise Refused(Reason.MALFORMED)
            return found

        def values(request: Request) -> Sequence[str]:
            line = "; ".join(request.header("cookie"))
            if self.name not in line:
                return ()
            found = find(line)
            # To Werkzeug a quoted value goes on across a `;`, and what stands in it is no cookie.
            if '"' in line and find(_QUOTED_COOKIE.sub("=", line)) != found:
                raise Refused(Reason.MALFORMED)
            return found

        return values

    def carries(self, text: str) -> bool:
        return bool(_COOKIE_VALUE.fullmatch(text))
