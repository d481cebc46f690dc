"""Decides whether one of the keys made the signature of a request. Pure: the clock is an argument."""

import secrets

from hmac_guard.core.key import Key, Keyring
from hmac_guard.core.reading import Reading
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.verdict import NO_CLAIMED, VERIFIED, Reason, Verdict, make, unverified

#: The keyring for a tenant that has no keys. It is used like any other keyring, so the time of a refusal does not show
#: which tenants exist.
DUMMY_KEYRING = Keyring(Key(secrets.token_bytes(32)))
#: The reasons: the keys did not make the signature, and there are no keys. An index chooses the reason, not a branch.
#: So a wrong signature and an unknown tenant take the same instructions.
_NOT_PROVEN = (Reason.INVALID_SIGNATURE, Reason.UNKNOWN_KEY)


def judge(scheme: Scheme, reading: Reading, keyring: Keyring, now: float, by_tenant: bool) -> Verdict:
    """Return the verdict on a request. Raise nothing.

    The times are checked after the signature. So only a client with a valid signature learns that it is too old. Then
    `reading.outside` says by how much.

    Args:
        scheme: The scheme.
        reading: What the request says.
        keyring: The tenant's keys; `DUMMY_KEYRING` for a tenant without keys.
        now: Unix seconds.
        by_tenant: Whether the keys belong to this tenant alone. Only then the verdict names the tenant: keys that
            several tenants share prove none of them.
    """
    message = reading.message
    if message is None:
        return unverified(reading.refused.reason if reading.refused else Reason.MALFORMED, scheme.name)
    keys = keyring.keys
    if keyring.timed:
        keys = keyring.active(now) or DUMMY_KEYRING.keys
    verifying_key = scheme.verifying_key(keys, message, reading.request.signature)
    if verifying_key is None or keys is DUMMY_KEYRING.keys:
        return unverified(_NOT_PROVEN[keys is DUMMY_KEYRING.keys], scheme.name)
    tenant, key_id = reading.tenant if by_tenant else None, verifying_key.id
    if not scheme.times:
        return make(Verdict, (VERIFIED, scheme.name, reading.ids, tenant, key_id, NO_CLAIMED, None, None, None))
    signed_at = expires_at = None
    for time in scheme.times:
        sent = int(reading.others[time.name])
        outside = time.refuse(sent, now)
        if outside is not None:
            reading.outside = outside
            return unverified(outside.reason, scheme.name)
        if time is scheme.timestamp:
            signed_at = time.moment(sent)
        else:
            expires_at = time.moment(sent)
    return make(Verdict, (VERIFIED, scheme.name, reading.ids, tenant, key_id, NO_CLAIMED, None, signed_at, expires_at))
