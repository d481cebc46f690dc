"""Sources: the places of a request in which one string may travel (threats T024 to T040)."""

import re

from hmac_guard.core.cookies import COOKIE_VALUE
from hmac_guard.core.errors import ConfigError
from hmac_guard.core.paths import compile_templates, is_canonical
from hmac_guard.core.source import Quote, Source, check_name

# Visible ASCII without what a query, a form or a quoted string would need escaped.
_FIELD_NAME = re.compile(r"[!$'-*,-:<>-\[\]-~]+")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^`|~-]+")
_COOKIE_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_NOT_A_PLACE = {"content-type", "content-length", "content-encoding", "transfer-encoding", "host", "connection"}
_POINTER = re.compile(r"(?:/(?:[^/~]|~[01])*)+")

#: What a header may hold: visible ASCII, single spaces inside.
HEADER_VALUE = re.compile(r"[!-~]+(?: [!-~]+)*")


class Query(Source):
    """The query parameter `name`. `+` is a space, escapes are UTF-8, and the parameter is there once."""

    name: str

    def __init__(self, name: str) -> None:
        check_name("Query", name, _FIELD_NAME, "visible ASCII without & = + % ; # quote and backslash")
        self._set(name=name)

    @property
    def parameter(self) -> tuple[str, str]:
        return "query", self.name

    def describe(self, quote: Quote = ascii) -> str:
        return f"query parameter {quote(self.name)}"


class Form(Source):
    """The field `name` of an urlencoded or multipart body; in multipart a plain text field, never a file."""

    name: str
    kinds = ("form", "multipart")

    def __init__(self, name: str) -> None:
        check_name("Form", name, _FIELD_NAME, "visible ASCII without & = + % ; # quote and backslash")
        self._set(name=name)

    def describe(self, quote: Quote = ascii) -> str:
        return f"form field {quote(self.name)}"


class Json(Source):
    """The string at `pointer` (RFC 6901, `/order/id`) of a JSON body. `allow_int=True` also takes a whole number
    within ±(2^53-1), as canonical decimal; beyond that JavaScript would round it."""

    pointer: str
    allow_int: bool
    kinds = ("json",)

    def __init__(self, pointer: str, allow_int: bool = False) -> None:
        check_name("Json", pointer, _POINTER, "a JSON pointer (RFC 6901) that starts with '/', such as '/order/id'")
        self._set(pointer=pointer, allow_int=allow_int)

    def place(self) -> object:
        return Json, self.pointer

    def tokens(self) -> list[str]:
        """The pointer's reference tokens, unescaped."""
        return [token.replace("~1", "/").replace("~0", "~") for token in self.pointer[1:].split("/")]

    def describe(self, quote: Quote = ascii) -> str:
        return f"JSON body at {quote(self.pointer)}"


class Header(Source):
    """The header `name`: one line of visible ASCII, single inner spaces, no comma (WSGI joins two lines with one).
    `before=":"` takes what is before the first `:`; a value without one names nothing."""

    name: str
    before: str

    def __init__(self, name: str, before: str = "") -> None:
        check_name("Header", name, _HEADER_NAME, "letters, digits and '-', no '_' (servers drop or confuse it)")
        if name.lower() == "cookie":
            raise ConfigError("Header: for a cookie use Cookie(name)")
        if name.lower() in _NOT_A_PLACE:
            raise ConfigError(f"Header: {name!r} tells how the request is framed; it cannot hold an id")
        if not isinstance(before, str) or not (before == "" or (HEADER_VALUE.fullmatch(before) and "," not in before)):
            raise ConfigError("Header: before must be visible ASCII without a comma, such as ':'")
        self._set(name=name, before=before)

    @property
    def parameter(self) -> tuple[str, str]:
        return "header", self.name

    def place(self) -> object:
        return Header, self.name.lower()

    def carries(self, text: str) -> bool:
        return bool(HEADER_VALUE.fullmatch(text)) and "," not in text and not (self.before and self.before in text)

    def describe(self, quote: Quote = ascii) -> str:
        return f"header {quote(self.name)}" + (f" before {quote(self.before)}" if self.before else "")


class Cookie(Source):
    """The cookie `name`: RFC 6265 characters, unquoted, without `%` (one framework would decode it)."""

    name: str

    def __init__(self, name: str) -> None:
        check_name("Cookie", name, _COOKIE_NAME, "letters, digits and !#$%&'*+-.^_`|~ (an RFC 6265 token)")
        self._set(name=name)

    @property
    def parameter(self) -> tuple[str, str]:
        return "cookie", self.name

    def carries(self, text: str) -> bool:
        return bool(COOKIE_VALUE.fullmatch(text))

    def describe(self, quote: Quote = ascii) -> str:
        return f"cookie {quote(self.name)}"


class Path(Source):
    """A segment of the application's path: `Path("/oauth/connect/{integration_id}", …)`, templates of the whole path.

    The placeholder with the id's name is the id; another one stands for any segment. A placeholder is a whole segment
    and never spans `/`. A path that is not canonical is refused, and so is one that frameworks read differently under
    the mount point (`root_path`) that the server gives.
    """

    templates: tuple[str, ...]
    shared = True

    def __init__(self, *templates: str) -> None:
        if not templates:
            raise ConfigError("Path: give at least one template of a whole path, such as '/connect/{connection_id}'")
        self._set(templates=templates)

    def place(self) -> object:
        return Path

    def check(self, name: str) -> None:
        compile_templates(self.templates, name)

    def carries(self, text: str) -> bool:
        return "/" not in text and is_canonical("/" + text)

    def describe(self, quote: Quote = ascii) -> str:
        return "path " + " or ".join(map(quote, self.templates))


#: The kinds of source that the reader reads.
SOURCES = (Query, Form, Json, Header, Cookie, Path)
