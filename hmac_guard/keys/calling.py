"""How a resolver is called: on a thread that may wait for it, or on an event loop that must not."""

import inspect
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async

from hmac_guard.core.key import Keyring
from hmac_guard.core.verdict import Claim
from hmac_guard.keys.on_gevent import is_patched, run_under_gevent
from hmac_guard.keys.resolver import KeyResolver, functions_of

#: The usual answers. One question for both: the time must not tell whether a tenant has keys.
IMMEDIATE_TYPES = frozenset({Keyring, type(None)})


def from_loop(resolver: KeyResolver) -> Any:
    """The resolver as a callable that holds up no event loop: it gives the answer, or an awaitable of it."""
    on_loop = getattr(resolver, "on_loop", None)
    if on_loop is not None:
        return on_loop
    if is_async(resolver) or getattr(resolver, "blocking", True) is False:
        return resolver
    return sync_to_async(_raising(resolver), thread_sensitive=False)


def settled(answer: Any) -> Any:
    """What a resolver answered, waited for where it is awaitable. For threads without an event loop."""
    if type(answer) in IMMEDIATE_TYPES or not inspect.isawaitable(answer):
        return answer
    if is_patched():
        return run_under_gevent(awaited(answer))
    return async_to_sync(awaited)(answer)


async def awaited(answer: Any) -> Any:
    """What a resolver answered, awaited as often as it takes: a sync one on a worker thread may give a coroutine."""
    while inspect.isawaitable(answer):
        answer = await answer
    return answer


def _raising(resolver: KeyResolver) -> KeyResolver:
    """A resolver for a worker thread: a StopIteration (of a `next()` that found nothing) cannot leave it, and would
    keep the request waiting for ever."""

    def resolve(claim: Claim) -> Any:
        try:
            return resolver(claim)
        except StopIteration:
            raise RuntimeError("the key resolver raised StopIteration") from None

    return resolve


def is_async(resolver: KeyResolver) -> bool:
    """Whether calling the resolver gives an awaitable, as far as that can be seen."""
    return any(map(inspect.iscoroutinefunction, functions_of(resolver)))
