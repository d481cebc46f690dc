"""Coroutines under gevent, whose threads are greenlets.

All greenlets of one operating system thread share one `asyncio` "running loop". While one of them waits on its loop,
another one cannot start its own loop: `asyncio` and `asgiref.async_to_sync` raise. So each coroutine runs on an
operating system thread of gevent's, and the greenlet waits for it without holding up the others.
"""

import asyncio
import contextvars
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

#: The most operating system threads that run coroutines at a time, for each gevent hub. Further ones wait.
THREADS = 100


def is_patched() -> bool:
    """Return whether gevent has replaced what a loop waits with.

    This is checked for each look-up: a program may patch after it has made the middleware.
    """
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and (monkey.is_module_patched("select") or monkey.is_module_patched("threading"))


def run_under_gevent(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine, or raise its exception. It runs on its own loop, and other greenlets go on."""
    # A resolver may read the context variables of the application; nothing here sets one.
    context = contextvars.copy_context()
    result, error = _threads().apply(_run, (context, coroutine))
    if error is not None:
        raise error
    return result  # type: ignore[no-any-return]


def _run(context: contextvars.Context, coroutine: Coroutine[Any, Any, T]) -> tuple[T | None, Any]:
    # gevent prints what a thread raises, with its text. That may hold a password.
    try:
        return context.run(asyncio.run, coroutine), None
    except (Exception, asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit) as error:
        return None, error


def _threads() -> Any:
    """Return the threads of the running hub. They are not the hub's own: name resolution waits for those."""
    from gevent import get_hub
    from gevent.threadpool import ThreadPool

    hub = get_hub()
    if not hasattr(hub, "hmac_guard_threads"):
        hub.hmac_guard_threads = ThreadPool(THREADS, hub=hub)
    return hub.hmac_guard_threads
