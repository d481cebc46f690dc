"""What reached the application, and every way in which an application could take it.

Nothing here is the guard's: paths and ids are read as naively as the most generous framework reads them (threats 1.0,
1.1, 1.3, 1.8).
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl

_EXEMPT = re.compile(r"/health|/static/(\w[\w.-]*/)*(\w[\w.-]*)?")


@dataclass(frozen=True)
class Reach:
    """One request, as the application behind `guard` wrote it down."""

    guard: str
    path: str
    root: str
    query: str
    headers: list[tuple[str, str]]
    length: str | None
    body: str
    reason: str | None
    ids: dict[str, str]

    @classmethod
    def of(cls, line: str) -> "Reach":
        return cls(**json.loads(line))

    def header(self, name: str) -> list[str]:
        """Every value under any spelling: some frameworks take `_` for `-`."""
        return [value for key, value in self.headers if key.replace("_", "-") == name]

    def ids_read(self) -> set[str]:
        """Every id that some application could read somewhere."""
        query = [value for name, value in parse_qsl(self.query, keep_blank_values=True) if name == "a"]
        segments = [match[1] for path in self.routed() if (match := re.fullmatch(r"/p/([^/]*)/c", path))]
        return {*query, *self.header("x-id"), *self._cookies(), *segments, *self._from_body()}

    def handlers(self) -> set[str]:
        """The guarded handlers that some router would run."""
        names = {"/admin": "admin", "/x": "x"}
        return {"p" if path.startswith("/p/") else names.get(path, "") for path in self.routed()} - {""}

    def routed(self) -> set[str]:
        """The paths that some router would look for."""
        return {_generously(path) for path in self._paths()}

    def may_go_unsigned(self) -> bool:
        """Whether it may have come here without a signature: for no guarded handler, and if the guard exempts paths,
        for exactly one of those."""
        if self.guard not in ("exempt", "only") or self.handlers():
            return False
        return self.guard == "only" or _EXEMPT.fullmatch(self._own_path()) is not None

    def _own_path(self) -> str:
        """The path without the mount point, as Starlette has it."""
        root = self.root.rstrip("/")
        return self.path[len(root) :] if root and self.path.startswith(root + "/") else self.path

    def _paths(self) -> set[str]:
        """Quart and Litestar cut the mount point out wherever it stands."""
        cut = self.path.split(self.root, 1)[-1] if self.root.strip("/") else self.path
        return {self.path, self._own_path(), cut}

    def _cookies(self) -> Iterator[str]:
        for line in self.header("cookie"):
            pairs = [pair.partition("=") for pair in re.split("[;,]", line)]
            yield from (value.strip(' "') for name, _, value in pairs if name.strip() == "a")
            try:
                yield from (morsel.value for name, morsel in SimpleCookie(line).items() if name == "a")
            except CookieError:
                continue

    def _from_body(self) -> Iterator[str]:
        try:
            found: Any = json.loads(self.body.encode("latin-1"))
        except ValueError:
            return
        if isinstance(found, dict) and "id" in found:
            yield found["id"]


def _generously(path: str) -> str:
    """Quart takes a path for a URL, Flask and Litestar do not count slashes, Starlette's `$` overlooks a new line."""
    path = re.sub(r"^[a-z]+://[^/]*", "", path).removesuffix("\n")
    return "/" + path.strip("/")
