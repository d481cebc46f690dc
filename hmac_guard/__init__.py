"""Proves that the ids of a request were signed, before the application sees it. Start at `Guard`.

Each name is imported when it is first used, so `import hmac_guard` alone imports no other module of the package.
"""

TYPE_CHECKING = (
    False  # Type checkers take it for true. `typing` is not imported, since that takes longer than the rest.
)

if TYPE_CHECKING:
    from hmac_guard.core.errors import ConfigError as ConfigError
    from hmac_guard.core.errors import KeysUnavailable as KeysUnavailable
    from hmac_guard.core.errors import WeakKeyWarning as WeakKeyWarning
    from hmac_guard.core.fields import SignedFields as SignedFields
    from hmac_guard.core.key import Key as Key
    from hmac_guard.core.key import Keyring as Keyring
    from hmac_guard.core.scheme import Scheme as Scheme
    from hmac_guard.core.sources import Cookie as Cookie
    from hmac_guard.core.sources import Form as Form
    from hmac_guard.core.sources import Header as Header
    from hmac_guard.core.sources import Json as Json
    from hmac_guard.core.sources import Path as Path
    from hmac_guard.core.sources import Query as Query
    from hmac_guard.core.times import Expires as Expires
    from hmac_guard.core.times import Timestamp as Timestamp
    from hmac_guard.core.verdict import Claim as Claim
    from hmac_guard.core.verdict import Decision as Decision
    from hmac_guard.core.verdict import Reason as Reason
    from hmac_guard.core.verdict import Verdict as Verdict
    from hmac_guard.core.verdict import verdict_from as verdict_from
    from hmac_guard.guard import Guard as Guard
else:  # To a type checker, the module has no other names than those above.
    #: The module of each name.
    _MODULES = {
        "Claim": "core.verdict",
        "ConfigError": "core.errors",
        "Cookie": "core.sources",
        "Decision": "core.verdict",
        "Expires": "core.times",
        "Form": "core.sources",
        "Guard": "guard",
        "Header": "core.sources",
        "Json": "core.sources",
        "Key": "core.key",
        "Keyring": "core.key",
        "KeysUnavailable": "core.errors",
        "Path": "core.sources",
        "Query": "core.sources",
        "Reason": "core.verdict",
        "Scheme": "core.scheme",
        "SignedFields": "core.fields",
        "Timestamp": "core.times",
        "Verdict": "core.verdict",
        "WeakKeyWarning": "core.errors",
        "verdict_from": "core.verdict",
    }

    def __getattr__(name):
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        found = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
        return found

    def __dir__():
        return sorted({*globals(), *__all__} - {"TYPE_CHECKING"})


__all__ = [
    "Claim",
    "ConfigError",
    "Cookie",
    "Decision",
    "Expires",
    "Form",
    "Guard",
    "Header",
    "Json",
    "Key",
    "Keyring",
    "KeysUnavailable",
    "Path",
    "Query",
    "Reason",
    "Scheme",
    "SignedFields",
    "Timestamp",
    "Verdict",
    "WeakKeyWarning",
    "verdict_from",
]
