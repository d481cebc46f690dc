"""The setting `HMAC_GUARD`: the dotted path of a `Guard`, a `Guard`, or a dict of its arguments.

    HMAC_GUARD = {"scheme": "hmac_guard.schemes.NANGO", "keys": os.environ["NANGO_KEY"], "exempt": ("/health",)}

The names are those of `Guard`; `scheme` may be a dotted path.
"""

from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from hmac_guard.core.errors import ConfigError
from hmac_guard.guard import Guard


class SettingError(ConfigError):
    """The setting is wrong. `id` is that of the system check."""

    def __init__(self, id: str, text: str) -> None:
        super().__init__(text)
        self.id = id


_made: list[tuple[object, Guard]] = []


def guard_from_settings() -> Guard:
    """The guard that `HMAC_GUARD` names, made once. Raises `SettingError`."""
    value = getattr(settings, "HMAC_GUARD", None)
    if not _made or _made[-1][0] is not value:
        _made[:] = [(value, _load(value))]
    return _made[-1][1]


def _load(value: object) -> Guard:
    if value is None:
        raise SettingError(
            "hmac_guard.E001", "The setting HMAC_GUARD is missing; give the dotted path of a Guard, or a dict"
        )
    if isinstance(value, dict):
        return _make(value)
    found = _import(value) if isinstance(value, str) else value
    if not isinstance(found, Guard):
        raise SettingError(
            "hmac_guard.E003", f"HMAC_GUARD must be a Guard, its dotted path or a dict, not {type(found).__name__}"
        )
    return found


def _make(arguments: dict[str, Any]) -> Guard:
    scheme = arguments.get("scheme")
    try:
        return Guard(**{**arguments, "scheme": _import(scheme) if isinstance(scheme, str) else scheme})
    except SettingError:
        raise
    except (ConfigError, TypeError) as error:
        raise SettingError("hmac_guard.E004", f"HMAC_GUARD makes no guard: {error}") from None


def _import(path: str) -> Any:
    try:
        return import_string(path)
    except ImportError as error:
        raise SettingError("hmac_guard.E002", f"HMAC_GUARD: {path!r} cannot be imported: {error}") from None
