"""Who may use the console, and what a form must prove."""

import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from werkzeug.wrappers import Request

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.keys.sql.tables import MAX_NAME
from hmac_guard.log import failure_of, logger

ROLES = ("viewer", "operator")


@dataclass(frozen=True, slots=True)
class Operator:
    """A person who uses the console.

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
        if not (isinstance(name, str) and name.strip() and name.isprintable() and len(name) <= MAX_NAME):
            raise ConfigError(f"Operator: name must be printable text of at most {MAX_NAME} characters")
        if self.role not in ROLES:
            raise ConfigError('Operator: role must be "viewer" or "operator"')

    @property
    def may_change(self) -> bool:
        return self.role == "operator"


#: An origin as browsers send it (RFC 6454 section 6.2).
_ORIGIN = re.compile(r"(?:https(?!.*:443$)|http(?!.*:80$))://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")

#: User code that returns the operator of a request. The console checks what it returns.
Authorize = Callable[[Request], Any]


def operator_of(authorize: Authorize, request: Request) -> Operator | None:
    """Return the operator who sent a request.

    Args:
        authorize: The function of the user.
        request: The request.

    Returns:
        The operator. None if `authorize` raises an exception, or returns something that is not an `Operator`; both are
        logged as a warning.
    """
    try:
        found, failure = authorize(request), ""
    except Exception as error:
        found, failure = None, f"failed: {failure_of(error)}"
    if isinstance(found, Operator):
        return found
    if failure or found is not None:
        logger.warning(
            "console: authorize %s", failure or f"returned a {type(found).__name__}; it must return an Operator or None"
        )
    return None


def check_origins(origins: object) -> frozenset[str]:
    """Return the argument `origins` of a `Console` as a set.

    Raises:
        ConfigError: It is not a list, or one of its items is not an origin such as "https://admin.example.com".
    """
    if isinstance(origins, str) or not hasattr(origins, "__iter__"):
        raise ConfigError('Console: give origins as a list: origins=["https://admin.example.com"]')
    found = list(origins)
    for origin in found:
        if not isinstance(origin, str) or not _ORIGIN.fullmatch(origin):
            raise ConfigError(
                f"Console: {origin!r} is not an origin as browsers send it; write it like https://admin.example.com, "
                "in lower case and without the default port"
            )
    return frozenset(found)


def is_own_origin(request: Request, origins: frozenset[str]) -> bool:
    """Return whether a page of this console sent a form. A browser sends `Origin` with every POST."""
    origin = request.headers.get("Origin", "")
    return origin in origins or origin == f"{request.scheme}://{request.headers.get('Host', '')}"


#: Seconds for which a form may be sent.
FORM_LIFETIME = 12 * 3_600

#: Seconds by which the clock of another worker may differ.
CLOCK_SKEW = 300

#: The random bytes of a session name.
_BYTES = 32


class TokenProblem(Enum):
    """Why the console refuses the token of a form. The value is shown on the page."""

    MISSING = "the form has no token, or the browser sent no cookie of this page"
    OTHER_SESSION = "the token of the form belongs to another session or to another operator"
    EXPIRED = "the form is older than 12 hours"


def new_session() -> str:
    """Return a random name for the session of a browser: 43 characters of URL-safe base64."""
    return secrets.token_urlsafe(_BYTES)


def is_session(text: str) -> bool:
    """Return whether a text has the form of a session name."""
    return len(text) == 43 and text.isascii()


def make_token(secret: Hidden[str], session: str, operator: str, now: float) -> str:
    """Return a token for the forms of one operator in one session.

    Args:
        secret: The secret that all workers share.
        session: The name of the session.
        operator: The name of the operator.
        now: The Unix time in seconds. The token is valid for `FORM_LIFETIME` seconds from then on.
    """
    at = str(int(now))
    return f"{at}.{_mac(secret, session, operator, at).get()}"


def check_token(secret: Hidden[str], token: str, session: str, operator: str, now: float) -> TokenProblem | None:
    """Check the token of a form.

    Args:
        secret: The secret that all workers share.
        token: The token of the form.
        session: The name of the session, from the cookie, or "".
        operator: The name of the operator.
        now: The Unix time in seconds.

    Returns:
        What is wrong, or None.
    """
    at, _, mac = token.partition(".")
    if not session or not (at.isascii() and at.isdigit() and len(at) < 20):
        return TokenProblem.MISSING
    if not is_same_token(mac, _mac(secret, session, operator, at)):
        return TokenProblem.OTHER_SESSION
    return None if -CLOCK_SKEW <= now - int(at) <= FORM_LIFETIME else TokenProblem.EXPIRED


def is_same_token(given: str, right: Hidden[str]) -> bool:
    """Compare a token with the right one, in constant time."""
    return hmac.compare_digest(given.encode(errors="replace"), right.get().encode())


def _mac(secret: Hidden[str], *parts: str) -> Hidden[str]:
    # Each part is after its length, so that two lists of parts never give the same text.
    text = "".join(f"{len(part)}:{part}" for part in ("form", *parts))
    return hide(hmac.digest(secret.get().encode(), text.encode(), "sha256").hex())


def made_once(make: Callable[[], Hidden[str]]) -> Callable[[], Hidden[str]]:
    """Return a function that makes a secret at its first call, and returns the same secret at later calls."""
    kept: list[Hidden[str]] = []

    def get() -> Hidden[str]:
        if not kept:
            kept.append(make())
        return kept[0]

    return get
