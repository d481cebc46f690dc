"""What a forked child must make again: only the forking thread exists in it, and a lock may stay held.

Python calls hooks in a child of `os.fork`. uWSGI forks in C and calls none, so the code that a request runs first also
compares the process id.
"""

import inspect
import logging
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

Remake = Callable[[], None]

_functions: list[Remake] = []
#: The functions of methods, by their objects. No `WeakMethod`: one that goes away while Python ends writes a traceback.
_methods: weakref.WeakKeyDictionary[object, list[Callable[[Any], None]]] = weakref.WeakKeyDictionary()
_locks: dict[int, threading.Lock] = {}
_pid = os.getpid()
#: The logger of `hmac_guard.log`, which needs this module.
_logger = logging.getLogger("hmac_guard")


def after_fork(remake: Remake) -> None:
    """Register what is called in every forked child: a function, or a bound method while its object exists."""
    if inspect.ismethod(remake):
        _methods.setdefault(remake.__self__, []).append(remake.__func__)
    else:
        _functions.append(remake)


def check_process() -> None:
    """Make again what belonged to the parent, if a fork has called no hook."""
    if os.getpid() != _pid:
        _start_again()


def _start_again() -> None:
    global _pid  # noqa: PLW0603 - it is that of this process
    pid = os.getpid()
    # A lock of this process: one of the parent may stay held. The others wait here until all is made again.
    with _locks.setdefault(pid, threading.Lock()):
        if pid != _pid:
            for remake in _functions:
                _call(remake)
            for owner, methods in tuple(_methods.items()):
                for method in methods:
                    _call(method, owner)
            _pid = pid


def _call(remake: Callable[..., None], *owner: object) -> None:
    """Make one thing again. An exception is logged: otherwise each request of the process would raise it."""
    try:
        remake(*owner)
    except Exception as error:
        _logger.warning("after a fork, %s failed: %s", remake.__qualname__, type(error).__name__)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_again)
