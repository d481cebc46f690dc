"""The system checks. Their ids are stable, so that you can list them in SILENCED_SYSTEM_CHECKS.

hmac_guard.E001  HMAC_GUARD is missing
hmac_guard.E002  HMAC_GUARD names an object that cannot be imported
hmac_guard.E003  HMAC_GUARD is not a guard
hmac_guard.E004  HMAC_GUARD is a dict with invalid options
hmac_guard.E005  a guard in MIDDLEWARE does not work in Django, or two guards have the same name
hmac_guard.W001  a guard is before the CORS middleware
hmac_guard.W002  a guard verifies larger bodies than a view can read
"""

from collections.abc import Iterable, Iterator
from typing import Any

from django.conf import settings
from django.core import checks
from django.utils.module_loading import import_string

from hmac_guard.core.errors import ConfigError
from hmac_guard.decider import Decider, decider_of
from hmac_guard.django.conf import SettingError, guard_from_settings
from hmac_guard.django.driver import DjangoDriver
from hmac_guard.django.middleware import GuardMiddleware
from hmac_guard.django.routes import guard_middleware


def check_guard_settings(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """Check the setting `HMAC_GUARD`, if it is set or needed, and the order of MIDDLEWARE."""
    found = guard_middleware(filter(_can_be_imported, settings.MIDDLEWARE))
    needed = hasattr(settings, "HMAC_GUARD") or any(middleware.guard is None for _, middleware in found)
    wrong = list(_wrong_setting()) if needed else []
    return [*wrong, *([] if wrong else _wrong_guards(found)), *_before_cors([path for path, _ in found])]


def _can_be_imported(path: str) -> bool:
    """Return whether a dotted path can be imported. Django reports the others when it loads them."""
    try:
        import_string(path)
    except ImportError:
        return False
    return True


def _wrong_setting() -> Iterator[checks.CheckMessage]:
    try:
        guard_from_settings()
    except SettingError as error:
        yield checks.Error(str(error), id=error.id)


def _wrong_guards(found: Iterable[tuple[str, type[GuardMiddleware]]]) -> Iterator[checks.CheckMessage]:
    names: set[str] = set()
    for path, middleware in found:
        guard = middleware.guard_in_use()
        try:
            DjangoDriver(path, decider_of(path, guard))
        except ConfigError as error:
            yield checks.Error(str(error), id="hmac_guard.E005")
        if guard.annotate_as in names:
            yield checks.Error(
                f"{path}: another guard in MIDDLEWARE has the same name {guard.annotate_as!r}",
                hint="Give one of them annotate_as=.",
                id="hmac_guard.E005",
            )
        if _verifies_more_than_views_read(decider_of(path, guard)):
            yield checks.Warning(
                f"{path}: the guard verifies bodies of up to {guard.max_body:,} bytes, and a view cannot read "
                f"request.body above DATA_UPLOAD_MAX_MEMORY_SIZE, {settings.DATA_UPLOAD_MAX_MEMORY_SIZE:,} bytes.",
                hint="Raise DATA_UPLOAD_MAX_MEMORY_SIZE, or lower max_body.",
                id="hmac_guard.W002",
            )
        names.add(guard.annotate_as)


def _verifies_more_than_views_read(decider: Decider) -> bool:
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    reader = decider.reader
    # Django's limit does not count the files of a multipart form.
    is_read_whole = decider.scheme.signs_body or any("json" in field.kinds for field in reader.fields)
    return is_read_whole and limit is not None and decider.max_body > limit


def _before_cors(guards: list[str]) -> Iterator[checks.CheckMessage]:
    entries = list(settings.MIDDLEWARE)
    cors = [entry for entry in entries if "cors" in entry.rpartition(".")[2].lower()]
    for path in guards:
        if any(entries.index(path) < entries.index(entry) for entry in cors):
            yield checks.Warning(
                f"{path} is before {cors[0]} in MIDDLEWARE: a page on another origin cannot read a refusal.",
                hint="Put the CORS middleware first.",
                id="hmac_guard.W001",
            )
