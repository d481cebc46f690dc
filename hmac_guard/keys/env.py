"""Keys from environment variables."""

import os
import re
from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.key import Key, Keyring
from hmac_guard.core.verdict import Claim
from hmac_guard.keys.forms import key_from_text, shown, tenant_in
from hmac_guard.keys.resolver import Resolver, check_owners, keys_of

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class EnvKeys(Resolver):
    """Reads keys from environment variables, once, when this is made.

    Two servers (wsgiref, granian) copy the environment into every WSGI environ: never print an environ there.

    Args:
        names: The names of the variables. With one name, it is the key. With several, the first signs, any verifies,
            and all but the first may be unset: a rotation. A name with `{tenant}` in it means one variable for each
            tenant, with the tenant as in the request. With several such names, a tenant may have a variable of each
            name, or of some of them.
        form: How the secrets are written: "text" (used as UTF-8), "hex", "base64" or "whsec" (used decoded).

    Raises:
        ConfigError: The first or only variable is unset, its text is hardly a secret (see `Key`), two tenants have the
            same secret, or one variable may fit two names with `{tenant}`.

    Example::

        EnvKeys("NANGO_HMAC_KEY")
        EnvKeys("NANGO_HMAC_KEY", "NANGO_HMAC_KEY_OLD")
        EnvKeys("NANGO_HMAC_KEY_{tenant}")
        EnvKeys("NANGO_HMAC_KEY_{tenant}", "OLD_NANGO_HMAC_KEY_{tenant}")
    """

    __slots__ = ("_names", "_rings", "per_tenant")

    _names: tuple[str, ...]
    _rings: Mapping[str | None, Keyring]
    per_tenant: bool
    blocking = False

    def __init__(self, *names: str, form: str = "text") -> None:
        # Hidden: a user may give the secret in place of its variable's name, and it must not be logged.
        hidden = hide(names)
        del names
        if not hidden.get():
            raise ConfigError('EnvKeys: give the name of a variable: EnvKeys("NANGO_HMAC_KEY")')
        if not all(map(_is_name, hidden.get())):
            raise ConfigError("EnvKeys: give the name of a variable (letters, digits and '_'), not its value")
        per_tenant = "{tenant}" in "".join(hidden.get())
        rings: Any = _tenant_rings(hidden, form) if per_tenant else {None: Keyring(_named_keys(hidden, form))}
        self._set(_names=hidden.get(), _rings=rings, per_tenant=per_tenant)

    def __call__(self, claim: Claim) -> Keyring | None:
        return self._rings.get(claim.tenant if self.per_tenant else None)

    def known_rings(self) -> Mapping[str, Keyring]:
        return {tenant: ring for tenant, ring in self._rings.items() if tenant is not None}

    def known_keys(self) -> Iterable[Key]:
        return keys_of(self._rings)

    def _description(self) -> str:
        return f"EnvKeys({', '.join(repr(shown(name)) for name in self._names)})"


def _is_name(name: object) -> bool:
    return isinstance(name, str) and _NAME.fullmatch(name.replace("{tenant}", "T", 1)) is not None


def _named_keys(names: Hidden[tuple[str, ...]], form: str) -> list[Key]:
    if names.get()[0] not in os.environ:
        raise ConfigError(f"EnvKeys: the variable {shown(names.get()[0])} is not set; set it to the secret")
    return [_key(name, form) for name in names.get() if name in os.environ]


def _tenant_rings(patterns: Hidden[tuple[str, ...]], form: str) -> dict[str, Keyring]:
    _check_patterns(patterns)
    keys: dict[str, list[Key]] = {}
    for pattern in patterns.get():
        for name in os.environ:
            tenant = tenant_in(name, pattern)
            if tenant is not None:
                keys.setdefault(tenant, []).append(_key(name, form))
        if not keys:
            raise ConfigError(f"EnvKeys: no variable like {shown(pattern)} is set; set one for each tenant")
    rings = {tenant: Keyring(found) for tenant, found in keys.items()}
    check_owners("EnvKeys", rings)
    return rings


def _check_patterns(patterns: Hidden[tuple[str, ...]]) -> None:
    if not all("{tenant}" in pattern for pattern in patterns.get()):
        raise ConfigError("EnvKeys: put {tenant} into each of the names, or into none of them")
    if "{tenant}" in patterns.get():
        raise ConfigError("EnvKeys: put a fixed text beside {tenant}, or any variable would be some tenant's key")
    for one, other in combinations(patterns.get(), 2):
        # The key of the tenant "a_OLD" under K_{tenant} would also be a key of the tenant "a" under K_{tenant}_OLD.
        if _may_share_a_variable(one, other):
            raise ConfigError(
                f"EnvKeys: one variable may fit both {shown(one)} and {shown(other)}; begin one of the names with a "
                "text of its own, such as OLD_KEY_{tenant} beside KEY_{tenant}"
            )


def _may_share_a_variable(one: str, other: str) -> bool:
    (begin, _, end), (other_begin, _, other_end) = one.partition("{tenant}"), other.partition("{tenant}")
    begin_alike = begin.startswith(other_begin) or other_begin.startswith(begin)
    return begin_alike and (end.endswith(other_end) or other_end.endswith(end))


def _key(name: str, form: str) -> Key:
    return key_from_text(f"EnvKeys: {name}", os.environ[name], form, id=name)
