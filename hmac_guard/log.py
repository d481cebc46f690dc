"""What the package logs: refusals, and failures of what it calls."""

import logging
import threading
import time
import traceback
from typing import NamedTuple

from hmac_guard.core.errors import ConfigError, UnusableRequest

logger = logging.getLogger("hmac_guard")

#: Seconds between two lines about a failure that lasts.
EVERY = 60.0


class Failure(NamedTuple):
    """What may be logged of an exception.

    kind    its type, the driver's code where there is one, and the text of our own `ConfigError`. No other text: that
            of a driver may hold a password, that of a `KeyError` the key itself
    frames  where it was raised: files and lines, no values
    reason  for a request that a server gave in types that cannot be used: which part it is about
    """

    kind: str
    frames: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.kind}\n{self.frames}".rstrip()


def failure_of(error: BaseException) -> Failure:
    """What may be logged of an exception. Take it inside `except`, and log it after the end of that block: an error
    tracker records the exception, which is a local variable until then."""
    text = f": {error}" if isinstance(error, ConfigError) else ""
    code = _code_of(error)
    kind = f"{type(error).__module__}.{type(error).__qualname__}{f' ({code})' if code else ''}{text}"
    reason = str(error) if isinstance(error, UnusableRequest) else ""
    return Failure(kind, "".join(traceback.format_tb(error.__traceback__)).rstrip(), reason)


def where(error: BaseException) -> str:
    """An exception's type and place, without its text."""
    return str(failure_of(error))


def _code_of(error: BaseException) -> str:
    """The SQLSTATE or errno of an exception, or of the one that it wraps."""
    cause: object = error
    for _ in range(4):
        for name in ("sqlstate", "pgcode", "errno"):
            code = getattr(cause, name, None)
            if isinstance(code, (str, int)) and not isinstance(code, bool):
                return f"{name} {str(code)[:20]}"
        arguments = getattr(cause, "args", ())
        if type(cause).__module__.startswith("pymysql") and arguments and isinstance(arguments[0], int):
            return f"errno {arguments[0]}"
        # SQLAlchemy keeps the driver's exception in `orig`.
        cause = getattr(cause, "orig", None) or getattr(cause, "__cause__", None)
        if cause is None:
            break
    return ""


class FailureLog:
    """Logs the failures of one source: a line when it begins to fail, one a minute while it lasts, one when it works
    again. `what` names the source in the log."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._lock = threading.Lock()
        self.is_failing = False
        self._count = 0
        self._began = self._logged = 0.0

    def failed(self, failure: Failure) -> None:
        """The source has failed once more."""
        now = time.monotonic()
        with self._lock:
            self._count += 1
            if not self.is_failing:
                self._began = now
            elif now - self._logged < EVERY:
                return
            first, self.is_failing, self._logged = not self.is_failing, True, now
            count, seconds = self._count, now - self._began
        if first:
            logger.error("%s failed: %s", self._what, failure.kind)
            logger.debug("%s failed here:\n%s", self._what, failure.frames)
        else:
            logger.error(
                "%s still fails: %d times in %.0f s, the last time: %s", self._what, count, seconds, failure.kind
            )

    def succeeded(self) -> None:
        """The source works again."""
        with self._lock:
            if not self.is_failing:
                return
            count, seconds = self._count, time.monotonic() - self._began
            self.is_failing, self._count = False, 0
        logger.warning("%s works again; it failed %d times in %.0f s", self._what, count, seconds)


def escaped(text: str | None, most: int) -> str | None:
    """Text of a request as it may stand in a log: ASCII, control characters escaped, at most `most` characters."""
    return None if text is None else ascii(text)[1:-1][:most]
