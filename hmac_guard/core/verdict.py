"""What a request says (`Claim`), what was decided about it (`Verdict`, `Decision`), and why (`Reason`)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from hmac_guard.core.record import Record, reduce_record
from hmac_guard.core.shown import Shown

if TYPE_CHECKING:
    from uuid import UUID

NO_CLAIMED: Mapping[str, str] = MappingProxyType({})


class NoIds(Mapping[str, str]):
    """The ids of a verdict that is not verified: none, and a look-up says why."""

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
    """The reason of a verdict. The values are stable, for logs and counters."""

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
#: The reasons of requests that were not checked: neither verified nor refused.
NOT_CHECKED = (Reason.OFF, Reason.EXEMPT, Reason.PREFLIGHT)


class Refused(NamedTuple):
    """Why a request cannot be verified: a part of it is missing, not valid, or could be read in different ways.

    `detail` names the part and what is wrong with it, in one clause for the log. It never shows a signature.
    """

    reason: Reason
    detail: str = ""


@dataclass(slots=True, eq=False, repr=False)
class Claim(Shown):
    """What a request says about itself. Nothing in it is proven.

    A key resolver receives it and may look at `tenant` and `ids`; `on_verdict` and `on_decision` receive it too.

    Attributes:
        scheme: The name of the guard's scheme.
        ids: Each id that is in the request exactly once and is valid, by name.
        tenant: The tenant that the request names, or None.
        problem: The reason why the claim cannot be judged, or None.
        detail: The id or place that `problem` is about, in one clause for the log.
        method: The request's method.
        path: The request's path, decoded, without the query. If the scheme reads its signature from the path,
            `<signature>` is in the place of each part that may be one.
    """

    scheme: str
    ids: Mapping[str, str]
    tenant: str | None
    problem: Reason | None = None
    detail: str = ""
    method: str = ""
    path: str = ""

    __reduce__ = reduce_record

    def _description(self) -> str:
        return (
            f"Claim(scheme={self.scheme!r}, ids={dict(self.ids)!r}, tenant={self.tenant!r}, "
            f"problem={self.problem and self.problem.value!r})"
        )


class Verdict(Record):
    """The decision about one request.

    Attributes:
        reason: Why; `Reason.VERIFIED` if the ids are proven.
        scheme: The name of the guard's scheme.
        ids: The proven ids, by name, exactly as they were signed. If not `verified`, it is empty, and a look-up raises
            a `KeyError` that says why.
        tenant: The tenant whose key proved the ids; None if the keys do not belong to one tenant alone.
        key_id: The id of the key that proved them.
        claimed: In report mode, if not verified: the ids that the request states, unproven.
        claimed_tenant: In report mode, if not verified: the tenant that the request names, unproven.
        signed_at: The Unix seconds of signing, as the request says (a float if the scheme counts milliseconds); None
            unless verified, and for a scheme without a timestamp.
        expires_at: The same for the end of the signature.
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

    __reduce__ = reduce_record

    @property
    def verified(self) -> bool:
        return self.reason is VERIFIED

    def __bool__(self) -> bool:
        # A tuple with fields is always true; `if verdict:` must not fail open.
        return self.reason is VERIFIED

    def as_int(self, name: str) -> int:
        """Return the verified id `name` as a number.

        With `int()` alone, a client that may sign `01` or `+1` could act as id 1.

        Raises:
            KeyError: The verdict has no such id, or is not verified.
            ValueError: The id is not written as that number is printed.
        """
        text = self.ids[name]
        if not (text.isascii() and text.removeprefix("-").isdigit() and str(number := int(text)) == text):
            raise ValueError(f"id {name!r} was verified, but it is not a canonical decimal number")
        return number

    def as_uuid(self, name: str) -> "UUID":
        """Return the verified id `name` as a UUID.

        `UUID()` alone also reads upper case, braces and `urn:uuid:`, so that many signed texts become one id.

        Raises:
            KeyError: The verdict has no such id, or is not verified.
            ValueError: The id is not in the lower-case form with four hyphens.
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
    """Return a verdict that proves and claims nothing."""
    return make(Verdict, (reason, scheme, NO_IDS, None, None, NO_CLAIMED, None, None, None))


class Decision(NamedTuple):
    """One decision of a guard, as `on_decision` receives it.

    Attributes:
        verdict: The verdict.
        claim: What the request says; None for a request that the guard did not look at.
        mode: The mode that applied, "enforce", "report" or "off"; the guard's own for a request that it did not look
            at.
        refused: Whether the request was answered with a refusal.
        seconds: How long the guard took, without waiting for the body.
    """

    verdict: Verdict
    claim: Claim | None
    mode: str
    refused: bool
    seconds: float


def verdict_from(request: Any, name: str = "hmac_guard") -> Verdict:
    """Return the verdict that a guard left on a request.

    Behind a bridge that keeps the outer scope in `environ["asgi.scope"]` or the outer environ in
    `scope["wsgi_environ"]` (a2wsgi, python-socketio), the verdict of a guard around the bridge is found too.

    Args:
        request: An ASGI scope, a WSGI environ, or a request or websocket object that has one (Flask, Quart, Starlette,
            FastAPI, Django, Litestar, Falcon, Bottle).
        name: The guard's `annotate_as`.

    Raises:
        LookupError: No guard has judged the request. A string, a header or an environment variable that happens to have
            the name is never taken for a verdict.
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
