"""What the pages say of keys and modes."""

from typing import Any, NamedTuple

from werkzeug.exceptions import NotFound

from hmac_guard.console.context import Context
from hmac_guard.core.text import is_id
from hmac_guard.keys.sql.listing import StoredKey, StoredTenant

#: What each mode means. "guard" is a tenant's that has none of its own.
MODES = {
    "off": ("Off", "Requests are not looked at. Nothing is proven."),
    "report": ("Report", "Every request goes through. Those that would be refused are counted."),
    "enforce": ("Enforce", "A request without a right signature is answered with 401."),
    "guard": ("Guard's own", "The mode of the guard applies, as it is written in the application."),
}


class KeyState(NamedTuple):
    """The state of a key: "in force", "ending", "to come" or "ended", and the time that goes with it."""

    name: str
    at: float | None


def state_of(key: StoredKey, now: float) -> KeyState:
    if key.not_after is not None and key.not_after < now:
        return KeyState("ended", key.not_after)
    if key.not_before is not None and key.not_before > now:
        return KeyState("to come", key.not_before)
    return KeyState("in force" if key.not_after is None else "ending", key.not_after)


def in_force(key: StoredKey, now: float) -> bool:
    return state_of(key, now).name in ("in force", "ending")


def open_windows(keys: tuple[StoredKey, ...], now: float) -> list[StoredKey]:
    """Return the keys of a rotation that is still open: they end, and a newer key signs."""
    newest = next((key for key in keys if in_force(key, now)), None)
    return [key for key in keys if state_of(key, now).name == "ending" and key is not newest]


def tenant_of(context: Context, name: str) -> StoredTenant:
    """Return a tenant.

    Raises:
        NotFound: There is none of that name.
    """
    found: Any = context.console.keys.tenants(prefix=name, limit=1) if is_id(name) else ()
    if not found or found[0].name != name:
        raise NotFound(f"There is no tenant {name!r}.")
    tenant: StoredTenant = found[0]
    return tenant


def key_of(tenant: StoredTenant, key_id: str) -> StoredKey:
    """Return a key of a tenant.

    Raises:
        NotFound: It has no such key.
    """
    for key in tenant.keys:
        if key.id == key_id:
            return key
    raise NotFound(f"The tenant {tenant.name!r} has no key {key_id!r}.")


def cache_note(context: Context) -> str:
    """Return what "now" means for the workers that remember keys."""
    cache = context.console.cache
    ttl = f"{cache._entries._ttl:g} seconds" if cache is not None else "60 seconds unless you chose another one"
    return (
        "Workers that keep keys in a cache see a change within the ttl of their CachedKeys "
        f"({ttl}), and at once with RedisInvalidation."
    )
