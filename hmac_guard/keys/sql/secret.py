"""How a secret stands in the table: its form and its text, in the clear or sealed under a master key.

    text:s3cret      hex:0b0b…      base64:AAEC…      sealed:gAAAA…

What is sealed names its tenant and its key, so that a secret copied into another row opens for nobody.
"""

import base64
import json
import secrets
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.frozen import Frozen
from hmac_guard.core.key import Key
from hmac_guard.keys.forms import key_from_text

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

MasterKeys = str | bytes | Sequence[str | bytes]

_SEALED = "sealed:"
_MAKE_ONE = 'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'


class Secret(NamedTuple):
    """A secret as it is written."""

    form: str
    text: str

    @classmethod
    def of(cls, given: str | bytes | None, form: str) -> "Secret":
        """What an operator gave; None makes 32 random bytes, written so that they can be used as text."""
        if given is None:
            return cls("text", secrets.token_urlsafe(32))
        if isinstance(given, bytes):
            return cls("base64", base64.b64encode(given).decode())
        if not isinstance(given, str):
            raise ConfigError(f"SqlKeys: a secret is text or bytes, not {type(given).__name__}")
        return cls(form, given)

    def key(self, tenant: str, key_id: str, **times: float | None) -> Key:
        return key_from_text(_name(tenant, key_id), self.text, self.form, key_id, **times)

    def __repr__(self) -> str:
        return f"<Secret, {self.form}>"


class Sealing(Frozen):
    """Seals with the first master key and opens with any. Without one, secrets are written and read in the clear."""

    __slots__ = ("_box",)

    _box: "MultiFernet | None"

    def __init__(self, master_keys: MasterKeys) -> None:
        keys = [master_keys] if isinstance(master_keys, (str, bytes)) else list(master_keys)
        self._set(_box=_box_of(keys) if keys else None)

    def __bool__(self) -> bool:
        return self._box is not None

    def close(self, tenant: str, key_id: str, secret: Secret) -> str:
        """What the table is to hold."""
        if self._box is None:
            return f"{secret.form}:{secret.text}"
        return _SEALED + self._box.encrypt(json.dumps([tenant, key_id, *secret]).encode()).decode()

    def open(self, tenant: str, key_id: str, stored: object) -> Secret:
        """What the table holds. Raises `ConfigError`, which names the key and shows nothing of it."""
        if is_sealed(stored):
            return self._unseal(tenant, key_id, str(stored).removeprefix(_SEALED))
        form, colon, text = str(stored).partition(":")
        if not colon:
            raise ConfigError(f"{_name(tenant, key_id)} does not stand in the table as SqlKeys writes it")
        return Secret(form, text)

    def _unseal(self, tenant: str, key_id: str, token: str) -> Secret:
        from cryptography.fernet import InvalidToken

        if self._box is None:
            raise ConfigError(f"{_name(tenant, key_id)} is sealed; give SqlKeys its master_keys")
        sealed_for, secret = None, Secret("", "")
        with suppress(InvalidToken):
            *sealed_for, form, text = json.loads(self._box.decrypt(token))
            secret = Secret(form, text)
        if sealed_for != [tenant, key_id]:
            raise ConfigError(
                f"{_name(tenant, key_id)} was sealed under none of the master keys, or for another row; give SqlKeys "
                "the master key that it was sealed under"
            )
        return secret


def is_sealed(stored: object) -> bool:
    return isinstance(stored, str) and stored.startswith(_SEALED)


def _box_of(keys: Sequence[str | bytes]) -> "MultiFernet":
    try:
        from cryptography.fernet import Fernet, MultiFernet
    except ModuleNotFoundError:
        raise ConfigError(
            "SqlKeys: master_keys need cryptography, which the extra 'crypto' brings: pip install 'hmac-guard[crypto]'"
        ) from None
    boxes = []
    for key in keys:
        with suppress(ValueError, TypeError):
            boxes.append(Fernet(key))
    if len(boxes) < len(keys):
        raise ConfigError(f"SqlKeys: a master key is 32 bytes as URL-safe base64; make one: {_MAKE_ONE}")
    return MultiFernet(boxes)


def _name(tenant: str, key_id: str) -> str:
    return f"the key {key_id!r} of the tenant {tenant!r}"
