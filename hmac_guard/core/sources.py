"""Sources: the places of a request in which one string may be sent (threats T024 to T040)."""

import re

from hmac_guard.core.bodies import MAX_DEPTH, TOKEN
from hmac_guard.core.cookies import COOKIE_VALUE
from hmac_guard.core.errors import ConfigError
from hmac_guard.core.numbers import check_flag
from hmac_guard.core.paths import compile_templates, is_canonical
from hmac_guard.core.source import Quote, Source, check_name

# Visible ASCII without what a query, a form or a quoted string would need escaped.
_FIELD_NAME = re.compile(r"[!$'-*,-:<>-\[\]-~]+")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^`|~-]+")
_COOKIE_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_NOT_A_PLACE = {"content-type", "content-length", "content-encoding", "transfer-encoding", "host", "connection"}
_SEPARATOR = re.compile(r"[ !-,/:-@\[-^`{-~]")
_ITEM_KEY = re.compile(r"[A-Za-z0-9_.-]+")
_POINTER = re.compile(r"(?:/(?:[^/~]|~[01])*)+")

#: What a header may hold: visible ASCII, single spaces inside.
HEADER_VALUE = re.compile(r"[!-~]+(?: [!-~]+)*")


class Query(Source):
    """The query parameter `name`. `+` is a space, escapes are UTF-8, and the parameter occurs once."""

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
    """The field `name` of an urlencoded or multipart body. In multipart it is a plain text field, never a file."""

    name: str
    kinds = ("form", "multipart")

    def __init__(self, name: str) -> None:
        check_name("Form", name, _FIELD_NAME, "visible ASCII without & = + % ; # quote and backslash")
        self._set(name=name)

    def describe(self, quote: Quote = ascii) -> str:
        return f"form field {quote(self.name)}"


class Json(Source):
    """The string at `pointer` of a JSON body.

    Args:
        pointer: A JSON pointer (RFC 6901) that starts with "/", such as "/order/id".
        allow_int: Also accept a whole number within ±(2^53-1), as canonical decimal: JavaScript rounds larger ones.

    Raises:
        ConfigError: An argument is not valid.
    """

    pointer: str
    allow_int: bool
    kinds = ("json",)

    def __init__(self, pointer: str, allow_int: bool = False) -> None:
        check_name("Json", pointer, _POINTER, "a JSON pointer (RFC 6901) that starts with '/', such as '/order/id'")
        if pointer.count("/") > MAX_DEPTH:
            raise ConfigError(f"Json: the pointer has more than {MAX_DEPTH} levels, and no guard reads a deeper body")
        check_flag("Json: allow_int", allow_int)
        self._set(pointer=pointer, allow_int=allow_int)

    def place(self) -> object:
        return Json, self.pointer

    def tokens(self) -> list[str]:
        """Return the reference tokens of the pointer, unescaped."""
        return [token.replace("~1", "/").replace("~0", "~") for token in self.pointer[1:].split("/")]

    def describe(self, quote: Quote = ascii) -> str:
        return f"JSON body at {quote(self.pointer)}"


class Header(Source):
    """The header `name`: one line of visible ASCII, single inner spaces, no comma (WSGI joins two lines with one).

    `before=":"` reads what is before the first `:`. A value without one names nothing.
    """

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

    def item(self, key: str, *, separators: tuple[str, str]) -> "HeaderItem":
        """Return the items of the header with this key.

        Args:
            key: The key: "v1" for `Stripe-Signature: t=…,v1=…,v1=…`.
            separators: The character between two items, and the one between key and value, such as `(",", "=")`.

        Raises:
            ConfigError: An argument is not valid, or the header has `before`.
        """
        if self.before:
            raise ConfigError("Header: before= and .item() cannot be combined; the items already have a separator")
        return HeaderItem(self.name, key, separators)

    def can_carry(self, text: str) -> bool:
        read = (text + self.before).partition(self.before)[0] if self.before else text
        return bool(HEADER_VALUE.fullmatch(text)) and "," not in text and read == text

    def describe(self, quote: Quote = ascii) -> str:
        return f"header {quote(self.name)}" + (f" before {quote(self.before)}" if self.before else "")


class HeaderItem(Source):
    """The items of the header `name` that have `key`. Made by `Header(name).item(key, separators=…)`.

    Quotes mean nothing, and nothing is trimmed. The value is everything after the first inner separator. Items with
    other keys are skipped. For a signature one to eight items may be there; for an id or a time exactly one.
    """

    name: str
    key: str
    between: str
    inner: str

    def __init__(self, name: str, key: str, separators: tuple[str, str]) -> None:
        if not isinstance(separators, tuple) or len(separators) != 2 or len({*separators}) != 2:
            raise ConfigError('Header: separators are two different characters: separators=(",", "=")')
        for separator in separators:
            if not isinstance(separator, str) or not _SEPARATOR.fullmatch(separator):
                raise ConfigError(
                    "Header: a separator is one character of visible ASCII that no name or number has, such as ',' or "
                    "'='; between two items it may be a space"
                )
        if separators[1] == " ":
            raise ConfigError("Header: a space cannot separate a key from its value; give '=' or another character")
        check_name("Header", key, _ITEM_KEY, "the key of an item: letters, digits, '-', '_' and '.'")
        self._set(name=name, key=key, between=separators[0], inner=separators[1])

    @property
    def parameter(self) -> tuple[str, str]:
        return "header", self.name

    def place(self) -> object:
        return Header, self.name.lower(), self.key

    def can_carry(self, text: str) -> bool:
        stray = "," in text and self.between != ","
        return bool(HEADER_VALUE.fullmatch(text)) and self.between not in text and not stray

    def describe(self, quote: Quote = ascii) -> str:
        return f"item {quote(self.key)} of header {quote(self.name)}"


class Cookie(Source):
    """The cookie `name`: RFC 6265 characters, unquoted, without `%` (one framework would decode it)."""

    name: str

    def __init__(self, name: str) -> None:
        check_name("Cookie", name, _COOKIE_NAME, "letters, digits and !#$%&'*+-.^_`|~ (an RFC 6265 token)")
        self._set(name=name)

    @property
    def parameter(self) -> tuple[str, str]:
        return "cookie", self.name

    def can_carry(self, text: str) -> bool:
        return bool(COOKIE_VALUE.fullmatch(text))

    def describe(self, quote: Quote = ascii) -> str:
        return f"cookie {quote(self.name)}"


class Path(Source):
    """A segment of the path: `Path("/connect/{user_id}", …)`, templates of the decoded path without the mount point.

    The placeholder with the id's name is the id; any other placeholder matches any segment. A placeholder is a whole
    segment and never contains `/`. These paths are refused: one that is not canonical; one that differs from a template
    only by its last `/`, because some routers serve it too (give both templates if yours does); and one that frameworks
    read differently under the mount point (`root_path`) that the server gives.
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

    def can_carry(self, text: str) -> bool:
        return "/" not in text and is_canonical("/" + text)

    def describe(self, quote: Quote = ascii) -> str:
        return "path " + " or ".join(map(quote, self.templates))


#: The name of a method (RFC 9110 section 9.1).
METHOD_NAME = re.compile(TOKEN)
#: The kinds of source that the reader reads.
SOURCES = (Query, Form, Json, Header, HeaderItem, Cookie, Path)
