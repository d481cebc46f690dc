"""A `Request` from an ASGI scope (HTTP and websocket)."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from hmac_guard.core.bodies import parse_media
from hmac_guard.core.errors import UnusableRequest
from hmac_guard.core.request import Line, Request
from hmac_guard.mount_points import Mounts, below

#: Brings the spellings of a header's name into one: frameworks disagree on upper case and on `_` for `-`.
AS_ONE = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ_", b"abcdefghijklmnopqrstuvwxyz-")


class HeaderNames:
    """Headers that are looked up together, so that a request's headers are read once."""

    __slots__ = ("_blank", "_cookie", "_firsts", "_lengths", "_numbers", "count")

    def __init__(self, names: Sequence[str]) -> None:
        self._numbers = {name.encode(): number for number, name in enumerate(names)}
        self.count = len(names)
        self._lengths = frozenset(map(len, names))
        # A name may begin with "-", too. Some test clients give text.
        spellings = [
            spelling for name in names for spelling in (name.lower(), name.upper(), name.replace("-", "_")) if spelling
        ]
        self._firsts = frozenset(first for spelling in spellings for first in (spelling[0], ord(spelling[0])))
        self._blank: list[Line] = [None] * len(names)
        self._cookie = self._numbers.get(b"cookie")

    def find(self, headers: Iterable[tuple[bytes, bytes]]) -> list[Line]:
        """Return the value of each header in any spelling; a list if there are several. Cookie lines count as one."""
        numbers, lengths = self._numbers, self._lengths
        found = self._blank.copy()
        for key, value in headers:
            if len(key) in lengths:
                number = numbers.get(key)
                if number is None:
                    if key[0] not in self._firsts:
                        continue
                    number = self._in_another_spelling(key, found)
                    if number is None:
                        continue
                text = value.decode("latin-1")
                before = found[number]
                if before is None:
                    found[number] = text
                elif isinstance(before, list):
                    before.append(text)
                else:
                    found[number] = [before, text]
        if self._cookie is not None and isinstance(cookies := found[self._cookie], list):
            found[self._cookie] = "; ".join(cookies)
        return found

    def _in_another_spelling(self, key: Any, found: list[Line]) -> int | None:
        """Return the number of a header that another spelling names, and mark a type named `Content_Type`.

        Raises:
            TypeError: The name is text.
        """
        if type(key) is str:
            raise TypeError
        number = self._numbers.get(key.translate(AS_ONE))
        if number is not None and found[number] is None and key.lower() == b"content_type":
            found[number] = []  # No framework takes this line for the type of the body, so the type is unclear.
        return number


#: For an application of which nothing is known.
UNKNOWN = Mounts()


@lru_cache
def one_header(name: str) -> HeaderNames:
    """Return the `HeaderNames` of one header, in lower case."""
    return HeaderNames([name])


class AsgiRequest(Request):
    """A request that keeps several lines of one header apart.

    Attributes:
        mounts: What is known of the mount points, if the server or the application sets one.
    """

    mounts: Mounts | None = None

    def header(self, name: str) -> Line:
        return one_header(name).find(_own_headers(self.source))[0]

    def is_spelled(self, name: str) -> bool:
        return any(key == name.encode() for key, _ in _own_headers(self.source))

    def paths(self) -> Sequence[str]:
        mounts = self.mounts or UNKNOWN
        others = [below(point, self.whole_path) for point in mounts.points if point != mounts.own]
        return [*self._readings(self.root), *others, *(self._paths_of_mount() if self._is_in_mount() else ())]

    def _is_in_mount(self) -> bool:
        return bool(getattr(self.source.get("route_handler"), "is_mount", False))

    def _paths_of_mount(self) -> tuple[str, ...]:
        """Return the whole paths that lead to a mount of Litestar. In the scope, Litestar keeps only the rest."""
        app = self.source.get("litestar_app") or self.source.get("app")
        handler, rest = self.source["route_handler"], self.source["path"]
        mounts = [route for route in getattr(app, "routes", ()) if getattr(route, "route_handler", None) is handler]
        # The empty path is never exempt.
        return tuple(f"{mount.path.rstrip('/')}{rest}" for mount in mounts) or ("",)

    def id_paths(self) -> Sequence[str]:
        is_known = self.mounts is not None and self.mounts.is_known
        return self._readings(self.root if is_known else self.root.rstrip("/"))

    def _readings(self, root: str) -> Sequence[str]:
        mounts, is_in_litestar = self.mounts, "route_handler" in self.source
        if mounts is None or not root.strip("/") or (is_in_litestar and not self._is_in_mount()):
            return (self.path,)
        readings = [*dict.fromkeys([self.path, *mounts.readings(root, self.whole_path)])]
        # daphne lets every client name the mount point in a header, and an unknown application may well ignore it.
        # daphne alone leaves out `spec_version`. Litestar has already cut the path of a request in a mount.
        is_daphne = "spec_version" not in self.source.get("asgi", ("spec_version",))
        return [*readings, self.whole_path] if (is_daphne and not mounts.is_known) or is_in_litestar else readings


def read_scope(scope: Any, names: HeaderNames, with_body: bool, mounts: Mounts = UNKNOWN) -> AsgiRequest:
    """Return the request of a scope, with the headers of these names. `with_body`, the last ones are BODY_HEADERS.

    If the guard reads headers, the scope gets a copy of them. uvicorn with httptools adds the fields behind a chunked
    body to its own list, and the application would read what the guard has not read.
    """
    request = AsgiRequest()
    request.source, request.stream = scope, None
    try:
        lines = names.find(_own_headers(scope)) if names.count else []
        request.method = scope["method"]
        request.root = root = scope["root_path"]
        request.path = scope["path"]
        if root or mounts.points:
            _cut_path(request, mounts)
        request.query = scope["query_string"].decode("latin-1")
    except (AttributeError, KeyError, TypeError):
        # Test clients and some servers leave a part out, or give text, None or another kind of bytes.
        return read_scope(_as_specified(scope), names, with_body, mounts)
    if with_body:
        *lines, content_type, length, coding, transfer_encoding = lines
        request.framing = (content_type, length, coding, transfer_encoding)
        request.media, request.body_problem = parse_media(content_type), None
    request.lines = lines
    return request


def _own_headers(scope: Any) -> list[tuple[bytes, bytes]]:
    """Return a copy of the headers, which the scope gets too."""
    headers = [*(scope.get("headers") or ())]
    if headers and type(headers[0]) is not tuple:  # Falcon's test client gives iterators, which can be read once.
        headers = [(name, value) for name, value in headers]
    scope["headers"] = headers
    return headers


def _cut_path(request: AsgiRequest, mounts: Mounts) -> None:
    """Cut the mount point out of the path of a request."""
    path = request.path
    request.mounts, request.whole_path = mounts, path
    request.root = root = mounts.own or request.root
    # Litestar has already cut the path of a request that it routes.
    if root.strip("/") and "route_handler" not in request.source:
        request.path = mounts.readings(root, path)[0]
        request.keeps_root = mounts.keeps_root
    request.mounted_paths = [
        form for point in mounts.points for rest in [below(point, path)] for form in (rest, point.rstrip("/") + rest)
    ]


def _as_specified(scope: Any) -> dict[str, Any]:
    """Return the scope with its values in the types of the ASGI specification.

    Raises:
        UnusableRequest: A value has a type that cannot be converted.
    """
    headers = [(_bytes("a header's name", name), _bytes("a header", value)) for name, value in _own_headers(scope)]
    texts = {name: _text(name, scope.get(name)) for name in ("path", "root_path")}
    method = _text("method", scope.get("method")) or "GET"
    query = _bytes("query_string", scope.get("query_string"))
    return {**scope, **texts, "method": method, "query_string": query, "headers": headers}


def _bytes(what: str, value: object) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if value is None or isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value or b"")
    raise UnusableRequest(f"the ASGI scope holds {what} of the type {type(value).__name__}; bytes are expected")


def _text(what: str, value: object) -> str:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode("utf-8", "replace")
    if value is None or isinstance(value, str):
        return value or ""
    raise UnusableRequest(f"the ASGI scope holds {what} of the type {type(value).__name__}; text is expected")


def merge_cookies(scope: Any) -> None:
    """Join all Cookie lines of a scope into one, in the place of the first one. Some frameworks read only one line."""
    headers = list(scope.get("headers", ()))
    cookies = [value for name, value in headers if name.lower() == b"cookie"]
    if len(cookies) < 2:
        return
    first = next(index for index, (name, _) in enumerate(headers) if name.lower() == b"cookie")
    others = [header for header in headers[first + 1 :] if header[0].lower() != b"cookie"]
    scope["headers"] = [*headers[:first], (b"cookie", b"; ".join(cookies)), *others]
