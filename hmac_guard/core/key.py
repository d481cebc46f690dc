"""Keys, and the rings that hold the ones in force.

A key never shows itself: not in `repr`, not to `pickle`, not in an error. Rules: threats T008 to T012, T086, T090.
"""

import base64
import binascii
import hashlib
import re
import warnings
from collections.abc import Sequence
from typing import Any

from hmac_guard.core.errors import ConfigError, WeakKeyWarning
from hmac_guard.core.frozen import Frozen

ALGORITHMS = ("sha256", "sha384", "sha512")
MODES = ("enforce", "report", "off")
WEAK_BELOW = 16

_IPAD = bytes(byte ^ 0x36 for byte in range(256))
_OPAD = bytes(byte ^ 0x5C for byte in range(256))
# What a file or a shell leaves behind. RFC 4231 has a key of vertical tabs, so those are no blanks.
_BLANK = b" \t\r\n\0"
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}|[A-Za-z0-9_-]*={0,2}")


class Key(Frozen):
    """One shared secret.

    `secret`  text (used as its UTF-8 bytes, never guessed to be hex or base64) or bytes. Where the secret is written
              as hex or base64 and the product decodes it, use `Key.from_hex` or `Key.from_base64`.
    `id`      a name for it, shown as `verdict.key_id` and in logs
    `not_before`, `not_after`  Unix seconds between which it is in force, both included; None for no limit

    Raises `ConfigError` where the secret is empty, blank or a placeholder such as `<HMAC-KEY>`; warns with
    `WeakKeyWarning` below 16 bytes (RFC 2104 section 3).
    """

    __slots__ = ("_secret", "_states", "id", "not_after", "not_before")

    _secret: bytes
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
        if id is not None and not (isinstance(id, str) and id.isprintable() and id.strip()):
            raise ConfigError("Key: id must be printable text, or None")
        for name, moment in (("not_before", not_before), ("not_after", not_after)):
            if moment is not None and (
                isinstance(moment, bool) or not isinstance(moment, (int, float)) or moment != moment
            ):
                raise ConfigError(f"Key: {name} must be Unix seconds (a number), or None")
        if not_before is not None and not_after is not None and not_after < not_before:
            raise ConfigError("Key: not_after is before not_before, so the key would never be in force")
        self._set(_secret=_secret_bytes(secret), _states={}, id=id, not_before=not_before, not_after=not_after)

    @classmethod
    def from_text(cls, text: str, id: str | None = None, **times: float | None) -> "Key":
        """A secret that is text and used as its UTF-8 bytes; the same as `Key(text)`, said aloud."""
        if not isinstance(text, str):
            raise ConfigError("Key.from_text: give text")
        return cls(text, id, **times)

    @classmethod
    def from_hex(cls, text: str, id: str | None = None, **times: float | None) -> "Key":
        """A secret that is written as hex digits, in either case, and used decoded."""
        if not isinstance(text, str) or len(text) % 2 or not re.fullmatch("[0-9A-Fa-f]*", text):
            raise ConfigError("Key.from_hex: the text is not an even number of hex digits")
        return cls(bytes.fromhex(text), id, **times)

    @classmethod
    def from_base64(cls, text: str, id: str | None = None, **times: float | None) -> "Key":
        """A secret that is written as base64, in either alphabet, padded or not, and used decoded."""
        try:
            if not isinstance(text, str) or not _BASE64.fullmatch(text):
                raise ValueError
            padded = text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4)
            secret = base64.b64decode(padded)
            if (text.endswith("=") and len(text) != len(padded)) or base64.b64encode(secret).decode() != padded:
                raise ValueError
        except (ValueError, binascii.Error):
            raise ConfigError("Key.from_base64: the text is not base64") from None
        return cls(secret, id, **times)

    def digest(self, algorithm: str, message: bytes) -> bytes:
        """HMAC (RFC 2104) of `message`."""
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
        padded = self.padded(algorithm)
        states = (hashlib.new(algorithm, padded.translate(_IPAD)), hashlib.new(algorithm, padded.translate(_OPAD)))
        self._states[algorithm] = states
        return states

    def padded(self, algorithm: str) -> bytes:
        """The block that HMAC derives from the secret: two keys with the same block are the same key to it."""
        block_size = hashlib.new(algorithm).block_size
        secret = self._secret if len(self._secret) <= block_size else hashlib.new(algorithm, self._secret).digest()
        return secret.ljust(block_size, b"\0")

    def __repr__(self) -> str:
        return f"<Key id={self.id!r}>"


class Keyring(Frozen):
    """The keys in force for one tenant, or for all: any of them verifies, the first that is in its time signs.

    `keys`  one key or several (`Key`, text or bytes), the current one first
    `mode`  "enforce", "report" or "off" for the tenant whose ring this is; None leaves it to the guard

    Immutable: to rotate, make another ring and swap it whole. Raises `ConfigError` for no key at all and for two keys
    that HMAC cannot tell apart.
    """

    __slots__ = ("keys", "mode", "timed")

    keys: tuple[Key, ...]
    mode: str | None
    timed: bool

    def __init__(self, keys: "Key | str | bytes | Sequence[Key | str | bytes]", mode: str | None = None) -> None:
        if mode is not None and mode not in MODES:
            raise ConfigError('Keyring: mode must be "enforce", "report", "off" or None')
        several: Any = keys if isinstance(keys, (list, tuple)) else [keys]
        ring = tuple(key if isinstance(key, Key) else Key(key) for key in several)
        if not ring:
            raise ConfigError("Keyring: give at least one key")
        if len(ring) > 1:
            _refuse_twins(ring)
        timed = any(key.not_before is not None or key.not_after is not None for key in ring)
        self._set(keys=ring, mode=mode, timed=timed)

    def active(self, now: float) -> tuple[Key, ...]:
        """The keys whose time it is at `now` (Unix seconds), in order."""
        if not self.timed:
            return self.keys
        return tuple(
            key
            for key in self.keys
            if (key.not_before is None or key.not_before <= now) and (key.not_after is None or now <= key.not_after)
        )

    def __repr__(self) -> str:
        return f"<Keyring of {len(self.keys)}, mode={self.mode!r}>"


def _secret_bytes(secret: object) -> bytes:
    if isinstance(secret, str):
        try:
            raw = secret.strip().encode() and secret.encode()
        except UnicodeEncodeError:
            raise ConfigError("Key: the text has a lone surrogate and no UTF-8 form") from None
    elif isinstance(secret, (bytes, bytearray, memoryview)):
        raw = bytes(secret)
    else:
        raise ConfigError(f"Key: a secret is text or bytes, not {type(secret).__name__}")
    bare = raw.strip(_BLANK)
    # HMAC pads a key with NULs, so a key of NULs is the empty key.
    if not bare:
        raise ConfigError(
            "Key: the secret is empty or blank; anybody could sign with it. Is the variable or setting set?"
        )
    # Of random bytes one in 65,536 begins with '<' and ends with '>'.
    if bare[:1] == b"<" and bare[-1:] == b">" and bare.isascii():
        raise ConfigError("Key: the secret is a placeholder in angle brackets; put the real one in its place")
    if len(raw) < WEAK_BELOW:
        warnings.warn(
            f"a key of {len(raw)} bytes is short; take 32 random ones (hmac-guard keygen)", WeakKeyWarning, stacklevel=1
        )
    return raw


def _refuse_twins(keys: tuple[Key, ...]) -> None:
    for algorithm in ALGORITHMS:
        if len({key.padded(algorithm) for key in keys}) < len(keys):
            raise ConfigError(
                "Keyring: two keys are the same key to HMAC (equal, or equal but for NULs); keep one of them"
            )
