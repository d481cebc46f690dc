"""Sources of keys. A key resolver is any callable `claim -> keys`; these are ready-made ones.

A resolver that needs another library is imported when it is first used: you need not install what you do not use.
"""

from typing import TYPE_CHECKING, Any

from hmac_guard.keys.env import EnvKeys as EnvKeys
from hmac_guard.keys.resolver import KeyAnswer as KeyAnswer
from hmac_guard.keys.resolver import KeyResolver as KeyResolver
from hmac_guard.keys.resolver import KeySource as KeySource
from hmac_guard.keys.resolver import MappingKeys as MappingKeys
from hmac_guard.keys.resolver import StaticKeys as StaticKeys
from hmac_guard.keys.resolver import per_tenant as per_tenant
from hmac_guard.later import load

if TYPE_CHECKING:
    from hmac_guard.keys.cached import CachedKeys as CachedKeys
    from hmac_guard.keys.chain import ChainKeys as ChainKeys
    from hmac_guard.keys.files import FileKeys as FileKeys
    from hmac_guard.keys.redis import RedisInvalidation as RedisInvalidation
    from hmac_guard.keys.sql import SqlKeys as SqlKeys
    from hmac_guard.keys.sql import VerdictCounts as VerdictCounts

__all__ = ["EnvKeys", "KeyAnswer", "KeyResolver", "KeySource", "MappingKeys", "StaticKeys", "per_tenant"]

# The module of each, and what to install for it.
_LATER = {
    "CachedKeys": ("hmac_guard.keys.cached", "'hmac-guard[cache]'"),
    "ChainKeys": ("hmac_guard.keys.chain", ""),
    "FileKeys": ("hmac_guard.keys.files", ""),
    "RedisInvalidation": ("hmac_guard.keys.redis", "'hmac-guard[redis]'"),
    "SqlKeys": ("hmac_guard.keys.sql", "'hmac-guard[sql]'"),
    "VerdictCounts": ("hmac_guard.keys.sql", "'hmac-guard[sql]'"),
}


def __getattr__(name: str) -> Any:
    return load(__name__, name, _LATER)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
