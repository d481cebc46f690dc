"""What a signature is made of, and what a mistake does to that.

An `Attempt` is one way to make a signature. The right one is made of the scheme and the request; a mistake turns it
into what somebody may have done instead.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from functools import lru_cache
from operator import add
from typing import NamedTuple

from hmac_guard.core.encodings import ENCODINGS
from hmac_guard.core.message import Literal
from hmac_guard.core.scheme import Scheme

Texts = tuple[str, ...]
_MOST_TEXTS = 16


def utf8(text: str) -> bytes:
    return text.encode()


def hmac_of(key: bytes, message: bytes, algorithm: str) -> bytes:
    return hmac.digest(key, message, algorithm)


def hmac_with(key: bytes, algorithm: str) -> Callable[[bytes], bytes]:
    """HMAC for many messages: to go on from a copy costs half of what it costs to begin anew."""
    begun = hmac.new(key, digestmod=algorithm)

    def sign(message: bytes) -> bytes:
        made = begun.copy()
        made.update(message)
        return made.digest()

    return sign


class Attempt(NamedTuple):
    """`names`, `ids`  the ids that are signed
    `texts`     what stands before, between and behind them
    `changes`   what was done to the message as a whole
    `charset`   makes bytes of it
    `hashing`   makes a digest of key, message and algorithm
    `encode`    writes the digest
    `prefix`    stands before that
    `dress`     what was done to the signature as a whole
    """

    key: bytes
    names: Texts
    ids: Texts
    texts: Texts
    algorithm: str
    encode: Callable[[bytes], str]
    prefix: str
    changes: tuple[Callable[[str], str], ...] = ()
    charset: Callable[[str], bytes] = utf8
    hashing: Callable[[bytes, bytes, str], bytes] = hmac_of
    dress: tuple[Callable[[str], str], ...] = ()

    def __repr__(self) -> str:
        return f"<Attempt over {', '.join(self.names)}>"

    def message(self) -> bytes:
        before, *behind = self.texts
        text = before + "".join(map(add, self.ids, behind))
        for change in self.changes:
            text = change(text)
        return self.charset(text)

    def digest(self) -> bytes:
        return self.hashing(self.key, self.message(), self.algorithm)

    def write(self, digest: bytes) -> str:
        """The signature that a digest becomes."""
        return self.send(self.encode(digest))

    def send(self, text: str) -> str:
        """The signature that an encoded digest becomes."""
        signature = self.prefix + text
        for change in self.dress:
            signature = change(signature)
        return signature


def right_attempt(scheme: Scheme, key: bytes, ids: dict[str, str]) -> Attempt:
    """What the guard does with these ids."""
    names, texts = [], [""]
    for part in scheme.parts:
        if isinstance(part, Literal):
            texts[-1] += part.text
        elif part.name in ids:
            names.append(part.name)
            texts.append("")
        else:
            texts[-1] = ""
    encode = ENCODINGS[scheme.encoding]
    return Attempt(
        key,
        tuple(names),
        tuple(ids[name] for name in names),
        tuple(texts),
        scheme.algorithm,
        lambda digest: encode(digest).decode(),
        scheme.prefix,
    )


class Part(Enum):
    """What of an attempt a mistake changes. Mistakes with different parts do not touch each other."""

    KEY = "key"
    MESSAGE = "message"
    DIGEST = "digest"
    SIGNATURE = "signature"


#: The attempts that a mistake makes of an attempt, each with a word for what was mistaken, which may be "".
Variants = Iterable[tuple[str, Attempt]]


class Mistake(NamedTuple):
    """`name`   for programs; stable
    `says`   what was done, as a clause in which `{what}` is the variant's word
    `cure`   what to do instead
    """

    name: str
    part: Part
    says: str
    cure: str
    vary: Callable[[Attempt], Variants]


def of_key(name: str, says: str, cure: str, *functions: Callable[[bytes], bytes | None]) -> Mistake:
    """A mistake in what the key's bytes are. A function gives None where it cannot be made."""

    def vary(attempt: Attempt) -> Iterator[tuple[str, Attempt]]:
        for function in functions:
            key = function(attempt.key)
            if key is not None:
                yield "", attempt._replace(key=key)

    return Mistake(name, Part.KEY, says, cure, vary)


def of_ids(name: str, says: str, cure: str, *functions: Callable[[str], str | None]) -> Mistake:
    """A mistake in what an id's text is: of one id, or of all. A function gives None, or raises `ValueError`, where it
    cannot be made."""
    # Of several ids most stay the same from one attempt to the next.
    remembered = [lru_cache(_MOST_TEXTS)(_or_none(function)) for function in functions]

    def vary(attempt: Attempt) -> Iterator[tuple[str, Attempt]]:
        made = {attempt.ids}  # several functions come to the same text
        for function in remembered:
            changed = tuple(text if (new := function(text)) is None else new for text in attempt.ids)
            one = [
                (*attempt.ids[:number], changed[number], *attempt.ids[number + 1 :]) for number in range(len(changed))
            ]
            for what, ids in zip((*attempt.names, "each id"), (*one, changed), strict=True):
                if ids not in made:
                    made.add(ids)
                    yield what, attempt._replace(ids=ids)

    return Mistake(name, Part.MESSAGE, says, cure, vary)


def _or_none(function: Callable[[str], str | None]) -> Callable[[str], str | None]:
    def change(text: str) -> str | None:
        try:
            return function(text)
        except ValueError:
            return None

    return change


def of_message(name: str, says: str, cure: str, *functions: Callable[[str], str]) -> Mistake:
    """A mistake in the message as a whole."""

    def vary(attempt: Attempt) -> Variants:
        return [("", attempt._replace(changes=(*attempt.changes, function))) for function in functions]

    return Mistake(name, Part.MESSAGE, says, cure, vary)


def of_charset(name: str, says: str, cure: str, *charsets: Callable[[str], bytes]) -> Mistake:
    """A mistake in how the message becomes bytes."""

    def vary(attempt: Attempt) -> Variants:
        return [("", attempt._replace(charset=charset)) for charset in charsets]

    return Mistake(name, Part.MESSAGE, says, cure, vary)


def of_hashing(name: str, says: str, cure: str, *functions: Callable[[bytes, bytes, str], bytes]) -> Mistake:
    """A mistake in what is hashed with what."""

    def vary(attempt: Attempt) -> Variants:
        return [("", attempt._replace(hashing=function)) for function in functions]

    return Mistake(name, Part.DIGEST, says, cure, vary)


def of_encoding(name: str, says: str, cure: str, *functions: Callable[[bytes], str]) -> Mistake:
    """A mistake in how the digest is written."""

    def vary(attempt: Attempt) -> Variants:
        return [("", attempt._replace(encode=function)) for function in functions]

    return Mistake(name, Part.SIGNATURE, says, cure, vary)


def of_signature(name: str, says: str, cure: str, *functions: Callable[[str], str]) -> Mistake:
    """A mistake in the signature as a whole."""

    def vary(attempt: Attempt) -> Variants:
        return [("", attempt._replace(dress=(*attempt.dress, function))) for function in functions]

    return Mistake(name, Part.SIGNATURE, says, cure, vary)


def plain_hash(algorithm: str, data: bytes) -> bytes:
    return hashlib.new(algorithm, data).digest()
