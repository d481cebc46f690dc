"""Work beside the requests."""

import threading
from collections.abc import Callable

from hmac_guard.forking import after_fork
from hmac_guard.keys.threads import runs_threads

Work = Callable[[threading.Event], None]


class Background:
    """A daemon thread that does `work` until the event that it is given is set. A forked child, in which no thread of
    its parent lives on, starts it again, after what was made before it. Where no threads run, it does nothing."""

    def __init__(self, name: str, work: Work) -> None:
        self._name = name
        self._work = work
        self._thread: threading.Thread | None = None
        self._start()
        _at_work.add(self)
        after_fork(self._start_again)

    def stop(self) -> None:
        """Have the work end, and wait for that."""
        _at_work.discard(self)
        if self._thread is not None:
            self._stop.set()
            self._thread.join()

    def _start(self) -> None:
        if runs_threads():
            self._stop = threading.Event()
            self._thread = threading.Thread(target=self._work, args=[self._stop], name=self._name, daemon=True)
            self._thread.start()

    def _start_again(self) -> None:
        if self in _at_work:
            self._start()


# Python forgets the threads of the parent in a child. This keeps what they did.
_at_work: set[Background] = set()
