"""The setting `HMAC_GUARD`: the dotted path of a `Guard`, a `Guard`, or a dict of its arguments.

    HMAC_GUARD = {"scheme": "hmac_guard.schemes.NANGO", "keys": os.environ["NANGO_KEY"], "exempt": ("/health",)}

The options are the arguments of `Guard`, in lower or upper case. `scheme` and `keys` may be dotted paths, and also each
key in a list or mapping: a text that looks like a dotted path is imported. If a key itself looks like a dotted path,
write `Key("…")`.
"""

from collections.abc import Iterator, Mapping
from inspect import signature
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.strict import nearest
from hmac_guard.guard import Guard

_OPTIONS = list(signature(Guard.__init__).parameters)[1:]
_MAX_NAME = max(map(len, _OPTIONS)) + 4
_NEEDED = {
    "scheme": "scheme must be a Scheme or its dotted path, such as 'hmac_guard.schemes.NANGO'",
    "keys": "keys is a key, a list or a mapping of keys, a key resolver, or the dotted path of one of these",
}


class SettingError(ConfigError):
    """The setting is wrong. `id` is the id of the system check."""

    def __init__(self, id: str, text: str) -> None:
        super().__init__(text)
        self.id = id


_made: list[tuple[object, Guard]] = []


def guard_from_settings() -> Guard:
    """Return the guard of the setting `HMAC_GUARD`. It is made once. Raise `SettingError` if the setting is wrong."""
    # Error trackers copy local variables. So no local variable has the setting while code may raise or import.
    if not _made or _made[-1][0] is not _setting():
        made = _wrong_options() or _wrong_path() or _load()
        if isinstance(made, SettingError):
            raise made
        _made[:] = [(_setting(), made)]
    return _made[-1][1]


def _setting() -> Any:
    return getattr(settings, "HMAC_GUARD", None)


def _load() -> Guard | SettingError:
    if _setting() is None:
        return SettingError(
            "hmac_guard.E001", "The setting HMAC_GUARD is missing; give the dotted path of a Guard, or a dict"
        )
    if isinstance(_setting(), dict):
        return _make()
    found = import_string(_setting()) if isinstance(_setting(), str) else _setting()
    if isinstance(found, Guard):
        return found
    return SettingError(
        "hmac_guard.E003", f"HMAC_GUARD must be a Guard, its dotted path or a dict, not {type(found).__name__}"
    )


def _make() -> Guard | SettingError:
    try:
        return Guard(**{_option(name): _value(_option(name), given) for name, given in _setting().items()})
    except ConfigError as error:
        text = str(error)
    return SettingError("hmac_guard.E004", f"HMAC_GUARD is not valid: {text}")


def _value(option: str, given: Any) -> Any:
    if option == "scheme" and isinstance(given, str):
        return import_string(given)
    return _keys(given) if option == "keys" else given


def _keys(given: Any) -> Any:
    if isinstance(given, (list, tuple)):
        return [_keys(key) for key in given]
    if isinstance(given, Mapping):
        return {tenant: _keys(keys) for tenant, keys in given.items()}
    return import_string(given) if _is_path(given) else given


def _is_path(given: object) -> bool:
    return isinstance(given, str) and "." in given and all(part.isidentifier() for part in given.split("."))


def _wrong_options() -> SettingError | None:
    # The text is made first: no name is in a variable while the error is made.
    fault = _fault_of_options() if isinstance(_setting(), dict) else None
    return None if fault is None else SettingError("hmac_guard.E004", fault)


def _fault_of_options() -> str | None:
    names = list(map(str, _setting()))
    options = list(map(_option, names))
    for name, option in zip(names, options, strict=True):
        if option not in _OPTIONS:
            # A long name may be a key in the wrong place.
            shown = f"option {name!r}" if len(name) <= _MAX_NAME else f"option with a name of {len(name)} characters"
            return f"HMAC_GUARD has no {shown}; {_advice(name)}"
        if options.count(option) > 1:
            return f"HMAC_GUARD has the option {option!r} twice; remove one"
    missing = [needed for needed in _NEEDED if needed not in options]
    return f"HMAC_GUARD: {_NEEDED[missing[0]]}" if missing else None


def _option(name: str) -> str:
    return name.lower() if name.isupper() else name


def _advice(name: str) -> str:
    return nearest(name, [option.upper() if name.isupper() else option for option in _OPTIONS])


def _wrong_path() -> SettingError | None:
    for place, path, may_be_key in _paths():
        problem = None
        try:
            import_string(path.get())
        except ImportError as error:
            problem = (
                "looks like a dotted path, but cannot be imported; import it in a shell to see why. If it is the key "
                "itself, write Key(…)"
                if may_be_key
                else f"{path.get()!r} cannot be imported: {error}"
                if _is_path(path.get())
                else "the text is not a dotted path, such as 'mysite.guards.GUARD'"
            )
        if problem is not None:
            return SettingError("hmac_guard.E002", f"{place}: {problem}")
    return None


def _paths() -> list[tuple[str, Hidden[str], bool]]:
    """Return the dotted paths in the setting: the place, the path, and whether it may be a key."""
    if isinstance(_setting(), str):
        return [("HMAC_GUARD", hide(_setting()), False)]
    given = {_option(name): value for name, value in _setting().items()} if isinstance(_setting(), dict) else {}
    scheme = [("HMAC_GUARD['scheme']", hide(given["scheme"]), False)] if isinstance(given.get("scheme"), str) else []
    return [*scheme, *((place, path, True) for place, path in _paths_of_keys("HMAC_GUARD['keys']", given.get("keys")))]


def _paths_of_keys(place: str, given: Any) -> Iterator[tuple[str, Hidden[str]]]:
    if isinstance(given, (list, tuple)):
        for index, key in enumerate(given):
            yield from _paths_of_keys(f"{place}[{index}]", key)
    elif isinstance(given, Mapping):
        for tenant, keys in given.items():
            yield from _paths_of_keys(f"{place}[{tenant!r}]", keys)
    elif _is_path(given):
        yield place, hide(given)
