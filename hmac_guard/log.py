"""The logger of the package, and the safe description of failures."""

import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from hmac_guard.core.errors import BodyAlreadyRead, ConfigError, UnusableRequest
from hmac_guard.forking import after_fork

logger = logging.getLogger("hmac_guard")

#: Seconds between two log lines about a lasting failure, and without a failure until a source counts as recovered.
EVERY = 60.0
RECOVERED_AFTER = 5.0


#: What the users of the tables of `SqlKeys` and `SqlOnce` add to an error of the database.
NO_TABLE = "a table does not exist; call create_table() of SqlKeys or SqlOnce"


class Failure(NamedTuple):
    """The part of an exception that may be logged.

    Attributes:
        kind: The type of the driver's exception, and its error code. The text is included for `ConfigError` and
            `StoreFull` only: the text of a driver's exception may contain a password, and the text of a `KeyError` the
            key itself. `NO_TABLE` is included, since it is a fixed text.
        frames: The traceback: files and lines, without values.
        reason: What the server or the application does wrong, if the guard therefore cannot read the request; or "".
        logged: True if the log already says what failed.
    """

    kind: str
    frames: str
    reason: str = ""
    logged: bool = False

    def __str__(self) -> str:
        # Without a call: `logging` calls this, and prints the text of an error in it.
        return f"{self.kind}\n{self.frames}" if self.frames else self.kind


def failure_of(error: BaseException) -> Failure:
    """Return the part of an exception that may be logged.

    Call this inside the `except` block, and log after the block. Until the block ends, the exception is a local
    variable, and an error tracker would record it.
    """
    text = f": {error}" if isinstance(error, ConfigError) or getattr(error, "text_is_logged", False) is True else ""
    text = f": {NO_TABLE}" if lacks_table(error) else text
    code = _code_of(error)
    driver_error = type(_driver_error(error))
    kind = f"{driver_error.__module__}.{driver_error.__qualname__}{f' ({code})' if code else ''}{text}"
    reason = str(error) if isinstance(error, (UnusableRequest, BodyAlreadyRead)) else ""
    frames = "".join(traceback.format_tb(error.__traceback__)).rstrip()
    return Failure(kind, frames, reason, getattr(error, "is_logged", False) is True)


def lacks_table(error: BaseException) -> bool:
    """Return whether an error says that a table of this package does not exist."""
    detail = getattr(error, "detail", None)  # Other exceptions have one, too, of any type.
    return isinstance(detail, list) and NO_TABLE in detail


def log_failure(level: int, what: str, failure: Failure) -> None:
    """Log a failure in one line. A second record has the traceback, at DEBUG: a source that is down fails often."""
    logger.log(level, "%s: %s", what, failure.kind)
    logger.debug("%s; the traceback:\n%s", what, failure.frames)


# What libpq says where no connection could be made, for which it gives no code, and the code that says the same. Its
# text is only compared: it may hold a password.
_WITHOUT_CODE = {
    "connection refused": "errno 111",
    "timeout expired": "errno 110",
    "timed out": "errno 110",
    "password authentication failed": "sqlstate 28P01",
    "no pg_hba.conf entry": "sqlstate 28000",
    'fatal:  role "': "sqlstate 28000",
    'fatal:  database "': "sqlstate 3D000",
    "too many connections": "sqlstate 53300",
    "too many clients": "sqlstate 53300",
    "the database system is": "sqlstate 57P03",
    "server closed the connection": "sqlstate 08006",
}


def _driver_error(error: BaseException) -> BaseException:
    """Return the driver's exception inside one of SQLAlchemy, or the exception itself."""
    # SQLAlchemy keeps the driver's exception in `orig`; that of an async driver is the cause of what is there.
    for _ in range(2):
        if type(error).__module__.startswith("sqlalchemy"):
            error = getattr(error, "orig", None) or error.__cause__ or error
    return error


def _code_of(error: BaseException) -> str:
    """Return the SQLSTATE or errno of an exception, or of the exception that caused it."""
    cause: BaseException | None = error
    for _ in range(4):  # Errors may be causes of each other.
        if cause is None:
            break
        for name in ("sqlstate", "pgcode", "errno"):
            code = getattr(cause, name, None)
            if isinstance(code, (str, int)) and not isinstance(code, bool):
                return f"{name} {str(code)[:20]}"
        driver = type(cause).__module__.partition(".")[0]
        if driver == "pymysql" and cause.args and isinstance(cause.args[0], int):
            return f"errno {cause.args[0]}"
        if driver in ("psycopg", "psycopg2"):
            said = str(cause).lower()
            return next((code for text, code in _WITHOUT_CODE.items() if text in said), "")
        cause = getattr(cause, "orig", None) or cause.__cause__ or _error_of_socket(cause)
    return ""


def _error_of_socket(error: BaseException) -> BaseException | None:
    """Return the error of the socket for one of redis-py, which raises its own without `from`."""
    context = error.__context__
    frames = None if context is None else context.__traceback__
    # Only an error that redis-py itself handled. A fallback raises its error while it handles an unrelated one.
    is_of_redis = frames is not None and str(frames.tb_frame.f_globals.get("__name__")).startswith("redis.")
    return context if is_of_redis else None


class FailureLog:
    """Logs the failures of one source: the first failure, one line per minute while it lasts, and the recovery.

    A source has recovered if it has not failed for `RECOVERED_AFTER` seconds. A source that fails now and then would
    fill the log otherwise.

    Args:
        what: The name of the source in the log.
        clock: Returns seconds that never jump, as `time.monotonic` does.
        warning: The first line, as a warning, if no request fails with the source. Without it, the lines are errors.
    """

    def __init__(self, what: str, clock: Callable[[], float] = time.monotonic, *, warning: str = "") -> None:
        self._what = what
        self._first_line = warning or f"{what} failed"
        self._level = logging.WARNING if warning else logging.ERROR
        self._clock = clock
        self._renew_lock()
        after_fork(self._renew_lock)
        self.is_failing = False
        self._count = 0
        self._began = self._logged = self._failed = 0.0

    def failed(self, failure: Failure) -> None:
        """Record a failure of the source."""
        now = self._clock()
        with self._lock:
            self._count += 1
            self._failed = now
            if not self.is_failing:
                self._began = now
            elif now - self._logged < EVERY:
                return
            first, self.is_failing, self._logged = not self.is_failing, True, now
            count, seconds = self._count, now - self._began
        if first:
            log_failure(self._level, self._first_line, failure)
        else:
            still_fails = f"{self._what} still fails: {count} times in {seconds:.0f} s, the last time"
            log_failure(self._level, still_fails, failure)

    def succeeded(self) -> None:
        """Record that the source works. Log this if it has recovered."""
        now = self._clock()
        with self._lock:
            if not self.is_failing or now - self._failed < RECOVERED_AFTER:
                return
            count, seconds = self._count, self._failed - self._began
            self.is_failing, self._count = False, 0
        logger.warning("%s works again; it failed %d times in %.0f s", self._what, count, seconds)

    def ended(self, failure: Failure | None) -> None:
        """Record how a use of the source ended: with a failure, or with None."""
        if failure is None:
            self.succeeded()
        else:
            self.failed(failure)

    @contextmanager
    def logged(self) -> Iterator[None]:
        """Log the exception that a use of the source raises, and raise nothing."""
        failure = None
        try:
            yield
        except Exception as error:
            failure = failure_of(error)
        self.ended(failure)

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()


def for_log(text: str | None, most: int) -> str | None:
    """Return text of a request for the log: ASCII, control characters escaped, cut at `most` characters."""
    return None if text is None else ascii(text)[1:-1][:most]
