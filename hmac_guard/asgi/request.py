"""A `Request` out of an ASGI scope (HTTP and websocket)."""

from collections.abc import Iterable, Sequence
from typing import Any

from hmac_guard.asgi.body import Body
from hmac_guard.core.request import Request
from hmac_guard.core.scheme import Scheme

OF_BODIES = ("content-type", "content-length", "content-encoding", "transfer-encoding")
#: Brings the spellings of a header's name into one: frameworks disagree on upper case and on `_` for `-`.
AS_ONE = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ_", b"abcdefghijklmnopqrstuvwxyz-")


class HeaderNames:
    """Headers that are looked up together, so that a request's headers are gone through once and no further."""

    __slots__ = ("_lengths", "_names", "_none")

    def __init__(self, *names: str) -> None:
        self._names = {name.encode(): name for name in names}
        self._lengths = frozenset(map(len, names))
        self._none: dict[str, Sequence[str]] = dict.fromkeys(names, ())

    @classmethod
    def of(cls, scheme: Scheme) -> "HeaderNames":
        """Those that every request to a guard with this scheme is asked for."""
        return cls(*scheme.header_names(), *(OF_BODIES if scheme.needs_body else ()))

    def find(self, headers: Iterable[tuple[bytes, bytes]]) -> dict[str, Sequence[str]]:
        """All values of each, under every spelling."""
        names, lengths = self._names, self._lengths
        found: dict[str, Any] = self._none.copy()
        for key, value in headers:
            if len(key) in lengths:
                name = names.get(key) or names.get(key.translate(AS_ONE))
                if name is not None:
                    if found[name]:
                        found[name].append(value.decode("latin-1"))
                    else:
                        found[name] = [value.decode("latin-1")]
        return found


class AsgiRequest(Request):
    """Those of its headers that `names` lists are looked up together, any other one by itself."""

    _found: dict[str, Sequence[str]] | None = None

    def __init__(self, scope: Any, names: HeaderNames) -> None:
        self._scope = scope
        self._names = names
        self.method = scope.get("method", "GET")

    def hold(self, body: Body) -> None:
        """Have this body, as far as it could be read."""
        self.body, self.body_problem, self._parsed = body.content, body.problem, body.document

    @property
    def path(self) -> str:
        return path_of(self._scope)

    @property
    def query(self) -> str:
        query: str = self._scope.get("query_string", b"").decode("latin-1")
        return query

    def header(self, name: str) -> Sequence[str]:
        found = self._found
        if found is None:
            found = self._found = self._names.find(self._scope.get("headers", ()))
        if name not in found:
            found.update(HeaderNames(name).find(self._scope.get("headers", ())))
        return found[name]

    def paths(self) -> Sequence[str]:
        root: str = self._scope.get("root_path", "")
        if not root.strip("/"):
            return (self.path,)
        path: str = self._scope.get("path", "")
        # Quart and Litestar cut the mount point out without a look at what follows; Litestar wherever it stands.
        readings = (self.path, path.split(root, 1)[-1])
        # daphne lets every client name the mount point in a header, and an application may well ignore it. It is known
        # by the `spec_version` that it alone leaves out.
        return readings if "spec_version" in self._scope.get("asgi", ("spec_version",)) else (*readings, path)


def path_of(scope: Any) -> str:
    """The path without the mount point: some servers (uvicorn) leave `root_path` in `path`, others do not."""
    path: str = scope.get("path", "")
    root: str = scope.get("root_path", "")
    root = root.rstrip("/")
    if root and (path == root or path.startswith(root + "/")):
        return path[len(root) :]
    return path


def merged_cookies(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers with all Cookie lines as one, where the first one stood: some frameworks read only one of several."""
    headers = list(headers)
    cookies = [value for name, value in headers if name.lower() == b"cookie"]
    if len(cookies) < 2:
        return headers
    first = next(index for index, (name, _) in enumerate(headers) if name.lower() == b"cookie")
    others = [header for header in headers[first + 1 :] if header[0].lower() != b"cookie"]
    return [*headers[:first], (b"cookie", b"; ".join(cookies)), *others]
