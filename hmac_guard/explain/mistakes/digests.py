"""Mistakes with the digest: another algorithm, or another use of the right one."""

import hashlib
import hmac
from collections.abc import Callable, Iterator

from hmac_guard.explain.mistakes.shape import Attempt, Mistake, Part, hmac_of, of_hashing, plain_hash

_ALGORITHMS = (
    *("sha1", "md5", "sha256", "sha512", "sha384", "sha224"),
    *("sha3_256", "sha3_512", "sha3_384", "sha3_224", "blake2b", "blake2s"),
)
Hashing = Callable[[bytes, bytes, str], bytes]


def _other_algorithm(attempt: Attempt) -> Iterator[tuple[str, Attempt]]:
    for algorithm in _ALGORITHMS:
        yield f"HMAC-{algorithm.upper().replace('SHA3_', 'SHA3-')}", attempt._replace(algorithm=algorithm)


def _hash_with(join: Callable[[bytes, bytes], bytes]) -> Hashing:
    return lambda key, message, algorithm: plain_hash(algorithm, join(key, message))


def _twice(join: Callable[[bytes], bytes], outer: Callable[[bytes, bytes, str], bytes]) -> Hashing:
    return lambda key, message, algorithm: outer(key, join(hmac_of(key, message, algorithm)), algorithm)


def _hex(digest: bytes) -> bytes:
    return digest.hex().encode()


def _just_hash(key: bytes, data: bytes, algorithm: str) -> bytes:
    return plain_hash(algorithm, data)


DIGEST_MISTAKES = (
    Mistake(
        "algorithm",
        Part.DIGEST,
        "{what} was used",
        "use the scheme's algorithm",
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
        "a plain hash was made of key and message, not an HMAC",
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
        _hash_with(lambda key, message: message),
    ),
    of_hashing(
        "hashed_twice",
        "the digest was hashed once more",
        "encode the HMAC's own digest",
        _twice(_hex, _just_hash),
        _twice(bytes, _just_hash),
        _twice(_hex, hmac_of),
        _twice(bytes, hmac_of),
    ),
    of_hashing(
        "message_digest_signed",
        "the message's digest was signed, not the message",
        "give the message itself to HMAC",
        lambda key, message, algorithm: hmac_of(key, hashlib.new(algorithm, message).digest(), algorithm),
    ),
    of_hashing(
        "derived_key",
        "a key was derived from the key first",
        "use the key itself",
        lambda key, message, algorithm: hmac_of(hmac.digest(message, key, algorithm), message, algorithm),
    ),
)
