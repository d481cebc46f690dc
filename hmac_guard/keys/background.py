"""Work beside the requests."""

import os
import threading
from collections.abc import Callable

Work = Callable[[threading.Event], None]


class Background:
    """A daemon thread that does `work` until the event that it is given is set. A forked child, in which no thread of
    its parent lives on, starts it anew."""

    def __init__(self, name: str, work: Work) -> None:
        self._name = name
        self._work = work
        self.start()

    def start(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, args=[self._stop], name=self._name, daemon=True)
        self._thread.start()
        _at_work.add(self)

    def stop(self) -> None:
        """Have the work end, and wait for that."""
        _at_work.discard(self)
        self._stop.set()
        self._thread.join()


_at_work: set[Background] = set()


def _start_again() -> None:
    for background in tuple(_at_work):
        background.start()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_again)
