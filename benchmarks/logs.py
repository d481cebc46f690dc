"""Handlers for the log line of a refused request, which costs more than the refusal."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.harness import Timed

_logger = logging.getLogger("hmac_guard")


class Formatting(logging.Handler):
    """Formats the line, like a handler that writes it, and drops it."""

    def emit(self, record: logging.LogRecord) -> None:
        self.format(record)


@contextmanager
def only(handler: logging.Handler | None) -> Iterator[None]:
    """The package's logger with this handler alone; None switches the logger off."""
    _logger.disabled, _logger.propagate, _logger.handlers = handler is None, False, [handler] if handler else []
    try:
        yield
    finally:
        _logger.disabled, _logger.propagate, _logger.handlers = False, True, []


def logged(timed: Timed, handler: logging.Handler | None) -> Timed:
    """The same, timed with this handler alone."""

    def wrapped(times: int) -> float:
        with only(handler):
            return timed(times)

    return wrapped
