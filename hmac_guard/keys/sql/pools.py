"""The connections of an engine in a process that was forked.

Two processes that share one connection take each other's answers.
"""

import os
import threading
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import URL, Pool

from hmac_guard.forking import after_fork, check_process

_lock = threading.Lock()
_pids: WeakKeyDictionary[Pool, int] = WeakKeyDictionary()

# Kept: a driver ends the session of a connection that is collected, and the parent still uses it.
_of_parents: list[Pool] = []


def use_own_pool(engine: Any) -> None:
    """Give an engine new connections in a process that was forked since its pool was first seen here."""
    engine = getattr(engine, "sync_engine", engine)
    pid = os.getpid()
    if _pids.setdefault(engine.pool, pid) == pid or _is_in_memory(engine.url):
        return
    check_process()
    with _lock:
        if _pids.get(engine.pool, pid) != pid:
            _of_parents.append(engine.pool)
            engine.dispose(close=False)
            _pids[engine.pool] = pid


def _is_in_memory(url: URL) -> bool:
    """Whether a new connection would see an empty database."""
    database = url.database or ""
    is_in_memory = database in ("", ":memory:") or ":memory:" in database or url.query.get("mode") == "memory"
    return url.get_backend_name() == "sqlite" and is_in_memory


def _renew_lock() -> None:
    global _lock  # noqa: PLW0603 - a forked child must not wait for a thread of its parent
    _lock = threading.Lock()


after_fork(_renew_lock)
