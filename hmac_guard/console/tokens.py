"""The tokens of forms: bound to a session and to an operator, and no longer valid than a working day."""

import hmac
import secrets
from collections.abc import Callable
from enum import Enum

from hmac_guard.core.hidden import Hidden, hide

#: Seconds for which a form may be sent.
FORM_LIFETIME = 12 * 3_600

#: Seconds by which the clock of another worker may be ahead.
CLOCKS_DIFFER = 300

#: The bytes of a session's name.
_BYTES = 32


class TokenProblem(Enum):
    """Why the token of a form is refused, in words for the page."""

    MISSING = "the form has no token, or the browser sent no cookie of this page"
    FOREIGN = "the token of the form belongs to another session or to another operator"
    STALE = "the form is older than 12 hours"


def new_session() -> str:
    return secrets.token_urlsafe(_BYTES)


def is_session(text: str) -> bool:
    return len(text) == 43 and text.isascii()


def make_token(secret: Hidden[str], session: str, operator: str, now: float) -> str:
    """Return a token for the forms of one operator in one session."""
    at = str(int(now))
    return f"{at}.{_mac(secret, session, operator, at).get()}"


def check_token(secret: Hidden[str], token: str, session: str, operator: str, now: float) -> TokenProblem | None:
    """Return what is wrong with the token of a form, or None."""
    at, _, mac = token.partition(".")
    if not session or not (at.isascii() and at.isdigit() and len(at) < 20):
        return TokenProblem.MISSING
    if not same(mac, _mac(secret, session, operator, at)):
        return TokenProblem.FOREIGN
    return None if -CLOCKS_DIFFER <= now - int(at) <= FORM_LIFETIME else TokenProblem.STALE


def same(given: str, right: Hidden[str]) -> bool:
    """Compare a token in constant time."""
    return hmac.compare_digest(given.encode(errors="replace"), right.get().encode())


def _mac(secret: Hidden[str], *parts: str) -> Hidden[str]:
    # The length before each part: no two lists of parts make the same text.
    text = "".join(f"{len(part)}:{part}" for part in ("form", *parts))
    return hide(hmac.digest(secret.get().encode(), text.encode(), "sha256").hex())


def once(make: Callable[[], Hidden[str]]) -> Callable[[], Hidden[str]]:
    """Return a function that makes a secret when it is first needed, and keeps it."""
    kept: list[Hidden[str]] = []

    def get() -> Hidden[str]:
        if not kept:
            kept.append(make())
        return kept[0]

    return get
