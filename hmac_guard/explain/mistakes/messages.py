"""Mistakes in the message as a whole, in its charset, and in the digest."""

import base64
import codecs
import hashlib
import hmac
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from hmac_guard.explain.mistakes.shape import (
    Attempt,
    Mistake,
    Part,
    Variants,
    hmac_of,
    of_charset,
    of_hashing,
    of_message,
    utf8,
)


def _charset(name: str, errors: str = "strict", mark: bytes = b"") -> Callable[[str], bytes]:
    def encode(text: str) -> bytes:
        try:
            return mark + text.encode(name, errors)
        except UnicodeEncodeError:
            return utf8(text)

    return encode


MESSAGE_MISTAKES = (
    of_message(
        "message_newline",
        "the message was signed with a newline at its end",
        "sign without it: use printf '%s' instead of echo, and strip() after reading a line",
        lambda text: text + "\n",
        lambda text: text + "\r\n",
        lambda text: text + "\r",
    ),
    of_message(
        "message_spaces",
        "the message was signed with white space at its start or end",
        "sign only the message",
        lambda text: text + " ",
        lambda text: " " + text,
        lambda text: f" {text} ",
        lambda text: text + "\0",
    ),
    of_message(
        "message_json_quoted",
        "the message was signed as JSON, with quotes around it",
        "sign the text itself, not its JSON",
        json.dumps,
        lambda text: json.dumps(text, ensure_ascii=False),
        lambda text: f"'{text}'",
    ),
    of_message(
        "message_url_encoded",
        "the message was signed URL-encoded",
        "sign the text itself, and percent-encode each id once when it is sent",
        lambda text: quote(text, safe=""),
        quote_plus,
        quote,
        lambda text: quote(text, safe="-_.!~*'();/?:@&=+$,#"),
    ),
    of_message(
        "message_url_decoded",
        "the message was decoded once too often before it was signed",
        "percent-encode each id once when it is sent",
        unquote,
        unquote_plus,
    ),
    of_message(
        "message_case",
        "the message was signed in another case",
        "sign the message unchanged",
        str.lower,
        str.upper,
    ),
    of_message(
        "message_hashed",
        "the message was hashed or encoded before it was signed",
        "sign the text itself",
        lambda text: hashlib.sha256(utf8(text)).hexdigest(),
        lambda text: hashlib.sha512(utf8(text)).hexdigest(),
        lambda text: hashlib.sha1(utf8(text), usedforsecurity=False).hexdigest(),
        lambda text: hashlib.md5(utf8(text), usedforsecurity=False).hexdigest(),
        lambda text: base64.b64encode(utf8(text)).decode(),
        lambda text: base64.urlsafe_b64encode(utf8(text)).decode().rstrip("="),
        lambda text: utf8(text).hex(),
    ),
    of_charset(
        "message_charset",
        "the message was encoded in another charset than UTF-8",
        "encode it as UTF-8; in Java use getBytes(StandardCharsets.UTF_8)",
        _charset("latin-1"),
        _charset("cp1252"),
        _charset("ascii", "replace"),
        _charset("ascii", "ignore"),
        _charset("utf-16-le"),
        _charset("utf-16-be"),
        _charset("utf-16-le", mark=codecs.BOM_UTF16_LE),
        _charset("utf-16-be", mark=codecs.BOM_UTF16_BE),
        _charset("utf-8", mark=codecs.BOM_UTF8),
        lambda text: utf8(text).decode("latin-1").encode(),
    ),
)


_ALGORITHMS = (
    *("sha1", "md5", "sha256", "sha512", "sha384", "sha224"),
    *("sha3_256", "sha3_512", "sha3_384", "sha3_224", "blake2b", "blake2s"),
)
Hashing = Callable[[bytes, bytes, str], bytes]


def _other_algorithm(attempt: Attempt) -> Variants:
    for algorithm in _ALGORITHMS:
        yield f"HMAC-{algorithm.upper().replace('SHA3_', 'SHA3-')}", attempt._replace(algorithm=algorithm)


def _hash(key: bytes, data: bytes, algorithm: str) -> bytes:
    """Return a hash without the key."""
    return hashlib.new(algorithm, data).digest()


def _hash_with(join: Callable[[bytes, bytes], bytes]) -> Hashing:
    return lambda key, message, algorithm: _hash(key, join(key, message), algorithm)


def _twice(join: Callable[[bytes], bytes], outer: Callable[[bytes, bytes, str], bytes]) -> Hashing:
    return lambda key, message, algorithm: outer(key, join(hmac_of(key, message, algorithm)), algorithm)


def _hex(digest: bytes) -> bytes:
    return digest.hex().encode()


DIGEST_MISTAKES = (
    Mistake(
        "algorithm",
        Part.DIGEST,
        "{what} was used",
        "use the algorithm of the scheme",
        _other_algorithm,
    ),
    of_hashing(
        "key_and_message_swapped",
        "key and message were given to HMAC in the wrong order",
        "swap the two arguments",
        lambda key, message, algorithm: hmac_of(message, key, algorithm),
    ),
    of_hashing(
        "plain_hash",
        "key and message were hashed with a plain hash instead of HMAC",
        "use the language's HMAC function",
        _hash_with(lambda key, message: key + message),
        _hash_with(lambda key, message: message + key),
        _hash_with(lambda key, message: key + b":" + message),
        _hash_with(lambda key, message: message + b":" + key),
        _hash_with(lambda key, message: key + b"." + message),
        _hash_with(lambda key, message: message + b"." + key),
        _hash_with(lambda key, message: key + message + key),
        _hash_with(lambda key, message: key + b"\n" + message),
    ),
    of_hashing(
        "no_key",
        "the message was hashed without the key",
        "use the language's HMAC function, with the key",
        _hash,
    ),
    of_hashing(
        "hashed_twice",
        "the digest was hashed again",
        "encode the digest of HMAC",
        _twice(_hex, _hash),
        _twice(bytes, _hash),
        _twice(_hex, hmac_of),
        _twice(bytes, hmac_of),
    ),
    of_hashing(
        "message_digest_signed",
        "the digest of the message was signed instead of the message",
        "give the message itself to HMAC",
        lambda key, message, algorithm: hmac_of(key, hashlib.new(algorithm, message).digest(), algorithm),
    ),
    of_hashing(
        "derived_key",
        "a derived key was used",
        "use the key itself",
        lambda key, message, algorithm: hmac_of(hmac.digest(message, key, algorithm), message, algorithm),
    ),
)
