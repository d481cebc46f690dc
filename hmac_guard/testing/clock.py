"""A clock for tests."""

import time


class Clock:
    """A clock that stands still until a test sets it.

    Give it to the guard as `clock=`; `signed_client` and `sign_request` then sign with the time of the guard's clock.

    Args:
        now: The Unix time to begin with, in seconds; None is the time now.

    Example:
        clock = Clock(1_800_000_000)
        guard = Guard(INBOX, keys="...", clock=clock)
        clock.move(3_600)
    """

    def __init__(self, now: float | None = None) -> None:
        self.now = time.time() if now is None else now

    def __call__(self) -> float:
        return self.now

    def set(self, now: float) -> None:
        """Set the Unix time, in seconds."""
        self.now = now

    def move(self, seconds: float) -> None:
        """Move the clock forward, or back by a negative number."""
        self.now += seconds

    def __repr__(self) -> str:
        return f"Clock({self.now!r})"
