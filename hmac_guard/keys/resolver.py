"""What a key resolver is, and what it may answer.

A resolver is any callable, sync or async, that takes a `Claim` and answers with the keys of its tenant. It may have
four attributes:

`blocking = False`   under ASGI it is called inline; every other sync resolver runs in a worker thread of the event
                     loop's default executor (`asgiref.sync_to_async(thread_sensitive=False)`), so that one slow look-up
                     holds up no other request. An async resolver runs on the event loop. Under WSGI a sync resolver
                     runs on the request's own thread, and an async one by `asgiref.async_to_sync`, on an event loop
                     that lives as long as that call.
`on_loop`            its form for ASGI, called inline: a callable that answers at once, or with an awaitable.
`per_tenant = False` its answer is the same for every tenant, so the tenant is not read from the request at all.
`asgi_only = True`   it is bound to one event loop and cannot serve WSGI; `Guard.wsgi` refuses it.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.frozen import Frozen
from hmac_guard.core.key import Key, Keyring
from hmac_guard.core.verdict import Claim

#: One key, or several of which any verifies.
KeySource = Key | str | bytes | Sequence[Key | str | bytes] | Keyring
#: `None` and an empty sequence mean: no such tenant.
KeyAnswer = KeySource | None
KeyResolver = Callable[[Claim], KeyAnswer | Awaitable[KeyAnswer]]


def as_keyring(answer: object) -> Keyring | None:
    """The ring that an answer stands for. Raises `ConfigError` for what is no key, an empty or a blank one."""
    if answer is None or isinstance(answer, Keyring):
        return answer
    if isinstance(answer, (list, tuple)):
        return Keyring(answer) if answer else None
    if isinstance(answer, (Key, str, bytes)):
        return Keyring(answer)
    raise ConfigError(
        f"keys: {type(answer).__name__} is not a key; give a Key, text, bytes, a list of these, a Keyring, or None"
    )


class StaticKeys(Frozen):
    """The same keys for every request."""

    __slots__ = ("keyring",)

    keyring: Keyring
    blocking = False
    per_tenant = False

    def __init__(self, keys: KeySource) -> None:
        keyring = as_keyring(keys)
        if keyring is None:
            raise ConfigError("keys: give at least one key; without one every request would be refused")
        self._set(keyring=keyring)

    def __call__(self, claim: Claim) -> Keyring:
        return self.keyring

    def __repr__(self) -> str:
        return f"StaticKeys({self.keyring!r})"


class MappingKeys(Frozen):
    """Keys by tenant: `{"pk_live_1": "s3cret", "pk_live_2": ["new", "old"]}`. The mapping is copied, and checked."""

    __slots__ = ("_rings",)

    _rings: dict[str, Keyring]
    blocking = False
    per_tenant = True

    def __init__(self, keys: Mapping[str, KeySource]) -> None:
        rings: dict[str, Keyring] = {}
        for tenant, source in keys.items():
            if not isinstance(tenant, str) or not tenant.strip():
                raise ConfigError("keys: each tenant of a mapping must be text, as the request names it")
            ring = as_keyring(source)
            if ring is None:
                raise ConfigError(f"keys: the tenant {tenant!r} has no key; give it one or leave it out")
            rings[tenant] = ring
        if not rings:
            raise ConfigError("keys: the mapping is empty; without a tenant every request would be refused")
        self._set(_rings=rings)

    def __call__(self, claim: Claim) -> Keyring | None:
        return self._rings.get(claim.tenant) if claim.tenant is not None else None

    def __repr__(self) -> str:
        return f"<MappingKeys of {len(self._rings)} tenants>"


def as_resolver(keys: Any) -> KeyResolver:
    """The resolver that a guard's `keys` stand for. Raises `ConfigError`."""
    if isinstance(keys, (Key, str, bytes, list, tuple, Keyring)):
        return StaticKeys(keys)
    if isinstance(keys, Mapping):
        return MappingKeys(keys)
    if not callable(keys) or isinstance(keys, type):
        raise ConfigError(
            f"keys: {type(keys).__name__} is no source of keys; give a key, a list of keys, a mapping by tenant, or a "
            "callable that takes a claim"
        )
    if any(inspect.isgeneratorfunction(code) or inspect.isasyncgenfunction(code) for code in functions_of(keys)):
        raise ConfigError("keys: the resolver is a generator (it has a 'yield'); it must return its answer")
    try:
        inspect.signature(keys).bind(None)
    except TypeError:
        raise ConfigError("keys: the resolver must take one argument, the claim") from None
    except ValueError:
        pass  # Some built-in callables have no signature to look at.
    resolver: KeyResolver = keys
    return resolver


def functions_of(resolver: Any) -> tuple[Any, ...]:
    """What runs when the resolver is called, as far as that can be seen."""
    while isinstance(resolver, partial):
        resolver = resolver.func
    return (resolver, type(resolver).__call__)


#: What a guard takes as its keys.
Keys = KeySource | Mapping[str, KeySource] | KeyResolver
