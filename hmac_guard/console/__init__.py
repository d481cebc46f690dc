"""The console for operators: pages for keys, modes and signatures. Needs the extra `console`."""

from typing import TYPE_CHECKING, Any

from hmac_guard.later import load

if TYPE_CHECKING:
    from hmac_guard.console.access import Operator as Operator
    from hmac_guard.console.console import Console as Console

__all__ = ["Console", "Operator"]

_LATER = {
    "Console": ("hmac_guard.console.console", "'hmac-guard[console]'"),
    "Operator": ("hmac_guard.console.access", "'hmac-guard[console]'"),
}


def __getattr__(name: str) -> Any:
    return load(__name__, name, _LATER)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
