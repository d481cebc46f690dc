"""How a secret stands in the table: its form and its text, in the clear or sealed under a master key.

    text:s3cret      hex:0b0b…      base64:AAEC…      sealed:gAAAA…

What is sealed names its tenant and its key, so that a secret copied into another row opens for nobody.
"""

import base64
import json
import secrets
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.frozen import Frozen
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.key import Key
from hmac_guard.keys.forms import FORMS, key_from_text

if TYPE_CHECKING:
    from cryptography.fernet import Fernet, MultiFernet

MasterKeys = str | bytes | Sequence[str | bytes]

_SEALED = "sealed:"
_MAKE_ONE = 'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'


class Secret(Frozen):
    """A secret as it is written."""

    __slots__ = ("form", "text")

    form: str
    text: Hidden[str]

    def __init__(self, form: str, text: Hidden[str]) -> None:
        self._set(form=form, text=text)

    @classmethod
    def of(cls, given: Hidden[Any], form: str) -> "Secret":
        """What an operator gave; None makes 32 random bytes, written so that they can be used as text."""
        if given.get() is None:
            return cls("text", hide(secrets.token_urlsafe(32)))
        if isinstance(given.get(), bytes):
            return cls("base64", hide(base64.b64encode(given.get()).decode()))
        if not isinstance(given.get(), str):
            raise ConfigError(f"SqlKeys: a secret is text or bytes, not {type(given.get()).__name__}")
        return cls(form, given)

    def key(self, tenant: str, key_id: str, **times: float | None) -> Key:
        return key_from_text(_name(tenant, key_id), self.text, self.form, key_id, **times)

    def __repr__(self) -> str:
        return f"<Secret, {self.form}>"


class Sealing(Frozen):
    """Seals with the first master key and opens with any. Without one, secrets are written and read in the clear."""

    __slots__ = ("_box",)

    _box: "Hidden[MultiFernet] | None"

    def __init__(self, master_keys: MasterKeys) -> None:
        hidden: Hidden[Any] = hide(master_keys)
        del master_keys
        keys = hide([hidden.get()] if isinstance(hidden.get(), (str, bytes)) else list(hidden.get()))
        self._set(_box=_box_of(keys) if keys.get() else None)

    def __bool__(self) -> bool:
        return self._box is not None

    def close(self, tenant: str, key_id: str, secret: Secret) -> Hidden[str]:
        """What the table is to hold."""
        if self._box is None:
            return hide(f"{secret.form}:{secret.text.get()}")
        written = hide(json.dumps([tenant, key_id, secret.form, secret.text.get()]).encode())
        return hide(_SEALED + self._box.get().encrypt(written.get()).decode())

    def open(self, tenant: str, key_id: str, stored: Hidden[str]) -> Secret:
        """What the table holds. Raises `ConfigError`, which names the key and shows nothing of it."""
        if is_sealed(stored):
            return self._unseal(tenant, key_id, hide(stored.get().removeprefix(_SEALED)))
        parts = hide(str(stored.get()).partition(":"))
        if parts.get()[0] not in FORMS:
            raise ConfigError(f"{_name(tenant, key_id)} does not stand in the table as SqlKeys writes it")
        return Secret(parts.get()[0], hide(parts.get()[2]))

    def _unseal(self, tenant: str, key_id: str, token: Hidden[str]) -> Secret:
        if self._box is None:
            raise ConfigError(f"{_name(tenant, key_id)} is sealed; give SqlKeys its master_keys")
        opened = _opened(self._box, token)
        if opened is None or opened.get()[:2] != [tenant, key_id]:
            raise ConfigError(
                f"{_name(tenant, key_id)} was sealed under none of the master keys, or for another row; give SqlKeys "
                "the master key that it was sealed under"
            )
        return Secret(opened.get()[2], hide(opened.get()[3]))


def is_sealed(stored: Hidden[str]) -> bool:
    return isinstance(stored.get(), str) and stored.get().startswith(_SEALED)


def _opened(box: "Hidden[MultiFernet]", token: Hidden[str]) -> Hidden[list[str]] | None:
    """What a master key sealed: the tenant, the key's id, the form and the text. None where none of them did."""
    from cryptography.fernet import InvalidToken

    with suppress(InvalidToken):
        return hide(json.loads(box.get().decrypt(token.get())))
    return None


def _box_of(keys: Hidden[list[str | bytes]]) -> "Hidden[MultiFernet]":
    try:
        from cryptography.fernet import MultiFernet
    except ModuleNotFoundError:
        raise ConfigError(
            "SqlKeys: master_keys need cryptography, which the extra 'crypto' brings: pip install 'hmac-guard[crypto]'"
        ) from None
    # By `map`, since a loop would hold each key in a variable.
    boxes = list(map(_fernet, keys.get()))
    if None in boxes:
        raise ConfigError(f"SqlKeys: a master key is 32 bytes as URL-safe base64; make one: {_MAKE_ONE}")
    return hide(MultiFernet([box.get() for box in boxes if box is not None]))


def _fernet(key: str | bytes) -> "Hidden[Fernet] | None":
    from cryptography.fernet import Fernet

    with suppress(ValueError, TypeError):
        return hide(Fernet(key))
    return None


def _name(tenant: str, key_id: str) -> str:
    return f"the key {key_id!r} of the tenant {tenant!r}"
