"""Signs requests as a client of a guard would."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hmac_guard.client.signer import IdValue, Outgoing, Signer
from hmac_guard.core.errors import ConfigError
from hmac_guard.core.fields import SignedFields
from hmac_guard.core.hidden import hide
from hmac_guard.core.key import Key
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.verdict import Claim
from hmac_guard.decider import decider_of
from hmac_guard.guard import Guard
from hmac_guard.keys.calling import run_to_completion
from hmac_guard.keys.resolver import as_keyring


def sign_request(
    guard: Guard | Scheme,
    ids: Mapping[str, IdValue] | None = None,
    /,
    *,
    key: Any = None,
    tenant: str | None = None,
    now: float | None = None,
    body: bytes = b"",
    method: str = "GET",
    path: str = "/",
    **named: IdValue,
) -> SignedFields:
    """Return everything that a signed request carries, for a client that `signed_client` does not know.

    Args:
        guard: The guard, whose key and clock are used; or a scheme, with `key=`.
        ids: The ids, where one of them has the name of an option.
        key: The key to sign with; None is the key of the guard that signs.
        tenant: The tenant's name, for a scheme that has one.
        now: The Unix time of signing in seconds; None is the time of the guard's clock.
        body: The body of the request.
        method: The method of the request.
        path: The path of the request. An id in it is placed nowhere else.
        named: The ids.

    Raises:
        ValueError: The request cannot be signed with this.

    Example:
        fields = sign_request(guard, user_id="u1")
        client.get("/inbox", query_string=fields.query, headers=fields.headers)
    """
    hidden = hide(key)
    del key
    signer = signer_for("sign_request", guard, hidden, {**(ids or {}), **named}, tenant=tenant, now=now)
    return signer.fields(Outgoing(method, path, body=body))


def signer_for(
    owner: str,
    guard: Any,
    key: Any,
    ids: Mapping[str, IdValue],
    *,
    tenant: str | None,
    now: float | Callable[[], float] | None,
    origins: Iterable[str] | None = None,
) -> Signer:
    """Return what signs the requests of a test.

    Raises:
        ConfigError: The guard has no key for these ids, or no request could be signed with this.
    """
    hidden = hide(key)
    del key
    clock = (lambda: now) if isinstance(now, (int, float)) else now
    scheme = guard
    if not isinstance(guard, Scheme):
        decider = decider_of(owner, guard)
        scheme, clock = guard.scheme, clock or decider.clock
        if hidden.get() is None:
            hidden = _key_of(owner, guard, ids, tenant, decider.clock())
    if hidden.get() is None:
        raise ConfigError(f"{owner}: a scheme has no key; give key=, or the guard")
    return Signer(owner, scheme, hidden, origins, tenant, clock, ids)


def _key_of(owner: str, guard: Guard, ids: Mapping[str, IdValue], tenant: str | None, now: float) -> Any:
    """Return the key that signs for a claim, as the guard's resolver gives it."""
    said = {name: value for name, value in ids.items() if isinstance(value, str)}
    answer = hide(run_to_completion(guard.keys(Claim(guard.scheme.name, said, tenant))))
    ring = as_keyring(answer)
    keys: tuple[Key, ...] = () if ring is None else ring.active(now)
    if not keys:
        named = "no tenant" if tenant is None else f"the tenant {tenant!r}"
        raise ConfigError(f"{owner}: the guard has no key in force for {named}; give tenant=, or key=")
    return hide(keys[0])
