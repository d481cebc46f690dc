"""What a request says (`Claim`), what was decided about it (`Verdict`), and why (`Reason`).

Both records are named tuples: immutable, and cheap enough to be made for every request.
"""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from uuid import UUID

NO_IDS: Mapping[str, str] = MappingProxyType({})

#: Makes a named tuple from all its fields, in half the time that its own constructor takes.
make = tuple.__new__


class Reason(str, Enum):
    """Why a verdict is what it is. The values are stable: they are what logs and counters go by."""

    VERIFIED = "verified"

    MISSING_ID = "missing_id"
    MISSING_SIGNATURE = "missing_signature"
    MALFORMED = "malformed"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    AMBIGUOUS = "ambiguous"
    UNKNOWN_KEY = "unknown_key"
    INVALID_SIGNATURE = "invalid_signature"

    BAD_FRAMING = "bad_framing"
    BODY_TIMEOUT = "body_timeout"
    BODY_TOO_LARGE = "body_too_large"
    UNSUPPORTED_BODY = "unsupported_body"
    KEYS_UNAVAILABLE = "keys_unavailable"

    EXEMPT = "exempt"
    PREFLIGHT = "preflight"
    OFF = "off"

    def __str__(self) -> str:
        return self.value


VERIFIED = Reason.VERIFIED


class Claim(NamedTuple):
    """What a request says about itself. Nothing in it is proven.

    A key resolver receives it and may look at `tenant` and `ids`. `problem` is the reason why the claim cannot be
    judged, or None; where there is one, the other fields hold what had been found until then.
    """

    scheme: str
    ids: Mapping[str, str]
    tenant: str | None
    message: bytes
    signature: bytes
    problem: Reason | None

    def __repr__(self) -> str:
        # A signature is a bearer value that never expires: whoever reads a log must not be able to use it.
        return (
            f"Claim(scheme={self.scheme!r}, ids={dict(self.ids)!r}, tenant={self.tenant!r}, "
            f"problem={self.problem and self.problem.value!r})"
        )


class Verdict(NamedTuple):
    """What was decided about one request.

    `ids`, `tenant` and `key_id` are filled only where `verified` is true, so that nothing unproven can be read off a
    verdict. `ids` is text, exactly as it was signed; what a tenant's key proves, it proves for that `tenant` alone.
    """

    reason: Reason
    scheme: str
    ids: Mapping[str, str] = NO_IDS
    tenant: str | None = None
    key_id: str | None = None

    @property
    def verified(self) -> bool:
        return self.reason is VERIFIED

    def __bool__(self) -> bool:
        # A tuple with fields is always true; `if verdict:` must not fail open.
        return self.reason is VERIFIED

    def as_int(self, name: str) -> int:
        """The verified id `name` as a number; `ValueError` unless it is written as that number is printed.

        `int()` alone would let whoever may sign `01` or `+1` act as id 1.
        """
        text = self.ids[name]
        if not (text.isascii() and text.removeprefix("-").isdigit() and str(number := int(text)) == text):
            raise ValueError(f"id {name!r} was verified, but it is not a canonical decimal number")
        return number

    def as_uuid(self, name: str) -> "UUID":
        """The verified id `name` as a UUID; `ValueError` unless it is in the lower-case form with four hyphens.

        `UUID()` alone also reads upper case, braces and `urn:uuid:`, so that many signed texts become one id.
        """
        from uuid import UUID  # a slow import, and few need it

        text = self.ids[name]
        try:
            parsed = UUID(text)
        except ValueError:
            parsed = None
        if parsed is None or str(parsed) != text:
            raise ValueError(f"id {name!r} was verified, but it is not a canonical UUID") from None
        return parsed


def verdict_from(request: Any, name: str = "hmac_guard") -> Verdict:
    """The verdict that a guard left on a request.

    `request` is an ASGI scope, a WSGI environ, or a request or websocket object that has one (Flask, Quart,
    Starlette, FastAPI, Django, Litestar, Falcon, Bottle). `name` is the guard's `annotate_as`.
    Raises `LookupError` where no guard has judged the request: a string, a header or an environment variable that
    happens to bear the name is never taken for a verdict.
    """
    for holder in (request, *(getattr(request, kind, None) for kind in ("scope", "environ", "env"))):
        if isinstance(holder, Mapping) and isinstance(found := holder.get(name), Verdict):
            return found
    raise LookupError(
        f"no guard annotated this request as {name!r}; is the middleware mounted around this application?"
    )
