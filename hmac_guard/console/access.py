"""Who may use the console, and what a form has to prove."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from werkzeug.wrappers import Request

from hmac_guard.core.errors import ConfigError
from hmac_guard.keys.sql.tables import MOST_NAME
from hmac_guard.log import logger, where

ROLES = ("viewer", "operator")


@dataclass(frozen=True, slots=True)
class Operator:
    """Who uses the console.

    Args:
        name: The name for the audit, at most 255 printable characters.
        role: "viewer" sees every page and checks signatures. "operator" also changes keys and modes, and may see the
            right signature.

    Raises:
        ConfigError: The name cannot be written into the audit, or the role is unknown.
    """

    name: str
    role: Literal["viewer", "operator"] = "viewer"

    def __post_init__(self) -> None:
        name = self.name
        if not (isinstance(name, str) and name.strip() and name.isprintable() and len(name) <= MOST_NAME):
            raise ConfigError(f"Operator: name must be printable text of at most {MOST_NAME} characters")
        if self.role not in ROLES:
            raise ConfigError('Operator: role must be "viewer" or "operator"')

    @property
    def may_change(self) -> bool:
        return self.role == "operator"


#: It is user code: what it returns is looked at.
Authorize = Callable[[Request], Any]


def operator_of(authorize: Authorize, request: Request) -> Operator | None:
    """Return who sent a request: None if `authorize` raises, or returns anything but an `Operator`."""
    try:
        found, failure = authorize(request), ""
    except Exception as error:
        found, failure = None, f"failed: {where(error)}"
    if isinstance(found, Operator):
        return found
    if failure or found is not None:
        logger.warning(
            "console: authorize %s", failure or f"returned a {type(found).__name__}, no Operator and not None"
        )
    return None


def check_origins(origins: object) -> frozenset[str]:
    """Return the origins.

    Raises:
        ConfigError: One of them is not an origin.
    """
    if isinstance(origins, str) or not hasattr(origins, "__iter__"):
        raise ConfigError('Console: give origins as a list: origins=["https://admin.example.com"]')
    found = frozenset(origins)
    for origin in found:
        parts = urlsplit(origin) if isinstance(origin, str) else None
        if parts is None or parts.scheme not in ("http", "https") or origin != f"{parts.scheme}://{parts.netloc}":
            raise ConfigError(f"Console: {origin!r} is not an origin; write it like https://admin.example.com")
    return found


def is_own_origin(request: Request, origins: frozenset[str]) -> bool:
    """Whether a form was sent by a page of this console. A browser sends `Origin` with every POST."""
    origin = request.headers.get("Origin", "")
    return origin in origins or origin == f"{request.scheme}://{request.headers.get('Host', '')}"
