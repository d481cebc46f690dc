"""Mistakes in the signature: the digest is right, but its text is not."""

import base64
import re
from collections.abc import Callable
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from hmac_guard.explain.mistakes.shape import Attempt, Mistake, Part, Variants, of_encoding, of_signature

#: The name of the mistake that only a part of the signature was sent.
CUT = "signature_cut"

_PREFIXES = ("", "sha256=", "sha1=", "sha384=", "sha512=", "v1=", "v0=", "v1,", "v1:", "hmac=", "t=,v1=")
_SCHEMES = ("sha256:", "sha-256=", "SHA256=", "hmac-sha256=", "HMAC-SHA256 ", "hmac ", "HMAC ", "Bearer ", "Signature ")


def _hex(digest: bytes) -> str:
    return digest.hex()


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _base64url(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).decode()


def _bare(encode: Callable[[bytes], str]) -> Callable[[bytes], str]:
    return lambda digest: encode(digest).rstrip("=")


def _wrapped(width: int) -> Callable[[str], str]:
    return lambda text: "\n".join(text[at : at + width] for at in range(0, len(text), width))


def _with_end(end: str) -> Callable[[str], str]:
    return lambda text: text + end


def _other_encoding(attempt: Attempt) -> Variants:
    yield "hex", attempt._replace(encode=_hex)
    yield "base64", attempt._replace(encode=_base64)
    yield "base64url", attempt._replace(encode=_bare(_base64url))
    yield "base64 without padding", attempt._replace(encode=_bare(_base64))
    yield "base64url with padding", attempt._replace(encode=_base64url)
    yield "base32", attempt._replace(encode=lambda digest: base64.b32encode(digest).decode())
    yield "a decimal number", attempt._replace(encode=lambda digest: str(int.from_bytes(digest, "big")))


def _other_case(attempt: Attempt) -> Variants:
    encode = attempt.encode
    yield "upper", attempt._replace(encode=lambda digest: encode(digest).upper())
    yield "lower", attempt._replace(encode=lambda digest: encode(digest).lower())
    yield "upper", attempt._replace(signature_transforms=(*attempt.signature_transforms, str.upper))


def _other_prefix(attempt: Attempt) -> Variants:
    own = attempt.prefix
    variants = {own.upper(), own.lower(), own + " ", own + own, f"{attempt.algorithm}="}
    for prefix in (*_PREFIXES, *_SCHEMES, *sorted(variants)):
        if prefix != attempt.prefix:
            yield f"the prefix {prefix!r}" if prefix else "no prefix", attempt._replace(prefix=prefix)


def _program_output(attempt: Attempt) -> Variants:
    name = attempt.algorithm.upper()
    for label in ("(stdin)= ", f"{name}(stdin)= ", f"{name.replace('SHA', 'SHA2-')}(stdin)= "):
        for prefix in dict.fromkeys((attempt.prefix, "")):
            yield "openssl", attempt._replace(prefix=prefix + label)
    for program, end in (("openssl", " *stdin"), ("a program such as sha256sum", "  -")):
        yield program, attempt._replace(signature_transforms=(*attempt.signature_transforms, _with_end(end)))


_PADDING = (
    lambda text: text.rstrip("="),
    lambda text: text + "=" * (-len(text.rpartition("=")[2]) % 4) if not text.endswith("=") else text,
    lambda text: text + "=",
)

SIGNATURE_MISTAKES = (
    Mistake(
        "hex_case",
        Part.SIGNATURE,
        "the signature was written in {what} case",
        "write hex in lower case, and do not change the case of base64",
        _other_case,
    ),
    of_signature(
        "padding",
        "the signature was written with another padding ('=')",
        "base64 is padded with '=', base64url is not",
        *_PADDING,
    ),
    of_signature(
        "signature_plus",
        "a '+' in the signature arrived as a space",
        "percent-encode the signature when it is sent: a plus is %2B",
        lambda text: text.replace("+", " "),
    ),
    Mistake(
        "encoding",
        Part.SIGNATURE,
        "the digest was written as {what}",
        "write it in the encoding of the scheme",
        _other_encoding,
    ),
    of_encoding(
        "digest_of_hex",
        "the hex text of the digest was encoded, not its bytes",
        "encode the digest's bytes: take digest(), not hexdigest()",
        lambda digest: _base64(digest.hex().encode()),
        lambda digest: _base64url(digest.hex().encode()),
        lambda digest: _bare(_base64)(digest.hex().encode()),
        lambda digest: _bare(_base64url)(digest.hex().encode()),
        lambda digest: digest.hex().encode().hex(),
        lambda digest: _base64(digest.hex().upper().encode()),
    ),
    of_encoding(
        "encoded_twice",
        "the signature was encoded twice",
        "encode the digest's bytes once",
        lambda digest: _base64(_base64(digest).encode()),
        lambda digest: _base64url(_base64(digest).encode()),
        lambda digest: _bare(_base64url)(_base64(digest).encode()),
        lambda digest: _bare(_base64url)(_bare(_base64url)(digest).encode()),
        lambda digest: _base64(digest).encode().hex(),
    ),
    of_encoding(
        "hex_zeros",
        "the hex lacks zeros, or has minus signs",
        "write each byte as two hex digits: %02x",
        lambda digest: "".join(f"{byte:x}" for byte in digest),
        lambda digest: f"{int.from_bytes(digest, 'big'):x}",
        lambda digest: "".join(f"{byte | 0xFFFFFF00:08x}" if byte > 127 else f"{byte:x}" for byte in digest),
        lambda digest: "".join(f"{byte | 0xFFFFFF00:08x}" if byte > 127 else f"{byte:02x}" for byte in digest),
    ),
    Mistake(
        "prefix",
        Part.SIGNATURE,
        "the signature was sent with {what}",
        "send it with the prefix of the scheme, or without a prefix if the scheme has none",
        _other_prefix,
    ),
    Mistake(
        "signature_output",
        Part.SIGNATURE,
        "the whole output of {what} was sent",
        "send only the hex digits in it",
        _program_output,
    ),
    of_signature(
        "signature_quoted",
        "the signature was sent with quotes around it",
        "send the text itself",
        lambda text: f'"{text}"',
        lambda text: f"'{text}'",
        lambda text: f"b'{text}'",
        lambda text: f"<{text}>",
    ),
    of_signature(
        "signature_spaces",
        "the signature was sent with white space in it, or at its start or end",
        "send only the signature, without white space",
        lambda text: text + "\n",
        lambda text: text + "\r\n",
        lambda text: text + " ",
        lambda text: " " + text,
        lambda text: _wrapped(76)(text) + "\n",
        _wrapped(76),
        lambda text: _wrapped(64)(text) + "\n",
        _wrapped(64),
        lambda text: " ".join(text[at : at + 2] for at in range(0, len(text), 2)),
        lambda text: ":".join(text[at : at + 2] for at in range(0, len(text), 2)),
        lambda text: "-".join(text[at : at + 2] for at in range(0, len(text), 2)),
        lambda text: "\\x" + text,
        lambda text: "0x" + text,
    ),
    of_signature(
        "signature_url_encoded",
        "the signature was percent-encoded twice, or in a place where the guard does not decode it",
        "percent-encode it once, and only in a URL or a form",
        lambda text: quote(text, safe=""),
        lambda text: re.sub("%..", lambda escape: escape[0].lower(), quote(text, safe="")),
        quote_plus,
        unquote,
        unquote_plus,
    ),
)


def of_cut_signature(length: int) -> Mistake:
    """Return the mistake of sending only the first `length` characters of the signature."""
    return of_signature(
        CUT,
        "only a part of the signature was sent",
        "send the whole signature; check for a column or a field that is too short",
        lambda text: text[:length],
        lambda text: text[-length:],
    )
