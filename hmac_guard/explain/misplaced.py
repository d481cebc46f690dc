"""Credentials in a wrong place: the key sent as the signature, and an id and the signature in each other's place."""

import base64
import hashlib
import re
from collections.abc import Iterator

from hmac_guard.explain.search import Found, KnownKeys, secret_of

KEY_SENT = Found(
    "key_sent",
    "the signature is the key itself",
    "sign with the key instead of sending it; replace the key, because it was sent",
)

_AROUND = " \t\r\n\"'"
_PREFIX = re.compile("^[A-Za-z0-9-]{1,12}[=,: ](?=.{16})")


def swapped(name: str) -> Found:
    """Return the mistake of sending an id and the signature in each other's place."""
    return Found(
        "signature_swapped",
        f"{name} and the signature were sent in each other's place",
        "send each of them in its own place",
    )


def bare(signature: str, prefix: str) -> str:
    """Return a signature without white space and quotes around it, and without the prefix of the scheme or another one.

    Args:
        signature: The signature, as it was sent.
        prefix: The prefix of the scheme.
    """
    text = signature.strip(_AROUND)
    return text.removeprefix(prefix) if prefix and text.startswith(prefix) else _PREFIX.sub("", text)


def is_key(signature: str, prefix: str, keys: KnownKeys) -> bool:
    """Return whether a signature is one of the keys, or the hex or base64 text of one.

    Args:
        signature: The signature of the request. The function removes white space, quotes and the prefix.
        prefix: The prefix of the scheme.
        keys: The known keys.
    """
    # A key itself may begin like a prefix.
    sent = {_hash(text.encode("utf-8", "replace")) for text in (signature.strip(_AROUND), bare(signature, prefix))}
    known = (keys.current, *(key for _, key in (*keys.previous, *keys.others)))
    return any(_hash(form) in sent for key in known for form in _forms(secret_of(key)))


def _forms(secret: bytes) -> Iterator[bytes]:
    yield from (secret, secret.hex().encode(), secret.hex().upper().encode())
    yield from (base64.b64encode(secret), base64.urlsafe_b64encode(secret))


def _hash(text: bytes) -> bytes:
    """Return a hash without prefix and padding. The time of a comparison of hashes does not show the key."""
    return hashlib.sha256(text.removeprefix(b"whsec_").rstrip(b"=")).digest()
