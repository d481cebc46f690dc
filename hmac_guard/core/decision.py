"""The two pure steps: `read` makes a claim of a request, `judge` makes a verdict of a claim and keys.

Neither raises, whatever the request says. No clock is read here: `now` is an argument.
"""

import secrets
from types import MappingProxyType

from hmac_guard.core.errors import Refused
from hmac_guard.core.field import Field
from hmac_guard.core.key import Key, Keyring
from hmac_guard.core.message import compose
from hmac_guard.core.request import Request
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.text import is_id
from hmac_guard.core.verdict import VERIFIED, Claim, Reason, Verdict, make

# A tenant that nobody knows is judged all the same, so that the time of a refusal does not tell who is a customer.
NOBODY = Keyring(Key(secrets.token_bytes(32)))


def read(scheme: Scheme, request: Request, *, with_tenant: bool) -> Claim:
    """What the request says: its ids, the signed bytes, the signature, and whose keys to use."""
    found: dict[str, str] = {}
    tenant: str | None = None
    message = signature = b""
    problem = request.body_problem
    try:
        if with_tenant and scheme.tenant_field:
            tenant = _read_id(scheme.tenant_field, request)
        if problem is None:
            _read_ids(scheme, request, found)
            message = _message(scheme, found)
            signature = _read_signature(scheme, request)
    except Refused as refusal:
        problem = problem or refusal.reason
    return Claim(scheme.name, MappingProxyType(found), tenant, message, signature, problem)


def judge(scheme: Scheme, claim: Claim, keyring: Keyring | None, now: float) -> Verdict:
    """Whether one of the keys in force made the claim's signature. `None` stands for a tenant that has no keys."""
    _, ids, tenant, message, signature, problem = claim  # a look at each by its name takes longer
    if problem is not None:
        return Verdict(problem, scheme.name)
    ring = NOBODY if keyring is None else keyring
    keys = ring.active(now) if ring.timed else ring.keys
    keys = keys or NOBODY.keys
    proven_by = scheme.proven_by(keys, message, signature)
    if proven_by is None or keys is NOBODY.keys:
        return Verdict(Reason.UNKNOWN_KEY if keys is NOBODY.keys else Reason.INVALID_SIGNATURE, scheme.name)
    return make(Verdict, (VERIFIED, scheme.name, ids, tenant, proven_by.id))


def _read_id(field: Field, request: Request) -> str | None:
    text = field.read(request)
    if text is not None and not is_id(text):
        raise Refused(Reason.MALFORMED)
    return text


def _read_ids(scheme: Scheme, request: Request, found: dict[str, str]) -> None:
    for field in scheme.id_fields:
        text = _read_id(field, request)
        if text is not None:
            found[field.name] = text
        elif field.name not in scheme.optional:
            raise Refused(Reason.MISSING_ID)


def _message(scheme: Scheme, ids: dict[str, str]) -> bytes:
    message = compose(scheme.parts, ids)
    if message is None:
        raise Refused(Reason.AMBIGUOUS)
    return message


def _read_signature(scheme: Scheme, request: Request) -> bytes:
    text = scheme.signature_field.read(request)
    if text is None:
        raise Refused(Reason.MISSING_SIGNATURE)
    if not text.isascii():
        raise Refused(Reason.MALFORMED)
    return text.encode()
