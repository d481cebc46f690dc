"""What reached the application, and every way in which an application could take it.

Nothing here is the guard's: paths and ids are read as naively as the most generous framework reads them (threats 1.0,
1.1, 1.3, 1.8).
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie
from itertools import product
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from acceptance.wire.guards import ITEMS

_EXEMPT = re.compile(r"/health|/static/(\w[\w.-]*/)*(\w[\w.-]*)?")


class Message(NamedTuple):
    """What the signature of a webhook is made over. The id is "" where the scheme signs none."""

    id: str
    time: str
    #: `digest_of` the raw body.
    digest: str


def digest_of(body: bytes) -> str:
    return sha256(body).hexdigest()


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
    digest: str
    reason: str | None
    ids: dict[str, str]
    signed_at: float | None

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

    def messages_read(self) -> set[Message]:
        """Every webhook that some application could read, if it takes the first, the last or a middle one of several
        ids and times."""
        if self.guard != ITEMS:
            return self._messages(self.header("webhook-id"), self.header("webhook-timestamp"))
        lines = self.header("stripe-signature")
        items = [item.strip().partition("=") for line in lines for item in line.split(",")]
        return self._messages([""], [time.strip() for key, _, time in items if key == "t"])

    def _messages(self, ids: list[str], times: list[str]) -> set[Message]:
        return {Message(*read, self.digest) for read in product(ids, times)}

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
