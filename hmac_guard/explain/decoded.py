"""What a signature decodes to, in words."""

import base64
import binascii
import re
from typing import NamedTuple

from hmac_guard.core.scheme import Scheme

_SIZES = {16: "md5", 20: "sha1", 28: "sha224", 32: "sha256", 48: "sha384", 64: "sha512"}
_SHOWN = 4


class Decoded(NamedTuple):
    """`encoding` is what the text was read as, None where it is nothing of the kind; `digest` the bytes in it."""

    encoding: str | None
    digest: bytes

    def __repr__(self) -> str:
        return f"<Decoded {self.encoding}, {len(self.digest)} bytes>"

    def words(self, whole: bool) -> str:
        """A sentence. The bytes are shown in full only if `whole`: they may be the right ones in another encoding."""
        if self.encoding is None:
            return "neither hex nor base64"
        size = len(self.digest)
        made = f", as {_SIZES[size]} makes them" if size in _SIZES else ", which no digest has"
        shown = self.digest if whole else self.digest[:_SHOWN]
        return f"{self.encoding} of {size} bytes{made}: {shown.hex(' ')}{'' if whole else ' ...'}"


def decode(signature: str, scheme: Scheme) -> Decoded:
    """What the signature is the text of: the scheme's own encoding, if it can be that."""
    text = signature.strip(" \t\r\n\"'")
    text = (
        text.removeprefix(scheme.prefix) if scheme.prefix else re.sub(r"^[A-Za-z0-9-]{1,12}[=,: ](?=.{16})", "", text)
    )
    if re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", text) and not (scheme.encoding != "hex" and len(text) < 64):
        return Decoded("hex" if text == text.lower() else "upper-case hex", bytes.fromhex(text))
    if not re.fullmatch(r"[A-Za-z0-9+/_-]+={0,2}", text):
        return Decoded(None, b"")
    name = "base64url" if re.search("[_-]", text) or (scheme.encoding == "base64url" and "+" not in text) else "base64"
    bare = text.rstrip("=").translate({ord("-"): "+", ord("_"): "/"})
    try:
        return Decoded(name, base64.b64decode(bare + "=" * (-len(bare) % 4)))
    except binascii.Error:
        return Decoded(None, b"")
