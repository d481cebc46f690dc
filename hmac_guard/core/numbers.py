"""Checks of arguments that are numbers, or True or False."""

import sys
from typing import Any

from hmac_guard.core.errors import ConfigError

#: The last second of the year 9999, in Unix seconds.
LAST_SECOND = 253_402_300_799.0
#: A larger number is a time in milliseconds. A database may give `datetime.max` for "no end", in any time zone.
LATEST = LAST_SECOND + 86_400


def is_finite(value: object) -> bool:
    """Return whether the value is a number that a float can hold."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def check_moment(argument: str, value: object) -> None:
    """Raise `ConfigError` unless the value is a Unix time in seconds."""
    if not is_finite(value):
        raise ConfigError(
            f"{argument} must be a Unix time in seconds, a number such as time.time(); of a datetime give .timestamp()"
        )


def check_seconds(option: str, value: Any, *, zero: bool = False, unit: str = "seconds") -> None:
    """Raise `ConfigError` unless the value is a finite number above 0. `zero` also permits 0."""
    if not is_finite(value):
        raise ConfigError(f"{option} must be a number of {unit}")
    if value < 0 or (value == 0 and not zero):
        raise ConfigError(f"{option} must be {'at least' if zero else 'more than'} 0 {unit}")


def check_count(option: str, value: object) -> None:
    """Raise `ConfigError` unless the value is a whole number above 0."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{option} must be a whole number, at least 1")


def check_flag(option: str, value: object) -> None:
    """Raise `ConfigError` unless the value is True or False: a text such as "false" would count as True."""
    if not isinstance(value, bool):
        raise ConfigError(f"{option} must be True or False")
