"""What a request says (`Claim`), what was decided about it (`Verdict`, `Decision`), and why (`Reason`)."""

from collections.abc import Iterator, Mapping
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

if TYPE_CHECKING:
    from uuid import UUID

NO_CLAIMED: Mapping[str, str] = MappingProxyType({})


class NoIds(Mapping[str, str]):
    """The ids of a verdict that is not verified: there are none, and a look-up says why."""

    __slots__ = ()

    def __getitem__(self, name: str) -> NoReturn:
        raise KeyError(
            f"{name!r}: this request is not verified, so no id is proven. Test the verdict first: `if verdict:`. In "
            "report mode take `verdict.claimed`, which holds the ids as the request states them, unproven; where "
            "verdict.reason is Reason.OFF or Reason.EXEMPT, read the request yourself"
        )

    def __contains__(self, name: object) -> bool:
        return False

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "{}"


NO_IDS: Mapping[str, str] = NoIds()

#: Makes a named tuple from all its fields, in half the time that its own constructor takes.
make = tuple.__new__
#: Makes an object without a call of its `__init__`, which takes as long again.
new = object.__new__


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
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    REPLAYED = "replayed"

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


class Refused(NamedTuple):
    """A part of a request cannot be read in the one way in which every framework reads it.

    `detail` says which part it is and what is wrong with it, in one clause for the log. It never shows a signature.
    """

    reason: Reason
    detail: str = ""


class Claim:
    """What a request says about itself. Nothing in it is proven.

    A key resolver receives it and may look at `tenant` and `ids`; `on_verdict` and `on_decision` receive it too.

    scheme   the name of the guard's scheme
    ids      each id that is in the request exactly once and is a valid id, by name
    tenant   the tenant that the request names, or None
    problem  the reason why the claim cannot be judged, or None
    detail   one clause for the log: which id or place `problem` is about
    method   the request's method
    path     the request's path, decoded, without the query
    """

    __slots__ = ("detail", "ids", "method", "path", "problem", "scheme", "tenant")

    def __init__(
        self,
        scheme: str,
        ids: Mapping[str, str],
        tenant: str | None,
        problem: Reason | None = None,
        detail: str = "",
        method: str = "",
        path: str = "",
    ) -> None:
        self.scheme = scheme
        self.ids = ids
        self.tenant = tenant
        self.problem = problem
        self.detail = detail
        self.method = method
        self.path = path

    def __repr__(self) -> str:
        return (
            f"Claim(scheme={self.scheme!r}, ids={dict(self.ids)!r}, tenant={self.tenant!r}, "
            f"problem={self.problem and self.problem.value!r})"
        )


class Verdict(NamedTuple):
    """What was decided about one request.

    reason   why; `Reason.VERIFIED` where the ids are proven
    scheme   the name of the guard's scheme
    ids      the proven ids, by name, exactly as they were signed. Empty unless `verified`: a look-up then raises a
             `KeyError` that says why
    tenant   the tenant whose key proved the ids; None where the keys do not belong to one tenant alone
    key_id   the id of the key that proved them
    claimed  in report mode, on a verdict that is not verified: the ids as the request states them, unproven
    claimed_tenant  in report mode, on a verdict that is not verified: the tenant that the request names, unproven
    signed_at   the Unix seconds at which it was signed, as the request says it (a float where the scheme counts
                milliseconds); None unless verified, and where the scheme has no timestamp
    expires_at  the same for the end of the signature
    """

    reason: Reason
    scheme: str
    ids: Mapping[str, str] = NO_IDS
    tenant: str | None = None
    key_id: str | None = None
    claimed: Mapping[str, str] = NO_CLAIMED
    claimed_tenant: str | None = None
    signed_at: float | None = None
    expires_at: float | None = None

    @property
    def verified(self) -> bool:
        return self.reason is VERIFIED

    def __bool__(self) -> bool:
        # A tuple with fields is always true; `if verdict:` must not fail open.
        return self.reason is VERIFIED

    def as_int(self, name: str) -> int:
        """The verified id `name` as a number; `ValueError` unless it is written as that number is printed.

        With `int()` alone, a client that may sign `01` or `+1` could act as id 1.
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


def unverified(reason: Reason, scheme: str) -> Verdict:
    """A verdict that proves and claims nothing."""
    return make(Verdict, (reason, scheme, NO_IDS, None, None, NO_CLAIMED, None, None, None))


class Decision(NamedTuple):
    """One decision of a guard, as `on_decision` receives it.

    verdict  the verdict
    claim    what the request says; None for a request that the guard did not look at
    mode     the mode that applied, "enforce", "report" or "off"; the guard's own for a request that it did not look at
    refused  whether the request was answered with a refusal
    seconds  how long the guard took, without the time in which it waited for the body
    """

    verdict: Verdict
    claim: Claim | None
    mode: str
    refused: bool
    seconds: float


def verdict_from(request: Any, name: str = "hmac_guard") -> Verdict:
    """The verdict that a guard left on a request.

    `request` is an ASGI scope, a WSGI environ, or a request or websocket object that has one (Flask, Quart,
    Starlette, FastAPI, Django, Litestar, Falcon, Bottle). Behind a bridge that keeps the outer scope in
    `environ["asgi.scope"]` or the outer environ in `scope["wsgi_environ"]` (a2wsgi, python-socketio), the verdict of a
    guard around the bridge is found too. `name` is the guard's `annotate_as`.
    Raises `LookupError` where no guard has judged the request: a string, a header or an environment variable that
    happens to have the name is never taken for a verdict.
    """
    for holder in (request, *(getattr(request, kind, None) for kind in ("scope", "environ", "env"))):
        if not isinstance(holder, Mapping):
            continue
        for annotated in (holder, holder.get("asgi.scope"), holder.get("wsgi_environ")):
            if isinstance(annotated, Mapping) and isinstance(found := annotated.get(name), Verdict):
                return found
    raise LookupError(
        f"no guard annotated this request as {name!r}; is the middleware mounted around this application?"
    )
