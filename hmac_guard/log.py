"""The logger of the package, and the safe description of failures."""

import logging
import threading
import time
import traceback
from typing import NamedTuple

from hmac_guard.core.errors import ConfigError, UnusableRequest

logger = logging.getLogger("hmac_guard")

#: Seconds between two log lines about a lasting failure.
EVERY = 60.0


class Failure(NamedTuple):
    """The part of an exception that may be logged.

    Attributes:
        kind: The type of the exception, and the driver's error code. The text is included for `ConfigError` only: the
            text of a driver's exception may contain a password, and the text of a `KeyError` the key itself.
        frames: The traceback: files and lines, without values.
        reason: The part of the request that the server passed with a wrong type, or "".
    """

    kind: str
    frames: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.kind}\n{self.frames}".rstrip()


def failure_of(error: BaseException) -> Failure:
    """Return the part of an exception that may be logged.

    Call this inside the `except` block, and log after the block. Until the block ends, the exception is a local
    variable, and an error tracker would record it.
    """
    text = f": {error}" if isinstance(error, ConfigError) else ""
    code = _code_of(error)
    kind = f"{type(error).__module__}.{type(error).__qualname__}{f' ({code})' if code else ''}{text}"
    reason = str(error) if isinstance(error, UnusableRequest) else ""
    return Failure(kind, "".join(traceback.format_tb(error.__traceback__)).rstrip(), reason)


def where(error: BaseException) -> str:
    """Return the type and the traceback of an exception, without its text."""
    return str(failure_of(error))


def _code_of(error: BaseException) -> str:
    """Return the SQLSTATE or errno of an exception, or of the exception that it wraps."""
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
    """Logs the failures of one source: the first failure, one line per minute while it lasts, and the recovery.

    Args:
        what: The name of the source in the log.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._lock = threading.Lock()
        self.is_failing = False
        self._count = 0
        self._began = self._logged = 0.0

    def failed(self, failure: Failure) -> None:
        """Record a failure of the source."""
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
        """Record that the source works. Log this if it failed before."""
        with self._lock:
            if not self.is_failing:
                return
            count, seconds = self._count, time.monotonic() - self._began
            self.is_failing, self._count = False, 0
        logger.warning("%s works again; it failed %d times in %.0f s", self._what, count, seconds)


def escaped(text: str | None, most: int) -> str | None:
    """Return text of a request for the log: ASCII, control characters escaped, cut at `most` characters."""
    return None if text is None else ascii(text)[1:-1][:most]
