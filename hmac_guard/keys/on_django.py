"""The connections of Django's ORM on threads that serve no request.

Django keeps connections for each thread. It closes those that are broken, or older than `CONN_MAX_AGE`, at the start
and at the end of a request. On other threads the code that owns the thread has to.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def closing_old_connections() -> Iterator[None]:
    """Close the old and the broken connections of this thread before and after the block, if Django is in use."""
    _close_old_connections()
    try:
        yield
    finally:
        _close_old_connections()


def _close_old_connections() -> None:
    db = sys.modules.get("django.db")
    with suppress(Exception):  # There may be no settings. A connection that cannot be closed is not used again.
        if db is not None:
            db.close_old_connections()


def close_connections() -> None:
    """Close all connections of this thread, if Django is in use."""
    db = sys.modules.get("django.db")
    with suppress(Exception):
        if db is not None:
            db.connections.close_all()
