"""Sources: the places of a request in which one string may travel (threats T024 to T040)."""

import re
from collections.abc import Sequence
from typing import Any

from hmac_guard.core.bodies import NOWHERE, step_down
from hmac_guard.core.cookies import Cookie as Cookie
from hmac_guard.core.errors import ConfigError, Refused
from hmac_guard.core.field import Lookup, Source, check_name
from hmac_guard.core.paths import compile_templates, is_canonical
from hmac_guard.core.request import Request
from hmac_guard.core.verdict import Reason

# Visible ASCII without what a query, a form or a quoted string would need escaped.
_FIELD_NAME = re.compile(r"[!$'-*,-:<>-\[\]-~]+")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^`|~-]+")
_HEADER_VALUE = re.compile(r"[!-~]+(?: [!-~]+)*")
_NOT_A_PLACE = {"content-type", "content-length", "content-encoding", "transfer-encoding", "host", "connection"}
_POINTER = re.compile(r"(?:/(?:[^/~]|~[01])*)+")
_MAX_INT = 2**53 - 1


class Query(Source):
    """The query parameter `name`. `+` is a space, escapes are UTF-8, and it stands there once."""

    name: str

    def __init__(self, name: str) -> None:
        check_name("Query", name, _FIELD_NAME, "visible ASCII without & = + % ; # quote and backslash")
        self._set(name=name)

    def lookup(self, name: str) -> Lookup:
        return lambda request: request.query_values(self.name)


class Form(Source):
    """The field `name` of an urlencoded or multipart body; in multipart a plain text field, never a file."""

    name: str
    kinds = ("form", "multipart")

    def __init__(self, name: str) -> None:
        check_name("Form", name, _FIELD_NAME, "visible ASCII without & = + % ; # quote and backslash")
        self._set(name=name)

    def lookup(self, name: str) -> Lookup:
        return lambda request: request.form_values(self.name)


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

    def lookup(self, name: str) -> Lookup:
        tokens = self.tokens()
        return lambda request: self._texts(step_down(request.json_document(), tokens))

    def tokens(self) -> list[str]:
        """The pointer's reference tokens, unescaped."""
        return [token.replace("~1", "/").replace("~0", "~") for token in self.pointer[1:].split("/")]

    def _texts(self, node: Any) -> Sequence[str]:
        if node is NOWHERE:
            return ()
        if isinstance(node, str):
            return (node,)
        if node is None:
            return ("",)
        if self.allow_int and type(node) is int and abs(node) <= _MAX_INT:
            return (str(node),)
        raise Refused(Reason.MALFORMED)


class Header(Source):
    """The header `name`: one line of visible ASCII, single inner spaces, no comma (WSGI joins two lines with one).
    `before=":"` takes what stands before the first `:`; a value without one names nothing."""

    name: str
    before: str

    def __init__(self, name: str, before: str = "") -> None:
        check_name("Header", name, _HEADER_NAME, "letters, digits and '-', no '_' (servers drop or confuse it)")
        if name.lower() == "cookie":
            raise ConfigError("Header: for a cookie use Cookie(name)")
        if name.lower() in _NOT_A_PLACE:
            raise ConfigError(f"Header: {name!r} tells how the request is framed; it is no place for an id")
        if not isinstance(before, str) or not (before == "" or (_HEADER_VALUE.fullmatch(before) and "," not in before)):
            raise ConfigError("Header: before must be visible ASCII without a comma, such as ':'")
        self._set(name=name, before=before)

    def place(self) -> object:
        return Header, self.name.lower()

    def lookup(self, name: str) -> Lookup:
        wire_name = self.name.lower()
        return lambda request: self._values(request.header(wire_name))

    def _values(self, lines: Sequence[str]) -> Sequence[str]:
        if not lines:
            return ()
        if len(lines) > 1 or "," in lines[0]:
            raise Refused(Reason.DUPLICATE)
        if lines[0] and not _HEADER_VALUE.fullmatch(lines[0]):
            raise Refused(Reason.MALFORMED)
        if not self.before:
            return lines
        value, separator, _ = lines[0].partition(self.before)
        return (value if separator else "",)

    def carries(self, text: str) -> bool:
        return bool(_HEADER_VALUE.fullmatch(text)) and "," not in text and not (self.before and self.before in text)


class Path(Source):
    """A segment of the application's path: `Path("/oauth/connect/{integration_id}", …)`, templates of the whole path.

    The placeholder that bears the id's name is the id; another one stands for any segment. A placeholder is a whole
    segment and never spans `/`. A path that is not canonical is refused.
    """

    templates: tuple[str, ...]
    shared = True

    def __init__(self, *templates: str) -> None:
        if not templates:
            raise ConfigError("Path: give at least one template of a whole path, such as '/connect/{connection_id}'")
        self._set(templates=templates)

    def place(self) -> object:
        return Path

    def lookup(self, name: str) -> Lookup:
        pattern = compile_templates(self.templates, name)

        def values(request: Request) -> Sequence[str]:
            # A mounted application's own root may be "": no template matches it, and nothing else can be meant by it.
            if request.path and not is_canonical(request.path):
                raise Refused(Reason.MALFORMED)
            match = pattern.fullmatch(request.path)
            return (match[match.lastindex or 0],) if match else ()

        return values

    def carries(self, text: str) -> bool:
        return "/" not in text and is_canonical("/" + text)
