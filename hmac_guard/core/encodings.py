"""The encodings of a digest. Each digest has one spelling (threats T015)."""

import base64
import binascii
from collections.abc import Callable, Mapping

ENCODINGS: Mapping[str, Callable[[bytes], bytes]] = {
    "hex": binascii.hexlify,
    "base64": base64.b64encode,
    "base64url": lambda digest: base64.urlsafe_b64encode(digest).rstrip(b"="),
}
