"""Where keys come from. A key resolver is any callable `claim -> keys`; these are ready-made ones.

Those that need a library beside hmac_guard are imported when they are first named, so that nobody has to install what
they do not use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hmac_guard.keys.env import EnvKeys as EnvKeys
from hmac_guard.keys.resolver import KeyAnswer as KeyAnswer
from hmac_guard.keys.resolver import KeyResolver as KeyResolver
from hmac_guard.keys.resolver import KeySource as KeySource
from hmac_guard.keys.resolver import MappingKeys as MappingKeys
from hmac_guard.keys.resolver import StaticKeys as StaticKeys
from hmac_guard.keys.resolver import per_tenant as per_tenant

if TYPE_CHECKING:
    from hmac_guard.keys.cached import CachedKeys as CachedKeys
    from hmac_guard.keys.chain import ChainKeys as ChainKeys
    from hmac_guard.keys.files import FileKeys as FileKeys
    from hmac_guard.keys.redis import RedisInvalidation as RedisInvalidation
    from hmac_guard.keys.sql import SqlKeys as SqlKeys
    from hmac_guard.keys.sql import VerdictCounts as VerdictCounts

__all__ = ["EnvKeys", "KeyAnswer", "KeyResolver", "KeySource", "MappingKeys", "StaticKeys", "per_tenant"]

# Imported when it is first named: the module, and the extra that brings what it needs.
_LATER = {
    "CachedKeys": ("hmac_guard.keys.cached", "cache"),
    "ChainKeys": ("hmac_guard.keys.chain", None),
    "FileKeys": ("hmac_guard.keys.files", None),
    "RedisInvalidation": ("hmac_guard.keys.redis", "redis"),
    "SqlKeys": ("hmac_guard.keys.sql", "sql"),
    "VerdictCounts": ("hmac_guard.keys.sql", "sql"),
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, extra = _LATER[name]
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if extra is None or str(error.name).startswith("hmac_guard"):
            raise
        raise ImportError(
            f"{name} needs {error.name}, which the extra {extra!r} brings: pip install 'hmac-guard[{extra}]'"
        ) from error


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
