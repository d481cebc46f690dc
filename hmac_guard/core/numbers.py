"""Checks of options that are numbers."""

import sys

from hmac_guard.core.errors import ConfigError


def check_seconds(option: str, value: object, *, zero: bool = False, unit: str = "seconds") -> None:
    """Raise `ConfigError` unless the value is a finite number above 0. `zero` also permits 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= sys.float_info.max:
        raise ConfigError(f"{option} must be a number of {unit}")
    if value < 0 or (value == 0 and not zero):
        raise ConfigError(f"{option} must be {'at least' if zero else 'more than'} 0 {unit}")


def check_count(option: str, value: object) -> None:
    """Raise `ConfigError` unless the value is a whole number above 0."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{option} must be a whole number, at least 1")
