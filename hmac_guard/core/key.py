"""Keys, and keyrings with the active keys.

A key never shows itself: not in `repr`, not to `pickle`, not in an error, not in a local variable. Rules: threats T008
to T012, T086, T090.
"""

import hashlib
import math
import re
from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal, get_args

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.frozen import Frozen
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.numbers import LATEST
from hmac_guard.core.secret import bytes_of, from_base64, from_whsec, utf8_of

if TYPE_CHECKING:
    from typing_extensions import TypedDict, Unpack

    class _Times(TypedDict, total=False):
        not_before: float | None
        not_after: float | None


Algorithm = Literal["sha256", "sha384", "sha512"]
#: What a guard does with a request that is not verified, the strictest first.
Mode = Literal["enforce", "report", "off"]
ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)
MODES: tuple[Mode, ...] = get_args(Mode)

_IPAD = bytes(byte ^ 0x36 for byte in range(256))
_OPAD = bytes(byte ^ 0x5C for byte in range(256))


class Key(Frozen):
    """One shared secret.

    A secret shorter than 16 bytes warns with `WeakKeyWarning` (RFC 2104 section 3), at the line that called this
    package.

    Args:
        secret: Text (used as its UTF-8 bytes, never guessed to be hex or base64) or bytes. If the secret is written as
            hex or base64 and the product decodes it, use `Key.from_hex`, `Key.from_base64` or `Key.from_whsec`. They
            take the same `id` and times.
        id: A name for it, in `verdict.key_id` and in logs.
        not_before: Unix seconds from which it is active, included; None for no limit.
        not_after: Unix seconds until which it is active, included; None for no limit.

    Raises:
        ConfigError: The secret is empty, blank, or text that is hardly a secret (the rule is in `core/secret.py`): with
            white space or a newline at its start or end, a byte order mark, quotes around the whole, or a placeholder.
            `Key.from_text` accepts such text.
    """

    __slots__ = ("_secret", "_states", "id", "not_after", "not_before")

    _secret: Hidden[bytes]
    _states: dict[str, Any]
    id: str | None
    not_before: float | None
    not_after: float | None

    def __init__(
        self,
        secret: str | bytes,
        id: str | None = None,
        *,
        not_before: float | None = None,
        not_after: float | None = None,
    ) -> None:
        hidden: Hidden[Any] = hide(secret)
        del secret
        if id is not None and not (isinstance(id, str) and id.isprintable() and id.strip()):
            raise ConfigError("Key: id must be printable text, or None")
        for name, moment in (("not_before", not_before), ("not_after", not_after)):
            if moment is not None and (
                isinstance(moment, bool) or not isinstance(moment, (int, float)) or not -math.inf <= moment <= math.inf
            ):
                raise ConfigError(f"Key: {name} must be Unix seconds (a number), or None")
            if moment is not None and LATEST < moment < math.inf:
                raise ConfigError(f"Key: {name} must be Unix seconds (not milliseconds) until the year 9999, or None")
        if not_before is not None and not_after is not None and not_after < not_before:
            raise ConfigError("Key: not_after is before not_before, so the key would never be active")
        self._set(_secret=bytes_of(hidden), _states={}, id=id, not_before=not_before, not_after=not_after)

    @classmethod
    def from_text(cls, text: str, id: str | None = None, **times: "Unpack[_Times]") -> "Key":
        """Make a key from any text, used as its UTF-8 bytes. Only blank text is refused.

        Raises:
            ConfigError: The text is blank or has no UTF-8 form, or another argument is not valid.
        """
        hidden = hide(text)
        del text
        if not isinstance(hidden.get(), str):
            raise ConfigError("Key.from_text: give text")
        return cls(utf8_of(hidden).get(), id, **times)

    @classmethod
    def from_hex(cls, text: str, id: str | None = None, **times: "Unpack[_Times]") -> "Key":
        """Make a key from hex digits, in either case. It is used decoded.

        Raises:
            ConfigError: The text is not an even number of hex digits, or another argument is not valid.
        """
        hidden = hide(text)
        del text
        if not isinstance(hidden.get(), str) or not re.fullmatch("(?:[0-9A-Fa-f]{2})*", hidden.get()):
            raise ConfigError("Key.from_hex: the text is not an even number of hex digits")
        return cls(bytes.fromhex(hidden.get()), id, **times)

    @classmethod
    def from_base64(cls, text: str, id: str | None = None, **times: "Unpack[_Times]") -> "Key":
        """Make a key from base64, in either alphabet, padded or not. It is used decoded.

        Raises:
            ConfigError: The text is not base64, or another argument is not valid.
        """
        hidden = hide(text)
        del text
        decoded = from_base64(hidden)
        if decoded is None:
            raise ConfigError("Key.from_base64: the text is not base64")
        return cls(decoded.get(), id, **times)

    @classmethod
    def from_whsec(cls, text: str, id: str | None = None, **times: "Unpack[_Times]") -> "Key":
        """Make a key from a secret of Standard Webhooks or Svix: `whsec_` and base64 in its standard alphabet.

        It is used decoded, and may be padded or not (standardwebhooks.com, "Signature scheme"). Stripe's `whsec_…` is
        not such a secret: it is used as text.

        Raises:
            ConfigError: The text is not such a secret, or another argument is not valid.
        """
        hidden = hide(text)
        del text
        decoded = from_whsec(hidden)
        if decoded is None:
            raise ConfigError(
                "Key.from_whsec: the text is not 'whsec_' and base64 in its standard alphabet ('whsk_' and 'whpk_' "
                "are no keys for HMAC)"
            )
        return cls(decoded.get(), id, **times)

    def digest(self, algorithm: str, message: bytes) -> bytes:
        """Return the HMAC (RFC 2104) of `message`."""
        try:
            inner, outer = self._states[algorithm]
        except KeyError:
            inner, outer = self._keep_states(algorithm)
        inner, outer = inner.copy(), outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        digest: bytes = outer.digest()
        return digest

    def _keep_states(self, algorithm: str) -> Any:
        # RFC 2104 section 4 allows to keep the states after the padded key: half the blocks of a short message.
        states = tuple(hashlib.new(algorithm, self.padded(algorithm).translate(pad)) for pad in (_IPAD, _OPAD))
        self._states[algorithm] = states
        return states

    def padded(self, algorithm: str) -> bytes:
        """Return the block that HMAC derives from the secret. Two keys with the same block are the same key to HMAC."""
        block_size = hashlib.new(algorithm).block_size
        if len(self._secret.get()) > block_size:
            return hashlib.new(algorithm, self._secret.get()).digest().ljust(block_size, b"\0")
        return self._secret.get().ljust(block_size, b"\0")

    def begins_with(self, prefix: bytes) -> bool:
        """Return whether the secret begins with these bytes."""
        return self._secret.get().startswith(prefix)

    def _description(self) -> str:
        return f"<Key id={self.id!r}>"


class Keyring(Frozen):
    """The keys of one tenant, or of all. Any active key verifies, the first one signs.

    It is immutable: to rotate, make another ring and replace this one.

    Args:
        keys: One key or several (`Key`, text or bytes), the current one first.
        mode: "enforce", "report" or "off" for the tenant of this ring; None leaves it to the guard.

    Raises:
        ConfigError: There is no key, two keys are the same to HMAC, or the mode is not valid.
    """

    __slots__ = ("keys", "mode", "timed")

    keys: tuple[Key, ...]
    mode: Mode | None
    timed: bool

    def __init__(self, keys: "Key | str | bytes | Sequence[Key | str | bytes]", mode: Mode | None = None) -> None:
        hidden: Hidden[Any] = hide(keys)
        del keys
        if mode is not None and mode not in MODES:
            raise ConfigError('Keyring: mode must be "enforce", "report", "off" or None')
        # By `map`, since a loop would hold each secret in a variable.
        ring = tuple(map(as_key, hidden.get())) if isinstance(hidden.get(), (list, tuple)) else (as_key(hidden),)
        if not ring:
            raise ConfigError("Keyring: give at least one key")
        if len(ring) > 1:
            _reject_duplicate_keys(ring)
        timed = any(key.not_before is not None or key.not_after is not None for key in ring)
        self._set(keys=ring, mode=mode, timed=timed)

    def active(self, now: float) -> tuple[Key, ...]:
        """Return the keys that are active at `now` (Unix seconds), in order."""
        if not self.timed:
            return self.keys
        return tuple(
            key
            for key in self.keys
            if (key.not_before is None or key.not_before <= now) and (key.not_after is None or now <= key.not_after)
        )

    def _description(self) -> str:
        return f"<Keyring of {len(self.keys)}, mode={self.mode!r}>"


def as_key(secret: Any) -> Key:
    """Return the key for a `Key`, text or bytes; each may be hidden. Raise `ConfigError` for anything else."""
    secret = hide(secret)
    key: Key = secret.get() if isinstance(secret.get(), Key) else Key(secret.get())
    return key


def are_same(one: Key, other: Key) -> bool:
    """Return whether two keys are the same key to HMAC."""
    return any(one.padded(algorithm) == other.padded(algorithm) for algorithm in ALGORITHMS)


def _reject_duplicate_keys(keys: tuple[Key, ...]) -> None:
    for algorithm in ALGORITHMS:
        if len({key.padded(algorithm) for key in keys}) < len(keys):
            one, other = next(pair for pair in combinations(enumerate(keys, 1), 2) if are_same(pair[0][1], pair[1][1]))
            names = " and ".join(
                f"no. {position}" if key.id is None else repr(key.id) for position, key in (one, other)
            )
            raise ConfigError(
                f"Keyring: the keys {names} are the same key to HMAC (equal, or equal but for NULs); keep one of them"
            )
