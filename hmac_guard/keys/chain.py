"""Several sources of keys, one after the other."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.key import Key, Keyring
from hmac_guard.core.verdict import Claim
from hmac_guard.keys.calling import await_if_needed, from_loop, run_to_completion
from hmac_guard.keys.resolver import Resolver, as_keyring, as_resolver, check_owners


class ChainKeys(Resolver):
    """Uses the keys of the first source that knows the tenant.

    A source that fails is not skipped: the request is answered 503. Otherwise a client that can make the first source
    fail could choose the keys of the next one.

    Keys that are the same for every tenant must be last. They are the keys of every tenant that no other source knows,
    and prove no tenant: `verdict.tenant` is set, and the mode of a tenant counts, only if every source is by tenant.

    Args:
        sources: The sources. Each is anything that a guard's `keys` may be, sync or async.

    Raises:
        ConfigError: There is no source, keys for every tenant are not last, or two tenants have the same secret in
            mappings and variables.

    Example::

        keys = ChainKeys({"acme": "s3cret"}, SqlKeys(engine))
    """

    __slots__ = ("_asks_on_loop", "_sources", "asgi_only", "per_tenant")

    per_tenant: bool | None
    asgi_only: bool
    _sources: tuple[Resolver, ...]
    _asks_on_loop: tuple[Any, ...]

    def __init__(self, *sources: Any) -> None:
        hidden = hide(sources)
        del sources
        if not hidden.get():
            raise ConfigError("ChainKeys: give at least one source of keys")
        chain = tuple(map(as_resolver, hidden.get()))
        if any(source.is_shared for source in chain[:-1]):
            raise ConfigError(
                "ChainKeys: a source that is the same for every tenant comes before others, which would never be "
                "asked; put it last"
            )
        by_tenant = {source.per_tenant for source in chain}
        self._set(
            per_tenant=by_tenant.pop() if len(by_tenant) == 1 else None,
            asgi_only=any(source.asgi_only for source in chain),
            _sources=chain,
            _asks_on_loop=tuple(map(from_loop, chain)),
        )
        check_owners("ChainKeys", self.known_rings())

    def __call__(self, claim: Claim) -> Keyring | None:
        for source in self._sources:
            ring = as_keyring(run_to_completion(source(claim)))
            if ring is not None:
                return ring
        return None

    def on_loop(self, claim: Claim) -> Any:
        """Return the keys. From the first async source on, return an awaitable of them. For an event loop."""
        for position, ask in enumerate(self._asks_on_loop, 1):
            answer = hide(ask(claim))
            if inspect.isawaitable(answer.get()):
                return self._go_on(answer, self._asks_on_loop[position:], claim)
            ring = as_keyring(answer.get())
            if ring is not None:
                return ring
        return None

    async def _go_on(self, answer: Hidden[Any], others: tuple[Any, ...], claim: Claim) -> Keyring | None:
        ring = as_keyring(await await_if_needed(answer))
        for ask in others:
            if ring is not None:
                break
            ring = as_keyring(await await_if_needed(ask(claim)))
        return ring

    @property
    def needs_loop(self) -> bool:
        return any(source.needs_loop for source in self._sources)

    @property
    def needs_tenant(self) -> bool:
        return any(source.needs_tenant for source in self._sources)

    @property
    def is_shared(self) -> bool:
        return any(source.is_shared for source in self._sources)

    def known_rings(self) -> Mapping[str, Keyring]:
        # The first source that knows a tenant answers for it.
        return {tenant: ring for source in reversed(self._sources) for tenant, ring in source.known_rings().items()}

    def known_keys(self) -> Iterable[Key]:
        return [key for source in self._sources for key in source.known_keys()]

    def _description(self) -> str:
        return f"ChainKeys({', '.join(map(repr, self._sources))})"
