"""What a forked child has to create again: only the forking thread goes on in it, and a lock may stay held."""

import os
import weakref
from collections.abc import Callable


def in_forked_child(remake: Callable[[], None]) -> None:
    """Have the bound method `remake` called in every child that is forked while its object lives."""
    method = weakref.WeakMethod(remake)

    def call() -> None:
        living = method()
        if living is not None:
            living()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=call)
