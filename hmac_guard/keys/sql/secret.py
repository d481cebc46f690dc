"""Secrets as the table holds them: the form and the text, in the clear or sealed under a master key.

    text:s3cret      hex:0b0b…      base64:AAEC…      sealed:gAAAA…

A seal covers everything that decides what a key does: its tenant, its id and its times. A tenant's mode has its own
seal. So a row that was changed, or copied from another tenant, cannot be opened. A seal does not stop a writer of the
database from putting back an older row, which was sealed as well.
"""

import base64
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.frozen import Frozen
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.key import Key
from hmac_guard.keys.forms import FORMS, key_from_text, random_secret

if TYPE_CHECKING:
    from cryptography.fernet import Fernet, MultiFernet

MasterKeys = str | bytes | Sequence[str | bytes]

SEALED = "sealed:"
_MAKE_ONE = 'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'


class Sealed(NamedTuple):
    """What a seal covers beside the text that it hides.

    Attributes:
        kind: "key", "mode" or "setting".
        of: The tenant, or the name of the setting.
        key_id: The id of a key.
        made_at: When the key was added, in Unix seconds.
        not_before: When it begins to be active.
        not_after: When it ends.
    """

    kind: str
    of: str
    key_id: str = ""
    made_at: float = 0.0
    not_before: float | None = None
    not_after: float | None = None

    def what(self) -> str:
        """Return the sealed thing in words, for a message."""
        if self.kind == "key":
            return f"the key {self.key_id!r} of the tenant {self.of!r}"
        return f"the mode of the tenant {self.of!r}" if self.kind == "mode" else f"the setting {self.of!r}"


class Secret(Frozen):
    """A secret as it is written: its form, and its text."""

    __slots__ = ("form", "text")

    form: str
    text: Hidden[str]

    def __init__(self, form: str, text: Hidden[str]) -> None:
        self._set(form=form, text=text)

    def _description(self) -> str:
        return f"<Secret, {self.form}>"

    @classmethod
    def of(cls, given: Hidden[Any], form: str) -> "Secret":
        """Return the secret that an operator gave. None makes 32 random bytes, written in the form.

        Raises:
            ConfigError: The secret is neither text nor bytes, or the form is unknown.
        """
        if given.get() is None:
            return cls(form, random_secret(form))
        if isinstance(given.get(), bytes):
            return cls("base64", hide(base64.b64encode(given.get()).decode()))
        if not isinstance(given.get(), str):
            raise ConfigError(f"SqlKeys: a secret is text or bytes, not {type(given.get()).__name__}")
        return cls(form, given)

    def key(self, sealed: Sealed) -> Key:
        times = {"not_before": sealed.not_before, "not_after": sealed.not_after}
        return key_from_text(sealed.what(), self.text, self.form, sealed.key_id, **times)


class Sealing(Frozen):
    """Seals with the first master key and opens with any. Without one, everything is read and written in the clear.

    With master keys, what is stored in the clear is refused, because a writer of the database could put it there.

    Args:
        master_keys: The Fernet keys.
        allow_clear: With master keys, also read what is stored in the clear.

    Raises:
        ConfigError: A master key is not valid, or `allow_clear` is set without one.
    """

    __slots__ = ("_allow_clear", "_box")

    _box: "Hidden[MultiFernet] | None"
    _allow_clear: bool

    def __init__(self, master_keys: MasterKeys, allow_clear: bool) -> None:
        hidden: Hidden[Any] = hide(master_keys)
        del master_keys
        if not isinstance(hidden.get(), Sequence):
            kind = type(hidden.get()).__name__
            raise ConfigError(f"SqlKeys: master_keys must be a Fernet key or a list of them, not {kind}")
        keys = hide([hidden.get()] if isinstance(hidden.get(), (str, bytes)) else list(hidden.get()))
        if not isinstance(allow_clear, bool) or (allow_clear and not keys.get()):
            raise ConfigError("SqlKeys: allow_clear must be True or False, and is for master_keys")
        self._set(_box=_box_of(keys) if keys.get() else None, _allow_clear=allow_clear)

    def __bool__(self) -> bool:
        return self._box is not None

    def close(self, sealed: Sealed, secret: Secret) -> Hidden[str]:
        """Return the text that the table is to hold for a secret."""
        if self._box is None:
            return hide(f"{secret.form}:{secret.text.get()}")
        return hide(SEALED + self._seal(hide([*sealed, secret.form, secret.text.get()])))

    def open(self, sealed: Sealed, stored: Hidden[str]) -> Secret:
        """Return the secret that the table holds.

        Raises:
            ConfigError: It cannot be opened, or is in the clear. The message names the key and shows nothing of it.
        """
        what = sealed.what()
        if is_sealed(stored):
            parts = self._opened(what, sealed, hide(stored.get().removeprefix(SEALED)))
            return Secret(parts.get()[0], hide(parts.get()[1]))
        self._check_clear(what)
        written = hide(str(stored.get()).partition(":"))
        if written.get()[0] not in FORMS:
            raise ConfigError(f"{what} is not written in the table as SqlKeys writes it")
        return Secret(written.get()[0], hide(written.get()[2]))

    def close_mode(self, tenant: str, mode: str) -> str | None:
        """Return the seal of a tenant's mode; None without a master key."""
        return None if self._box is None else self._seal(hide([*_mode(tenant), mode]))

    def open_mode(self, tenant: str, mode: str, seal: str | None) -> str:
        """Return the mode in a tenant's row.

        Raises:
            ConfigError: The seal is of another mode, or is missing.
        """
        sealed = _mode(tenant)
        if seal is None:
            self._check_clear(sealed.what())
        elif self._opened(sealed.what(), sealed, hide(seal)).get() != [mode]:
            raise ConfigError(f"{sealed.what()} was changed without the master key; set it again")
        return mode

    def _check_clear(self, what: str) -> None:
        if self._box is not None and not self._allow_clear:
            raise ConfigError(
                f"{what} is in the clear, and with master_keys such rows are refused; where you have put it there, "
                "run `hmac-guard keys reseal --allow-clear`, or give SqlKeys allow_clear=True until that is done"
            )

    def _seal(self, values: Hidden[list[Any]]) -> str:
        if self._box is None:
            raise ConfigError("SqlKeys: there is nothing to seal with; give master_keys")
        written = hide(json.dumps(values.get()).encode())
        return self._box.get().encrypt(written.get()).decode()

    def _opened(self, what: str, sealed: Sealed, token: Hidden[str]) -> Hidden[list[Any]]:
        """Return what was sealed after the values of `sealed`."""
        if self._box is None:
            raise ConfigError(f"{what} is sealed; give SqlKeys its master_keys, or the commands HMAC_GUARD_MASTER_KEYS")
        opened, size = _decrypted(self._box, token), len(sealed)
        if opened is None or _comparable(opened.get()[:size]) != _comparable(sealed):
            raise ConfigError(
                f"{what} was sealed under none of the master keys, or for another row or other times; give SqlKeys the "
                "master key that it was sealed under"
            )
        return hide(opened.get()[size:])


def _comparable(covered: Sequence[Any]) -> list[Any]:
    """Return what a seal covers, with times of 15 digits: with `extra_float_digits=0`, PostgreSQL shows no more."""
    return [float(f"{each:.15g}") if isinstance(each, float) else each for each in covered]


def _mode(tenant: str) -> Sealed:
    return Sealed("mode", tenant)


def is_sealed(stored: Hidden[str]) -> bool:
    return isinstance(stored.get(), str) and stored.get().startswith(SEALED)


def _decrypted(box: "Hidden[MultiFernet]", token: Hidden[str]) -> Hidden[list[Any]] | None:
    """Return what a master key sealed; None if none of them did."""
    from cryptography.fernet import InvalidToken

    # Fernet raises ValueError for a token that is not ASCII, and TypeError for one that is neither text nor bytes.
    with suppress(InvalidToken, ValueError, TypeError):
        opened: Hidden[Any] = hide(json.loads(box.get().decrypt(token.get())))
        return opened if isinstance(opened.get(), list) else None
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
