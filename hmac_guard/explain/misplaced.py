"""Credentials in a wrong place: the key sent as the signature, and an id and the signature in each other's place."""

import base64
import hashlib
from collections.abc import Iterator

from hmac_guard.explain.search import Found, KnownKeys, secret_of

KEY_SENT = Found(
    "key_sent",
    "the signature is the key itself",
    "sign with the key instead of sending it; replace the key, because it was sent",
)


def swapped(name: str) -> Found:
    """Return the mistake of sending an id and the signature in each other's place."""
    return Found(
        "signature_swapped",
        f"{name} and the signature were sent in each other's place",
        "send each of them in its own place",
    )


def is_key(signature: str, prefix: str, keys: KnownKeys) -> bool:
    """Return whether a signature is one of the keys, or the hex or base64 text of one.

    Args:
        signature: The signature of the request. White space, quotes and the prefix are removed.
        prefix: The prefix of the scheme.
        keys: The known keys.
    """
    text = signature.strip(" \t\r\n\"'").removeprefix(prefix)
    sent = _hash(text.encode("utf-8", "replace"))
    known = (keys.current, *(key for _, key in (*keys.previous, *keys.others)))
    return any(sent == _hash(form) for key in known for form in _forms(secret_of(key)))


def _forms(secret: bytes) -> Iterator[bytes]:
    yield from (secret, secret.hex().encode(), secret.hex().upper().encode())
    yield from (base64.b64encode(secret), base64.urlsafe_b64encode(secret))


def _hash(text: bytes) -> bytes:
    """Return a hash without prefix and padding. The time of a comparison of hashes does not show the key."""
    return hashlib.sha256(text.removeprefix(b"whsec_").rstrip(b"=")).digest()
