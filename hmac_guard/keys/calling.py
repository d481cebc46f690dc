"""How a resolver is called: on a thread that may wait for it, or on an event loop that must not."""

import inspect
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async

from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.key import Keyring
from hmac_guard.core.verdict import Claim
from hmac_guard.keys.resolver import KeyResolver, functions_of

#: The usual answers. One question for both: the time must not tell whether a tenant has keys.
AT_HAND = frozenset({Keyring, type(None)})


def from_loop(resolver: KeyResolver) -> Any:
    """The resolver as a callable that holds up no event loop: it gives the answer, or an awaitable of it."""
    hidden = hide(resolver)
    del resolver
    on_loop = getattr(hidden.get(), "on_loop", None)
    if on_loop is not None:
        return on_loop
    if is_async(hidden.get()) or getattr(hidden.get(), "blocking", True) is False:
        return hidden.get()
    return sync_to_async(_raising(hidden), thread_sensitive=False)


def settled(answer: Any) -> Any:
    """What a resolver answered, waited for where it is awaitable. For threads without an event loop."""
    if type(answer) in AT_HAND:
        return answer
    answer = hide(answer)
    return async_to_sync(awaited)(answer) if inspect.isawaitable(answer.get()) else answer.get()


async def awaited(answer: Any) -> Any:
    """What a resolver answered, awaited as often as it takes: a sync one on a worker thread may give a coroutine."""
    answer = hide(answer)
    while inspect.isawaitable(answer.get()):
        answer = hide(await answer.get())
    return answer.get()


def _raising(resolver: Hidden[KeyResolver]) -> KeyResolver:
    """A resolver for a worker thread: a StopIteration (of a `next()` that found nothing) cannot leave it, and would
    keep the request waiting for ever."""

    def resolve(claim: Claim) -> Any:
        try:
            return resolver.get()(claim)
        except StopIteration:
            raise RuntimeError("the key resolver raised StopIteration") from None

    return resolve


def is_async(resolver: KeyResolver) -> bool:
    """Whether calling the resolver gives an awaitable, as far as that can be seen."""
    return any(map(inspect.iscoroutinefunction, functions_of(resolver)))
