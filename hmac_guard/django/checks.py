"""The system checks. Their ids are stable, so that you can list them in SILENCED_SYSTEM_CHECKS.

hmac_guard.E001  HMAC_GUARD is missing
hmac_guard.E002  HMAC_GUARD names an object that cannot be imported
hmac_guard.E003  HMAC_GUARD is not a guard
hmac_guard.E004  HMAC_GUARD is a dict with invalid options
hmac_guard.E005  a guard does not work in Django or in its place, or two guards in MIDDLEWARE have the same name
hmac_guard.E006  a guard reads UTF-8, and Django reads the same text with another DEFAULT_CHARSET
hmac_guard.W001  a guard is before the CORS middleware
hmac_guard.W002  a guard verifies larger bodies than a view can read
hmac_guard.W003  a cache in MIDDLEWARE answers before a guard
"""

import codecs
from collections.abc import Iterable, Iterator
from itertools import takewhile
from types import ModuleType
from typing import Any

from django.conf import settings
from django.core import checks
from django.utils.module_loading import import_string

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.sources import Form, Json, Query
from hmac_guard.coverage import module_of
from hmac_guard.decider import Decider, decider_of
from hmac_guard.django.conf import SettingError, guard_from_settings
from hmac_guard.django.middleware import GuardMiddleware
from hmac_guard.django.routes import (
    authentication_classes,
    decorating_guard,
    guard_authentication,
    guard_class,
    guard_middleware,
    is_rest_view,
    text_of,
    views,
)

_AUTHENTICATION = "Give GuardAuthentication of hmac_guard.django.rest, or a subclass of it with your guard."
_FIXES = {
    "MIDDLEWARE": 'Write the dotted path "hmac_guard.django.GuardMiddleware", or that of a subclass of it.',
    "DEFAULT_AUTHENTICATION_CLASSES": _AUTHENTICATION,
    "authentication_classes": _AUTHENTICATION,
}


def check_guard_settings(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """Check the setting `HMAC_GUARD`, if it is set, each guard that Django uses, and the order of MIDDLEWARE."""
    middleware = guard_middleware(filter(_can_be_imported, settings.MIDDLEWARE))
    in_middleware, wrong = _deciders_of(middleware)
    routes = _routes()
    listed = [kind for _, view in routes for kind in authentication_classes(view)]
    on_views, wrong_on_views = _deciders_of(guard_authentication([*_default_classes(), *listed]))
    decorating = _decorating(routes)
    found = [
        *_wrong_setting(),
        *_misplaced("MIDDLEWARE", settings.MIDDLEWARE, str, GuardMiddleware),
        *_misplaced("DEFAULT_AUTHENTICATION_CLASSES", _listed_by_default(), (str, type), guard_class()),
        *_misplaced("authentication_classes", listed, type, guard_class()),
        *wrong,
        *wrong_on_views,
        *_same_names(in_middleware),
        *_other_charset([*in_middleware, *decorating, *on_views], [view for _, view in routes]),
        *_larger_bodies([*in_middleware, *decorating]),
        *_before_cors([path for path, _ in middleware]),
        *_after_cache(in_middleware, [*decorating, *on_views]),
    ]
    # Several guards may have the same wrong setting.
    return [message for number, message in enumerate(found) if message not in found[:number]]


def _can_be_imported(path: str) -> bool:
    """Return whether a dotted path can be imported. Django reports the others when it loads them."""
    try:
        import_string(path)
    except Exception:  # A module may raise any.
        return False
    return True


def _misplaced(place: str, listed: Iterable[Any], form: Any, kind: Any) -> Iterator[checks.CheckMessage]:
    """Report the entries of a list that are of this package and that Django cannot use there.

    Args:
        place: The name of the list.
        listed: The list.
        form: The type of the entries that Django can use: text, a class, or both.
        kind: The class that Django can use, also in subclasses.
    """
    for entry in listed:
        fault = _fault_of(entry, form, kind)
        if fault:
            yield checks.Error(f"{place}: {fault}", hint=_FIXES[place], id="hmac_guard.E005")


def _fault_of(entry: Any, form: Any, kind: Any) -> str | None:
    try:
        found = import_string(entry) if isinstance(entry, str) else entry
    except Exception as error:  # A module may raise any. Django reports those of others when it loads them.
        return f"{entry!r} cannot be imported: {error}" if _is_our_name(entry) else None
    is_usable = isinstance(entry, form) and isinstance(found, type) and issubclass(found, kind)
    if is_usable or not _is_ours(found):
        return None
    name = repr(entry) if isinstance(entry, str) else getattr(entry, "__qualname__", f"a {type(entry).__name__}")
    return f"{name} cannot be used there"


def _is_ours(found: Any) -> bool:
    """Return whether a module, a class, a function or another object comes from this package."""
    if isinstance(found, ModuleType):
        return _is_our_name(found.__name__)
    kinds = found.__mro__ if isinstance(found, type) else (found, *type(found).__mro__)
    return any(_is_our_name(module_of(kind)) for kind in kinds)


def _is_our_name(path: object) -> bool:
    return str(path).partition(".")[0] == "hmac_guard"


def _listed_by_default() -> Iterable[Any]:
    return (getattr(settings, "REST_FRAMEWORK", None) or {}).get("DEFAULT_AUTHENTICATION_CLASSES") or ()


def _default_classes() -> list[Any]:
    """Return the classes of DEFAULT_AUTHENTICATION_CLASSES that can be imported."""
    listed = _listed_by_default()
    named = filter(_can_be_imported, [each for each in listed if isinstance(each, str)])
    return [*map(import_string, named), *(each for each in listed if not isinstance(each, str))]


def _routes() -> list[tuple[str, Any]]:
    """Return the routes of the URLconf with their views. If it cannot be imported, Django's own check reports it."""
    if not getattr(settings, "ROOT_URLCONF", None):
        return []
    try:
        return [(text_of(patterns), view) for patterns, view in views()]
    except ImportError:
        return []


def _decorating(routes: Iterable[tuple[str, Any]]) -> list[tuple[str, Decider]]:
    """Return the deciders of `hmac_guarded`, one for each guard."""
    found: dict[object, tuple[str, Decider]] = {}
    for route, view in routes:
        guard = decorating_guard(view)
        if guard is not None:
            decider = decider_of("hmac_guarded", guard)
            found.setdefault(decider.issuer, (f"hmac_guarded on {route}", decider))
    return list(found.values())


def _wrong_setting() -> list[checks.CheckMessage]:
    try:
        if hasattr(settings, "HMAC_GUARD"):
            guard_from_settings()
    except SettingError as error:
        return [_error_of(error)]
    return []


def _deciders_of(classes: Iterable[tuple[str, Any]]) -> tuple[list[tuple[str, Decider]], list[checks.CheckMessage]]:
    """Make the guards of these classes as Django does it. Return the deciders, and the errors."""
    deciders: list[tuple[str, Decider]] = []
    wrong: list[checks.CheckMessage] = []
    for path, kind in classes:
        try:
            deciders.append((path, kind.make_driver(path).decider))
        except ConfigError as error:
            wrong.append(_error_of(error))
    return deciders, wrong


def _error_of(error: ConfigError) -> checks.CheckMessage:
    return checks.Error(str(error), id=error.id if isinstance(error, SettingError) else "hmac_guard.E005")


def _same_names(deciders: Iterable[tuple[str, Decider]]) -> Iterator[checks.CheckMessage]:
    issuers: dict[str, object] = {}
    for path, decider in deciders:
        if decider.annotate_as in issuers:
            is_same = issuers[decider.annotate_as] is decider.issuer
            yield checks.Error(
                f"{path}: this guard is in MIDDLEWARE twice"
                if is_same
                else f"{path}: another guard in MIDDLEWARE has the same name {decider.annotate_as!r}",
                hint="Remove one of them." if is_same else "Give one of them annotate_as=.",
                id="hmac_guard.E005",
            )
        issuers[decider.annotate_as] = decider.issuer


def _other_charset(deciders: Iterable[tuple[str, Decider]], views: Iterable[Any]) -> Iterator[checks.CheckMessage]:
    """Report guards that read texts which Django decodes with another charset than UTF-8."""
    charset = settings.DEFAULT_CHARSET
    # REST framework decodes JSON with this charset, too.
    kinds = (Query, Form, Json) if any(map(is_rest_view, views)) else (Query, Form)
    for path, decider in deciders:
        places = [place for field in decider.reader.fields for place in field.source.places()]
        if not _is_utf_8(charset) and any(isinstance(place, kinds) for place in places):
            yield checks.Error(
                f"{path}: the guard reads UTF-8, and views read the same text with DEFAULT_CHARSET, {charset!r}.",
                hint='Set DEFAULT_CHARSET = "utf-8", or silence this check if all views read ids from the verdict.',
                id="hmac_guard.E006",
            )


def _is_utf_8(charset: str) -> bool:
    try:
        return codecs.lookup(charset).name == "utf-8"
    except LookupError:
        return False


def _larger_bodies(deciders: Iterable[tuple[str, Decider]]) -> Iterator[checks.CheckMessage]:
    for path, decider in deciders:
        if _verifies_more_than_views_read(decider):
            yield checks.Warning(
                f"{path}: the guard verifies bodies of up to {decider.max_body:,} bytes, and a view cannot read "
                f"request.body above DATA_UPLOAD_MAX_MEMORY_SIZE, {settings.DATA_UPLOAD_MAX_MEMORY_SIZE:,} bytes.",
                hint="Raise DATA_UPLOAD_MAX_MEMORY_SIZE, or lower max_body.",
                id="hmac_guard.W002",
            )


def _verifies_more_than_views_read(decider: Decider) -> bool:
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    reader = decider.reader
    # Django's limit does not count the files of a multipart form.
    is_read_whole = decider.scheme.signs_body or any("json" in field.kinds for field in reader.fields)
    return is_read_whole and limit is not None and decider.max_body > limit


def _before_cors(guards: list[str]) -> Iterator[checks.CheckMessage]:
    entries = list(settings.MIDDLEWARE)
    cors = [entry for entry in entries if isinstance(entry, str) and "cors" in entry.rpartition(".")[2].lower()]
    for path in guards:
        if any(entries.index(path) < entries.index(entry) for entry in cors):
            yield checks.Warning(
                f"{path} is before {cors[0]} in MIDDLEWARE: a page on another origin cannot read a refusal.",
                hint="Put the CORS middleware first.",
                id="hmac_guard.W001",
            )


def _after_cache(
    in_middleware: list[tuple[str, Decider]], on_views: list[tuple[str, Decider]]
) -> Iterator[checks.CheckMessage]:
    """Report guards that do not see a request because a cache in MIDDLEWARE answers it."""
    entries = list(settings.MIDDLEWARE)
    outside = list(takewhile(lambda entry: not _is_cache(entry), entries))
    if outside == entries:
        return
    seeing = {decider.issuer for path, decider in in_middleware if path in outside}
    for path, decider in [*in_middleware, *on_views]:
        if decider.issuer not in seeing:
            yield checks.Warning(
                f"{path}: {entries[len(outside)]} is before the guard in MIDDLEWARE: an unsigned request can get the "
                "answer to a signed one.",
                hint="Put the guard above the cache, or silence this check if the views send Cache-Control: private.",
                id="hmac_guard.W003",
            )


def _is_cache(entry: Any) -> bool:
    """Return whether this middleware answers from a cache: Django's class, or one of this name."""
    kinds = getattr(import_string(entry), "__mro__", ()) if _can_be_imported(entry) else ()
    return any(kind.__name__ == "FetchFromCacheMiddleware" for kind in kinds)
