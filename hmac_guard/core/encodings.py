"""The encodings of a digest. Each digest has one spelling (threats T015)."""

import base64
import string
from binascii import b2a_base64, hexlify
from collections.abc import Callable, Mapping
from typing import Literal

Encoding = Literal["hex", "base64", "base64url"]

ENCODINGS: Mapping[Encoding, Callable[[bytes], bytes]] = {
    "hex": hexlify,
    # `b64encode` does the same in twice the instructions.
    "base64": lambda digest: b2a_base64(digest, newline=False),
    "base64url": lambda digest: base64.urlsafe_b64encode(digest).rstrip(b"="),
}
#: The names of the encodings in texts.
ENCODING_NAMES = {"hex": "lower-case hex", "base64": "base64 with padding", "base64url": "base64url without padding"}

_BASE64 = string.ascii_letters + string.digits
_ALPHABETS = {"hex": "0123456789abcdef", "base64": f"{_BASE64}+/", "base64url": f"{_BASE64}-_"}


def characters_of(encoding: str, size: int) -> str:
    """Return the characters that a digest of `size` bytes may have, with the padding at the end."""
    return _ALPHABETS[encoding] + ("=" * (-size % 3) if encoding == "base64" else "")


def encoder(encoding: Encoding, prefix: bytes) -> Callable[[bytes], bytes]:
    """Return the function that encodes a digest as a signature."""
    encode = ENCODINGS[encoding]
    return (lambda digest: prefix + encode(digest)) if prefix else encode
