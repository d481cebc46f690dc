"""Credentials in a wrong place: the key sent as the signature, and an id and the signature in each other's place."""

import base64
import hashlib
import re
from collections.abc import Iterator

from hmac_guard.core.hidden import hide
from hmac_guard.core.secret import from_base64
from hmac_guard.explain.search import Found, KnownKeys, secret_of

KEY_SENT = Found(
    "key_sent",
    "the signature is the key itself",
    "sign with the key instead of sending it; replace the key, because it was sent",
)

# Quotes, a comma, a byte order mark, white space and other control characters.
_AROUND = "\"',\ufeff\x7f" + "".join(map(chr, range(33)))
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


def is_key(text: str, prefix: str, keys: KnownKeys) -> bool:
    """Return whether a text is one of the keys, or the hex or base64 text of one.

    Args:
        text: The signature, an id or the tenant of the request. The function removes white space, quotes and the
            prefix.
        prefix: The prefix of the scheme.
        keys: The known keys.
    """
    # A key itself may begin like a prefix.
    sent = {_hash(form.encode("utf-8", "replace")) for form in (text.strip(_AROUND), bare(text, prefix))}
    return any(_hash(form) in sent for key in keys.all for form in _forms(secret_of(key)))


def _forms(secret: bytes) -> Iterator[bytes]:
    """Yield the texts of a key. A key of text may be base64, and its bytes may have been sent in another encoding."""
    decoded = from_base64(hide(secret.removeprefix(b"whsec_").decode("latin-1")))
    for each in (secret, *([decoded.get()] if decoded else [])):
        yield from (each, each.hex().encode(), each.hex().upper().encode())
        yield from (base64.b64encode(each), base64.urlsafe_b64encode(each))


def _hash(text: bytes) -> bytes:
    """Return a hash without prefix and padding. The time of a comparison of hashes does not show the key."""
    return hashlib.sha256(text.removeprefix(b"whsec_").rstrip(b"=")).digest()
