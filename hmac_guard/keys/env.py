"""Keys from environment variables."""

import os
import re
from collections.abc import Mapping
from typing import Any

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.key import Key, Keyring
from hmac_guard.core.verdict import Claim
from hmac_guard.keys.forms import key_from_text, shown, tenant_in
from hmac_guard.keys.resolver import Resolver, check_owners

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class EnvKeys(Resolver):
    """Reads keys from environment variables, once, when this is made.

    Two servers (wsgiref, granian) copy the environment into every WSGI environ: never print an environ there.

    Args:
        names: The names of the variables. With one name, it is the key. With several, the first signs, any verifies,
            and all but the first may be unset: a rotation. A single name with `{tenant}` in it means one variable for
            each tenant, with the tenant as in the request.
        form: How the secrets are written: "text" (used as UTF-8), "hex", "base64" or "whsec" (used decoded).

    Raises:
        ConfigError: The first or only variable is unset, its text is hardly a secret (see `Key`), or two tenants have
            the same secret.

    Example::

        EnvKeys("NANGO_HMAC_KEY")
        EnvKeys("NANGO_HMAC_KEY", "NANGO_HMAC_KEY_OLD")
        EnvKeys("NANGO_HMAC_KEY_{tenant}")
    """

    __slots__ = ("_names", "_rings", "per_tenant")

    _names: tuple[str, ...]
    _rings: Mapping[str | None, Keyring]
    per_tenant: bool
    blocking = False

    def __init__(self, *names: str, form: str = "text") -> None:
        if not names:
            raise ConfigError('EnvKeys: give the name of a variable: EnvKeys("NANGO_HMAC_KEY")')
        for name in names:
            if not isinstance(name, str) or not _NAME.fullmatch(name.replace("{tenant}", "T", 1)):
                # Not shown: a user may pass the secret in place of its variable's name, and it must not be logged.
                raise ConfigError("EnvKeys: give the name of a variable (letters, digits and '_'), not its value")
        per_tenant = any("{tenant}" in name for name in names)
        if per_tenant and len(names) > 1:
            raise ConfigError("EnvKeys: give one name where it has {tenant}; chain two EnvKeys for two keys a tenant")
        rings: Any = _tenant_rings(names[0], form) if per_tenant else {None: Keyring(_named_keys(names, form))}
        self._set(_names=names, _rings=rings, per_tenant=per_tenant)

    def __call__(self, claim: Claim) -> Keyring | None:
        return self._rings.get(claim.tenant if self.per_tenant else None)

    def __repr__(self) -> str:
        return f"EnvKeys({', '.join(repr(shown(name)) for name in self._names)})"


def _named_keys(names: tuple[str, ...], form: str) -> list[Key]:
    if names[0] not in os.environ:
        raise ConfigError(f"EnvKeys: the variable {shown(names[0])} is not set; set it to the secret")
    return [_key(name, form) for name in names if name in os.environ]


def _tenant_rings(pattern: str, form: str) -> dict[str, Keyring]:
    if pattern == "{tenant}":
        raise ConfigError("EnvKeys: put a fixed text beside {tenant}, or any variable would be some tenant's key")
    tenants = {name: tenant for name in os.environ if (tenant := tenant_in(name, pattern))}
    if not tenants:
        raise ConfigError(f"EnvKeys: no variable like {shown(pattern)} is set; set one for each tenant")
    rings = {tenant: Keyring(_key(name, form)) for name, tenant in tenants.items()}
    check_owners("EnvKeys", rings)
    return rings


def _key(name: str, form: str) -> Key:
    return key_from_text(f"EnvKeys: {name}", os.environ[name], form, id=name)
