"""Attempts to sign, and mistakes, which change an attempt.

An `Attempt` is one way to make a signature. `right_attempt` is the way of the guard. A `Mistake` turns it into what
the signer may have done.
"""

import hmac
from collections.abc import Callable, Iterable
from enum import Enum
from functools import lru_cache
from operator import add
from typing import NamedTuple

from hmac_guard.core.encodings import ENCODINGS
from hmac_guard.core.message import Literal
from hmac_guard.core.scheme import Scheme

Texts = tuple[str, ...]
_MAX_CACHED_TEXTS = 16


def utf8(text: str) -> bytes:
    """Return the text as UTF-8. Bytes of a body that are not UTF-8 are surrogates in the text."""
    return text.encode("utf-8", "surrogateescape")


def hmac_of(key: bytes, message: bytes, algorithm: str) -> bytes:
    """Return the HMAC of a message."""
    return hmac.digest(key, message, algorithm)


def hmac_with(key: bytes, algorithm: str) -> Callable[[bytes], bytes]:
    """Return an HMAC function for many messages. Copying a started HMAC takes half the time of a new one."""
    started = hmac.new(key, digestmod=algorithm)

    def sign(message: bytes) -> bytes:
        made = started.copy()
        made.update(message)
        return made.digest()

    return sign


class Attempt(NamedTuple):
    """One way to make a signature.

    Attributes:
        key: The bytes of the key.
        names: The names of the signed ids.
        ids: The signed ids.
        texts: The texts before, between and after the ids.
        algorithm: The name of the hash.
        encode: Turns the digest into text.
        prefix: The text before the encoded digest.
        changes: Changes of the whole message.
        charset: Turns the message into bytes.
        hashing: Makes the digest of key, message and algorithm.
        signature_transforms: Changes of the whole signature.
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
    signature_transforms: tuple[Callable[[str], str], ...] = ()

    def __repr__(self) -> str:
        return f"<Attempt over {', '.join(self.names)}>"

    def message(self) -> bytes:
        """Return the signed bytes."""
        before, *after = self.texts
        text = before + "".join(map(add, self.ids, after))
        for change in self.changes:
            text = change(text)
        return self.charset(text)

    def digest(self) -> bytes:
        """Return the bytes of the signature."""
        return self.hashing(self.key, self.message(), self.algorithm)

    def write(self, digest: bytes) -> str:
        """Return the signature for a digest."""
        return self.send(self.encode(digest))

    def send(self, text: str) -> str:
        """Return the signature for an encoded digest."""
        signature = self.prefix + text
        for change in self.signature_transforms:
            signature = change(signature)
        return signature


def right_attempt(scheme: Scheme, key: bytes, ids: dict[str, str]) -> Attempt:
    """Return the attempt that the guard makes with these ids."""
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
    """The part of an attempt that a mistake changes. Mistakes in different parts are independent."""

    KEY = "key"
    MESSAGE = "message"
    DIGEST = "digest"
    SIGNATURE = "signature"


#: The changed attempts, each with a description of the variant, which may be "".
Variants = Iterable[tuple[str, Attempt]]


class Mistake(NamedTuple):
    """One kind of mistake.

    Attributes:
        name: A stable name, for programs.
        part: The part of the attempt that it changes.
        description: A clause that describes the mistake. `{what}` is replaced by the description of the variant.
        fix: A clause that says how to fix it.
        vary: Returns the changed attempts.
        body_fix: The same as `fix`, if the changed text is the body. "" if `fix` is right for a body too.
    """

    name: str
    part: Part
    description: str
    fix: str
    vary: Callable[[Attempt], Variants]
    body_fix: str = ""


#: The fixes of a body that was not signed, and of one that was changed.
BODY_ABSENT_FIX = "sign the body that is sent; other code may have read it before"
BODY_FIX = "sign the bytes that are sent, and change nothing after that"
#: A shorter piece of a key could be guessed, and the explanation would say that the guess is right.
_MIN_KEY_LENGTH = 16


def of_key(name: str, description: str, fix: str, *functions: Callable[[bytes], bytes | None]) -> Mistake:
    """Return a mistake in the bytes of the key. A function returns None if it does not apply."""

    def vary(attempt: Attempt) -> Variants:
        for function in functions:
            key = function(attempt.key)
            if key is not None and len(key) >= min(len(attempt.key), _MIN_KEY_LENGTH):
                yield "", attempt._replace(key=key)

    return Mistake(name, Part.KEY, description, fix, vary)


def of_ids(name: str, description: str, fix: str, *functions: Callable[[str], str | None]) -> Mistake:
    """Return a mistake in the text of one id, or of all ids.

    A function returns None or raises `ValueError` if it does not apply.
    """
    # Most ids are the same in consecutive attempts.
    remembered = [lru_cache(_MAX_CACHED_TEXTS)(_or_none(function)) for function in functions]

    def vary(attempt: Attempt) -> Variants:
        made = {attempt.ids}  # several functions return the same text
        for function in remembered:
            changed = tuple(text if (new := function(text)) is None else new for text in attempt.ids)
            one = [
                (*attempt.ids[:number], changed[number], *attempt.ids[number + 1 :]) for number in range(len(changed))
            ]
            for what, ids in zip((*attempt.names, "each id"), (*one, changed), strict=True):
                if ids not in made:
                    made.add(ids)
                    yield what, attempt._replace(ids=ids)

    return Mistake(name, Part.MESSAGE, description, fix, vary, BODY_FIX)


def _or_none(function: Callable[[str], str | None]) -> Callable[[str], str | None]:
    def change(text: str) -> str | None:
        try:
            return function(text)
        except ValueError:
            return None

    return change


def _tolerant(function: Callable[[str], str]) -> Callable[[str], str]:
    """Return a function that returns the text unchanged if it cannot be changed: a body may not be UTF-8."""

    def change(text: str) -> str:
        try:
            return function(text)
        except UnicodeError:
            return text

    return change


def of_message(name: str, description: str, fix: str, *functions: Callable[[str], str]) -> Mistake:
    """Return a mistake in the message as a whole."""
    changes = [_tolerant(function) for function in functions]

    def vary(attempt: Attempt) -> Variants:
        return [("", attempt._replace(changes=(*attempt.changes, change))) for change in changes]

    return Mistake(name, Part.MESSAGE, description, fix, vary)


def of_charset(name: str, description: str, fix: str, *charsets: Callable[[str], bytes]) -> Mistake:
    """Return a mistake in the charset of the message."""

    def vary(attempt: Attempt) -> Variants:
        return [("", attempt._replace(charset=charset)) for charset in charsets]

    return Mistake(name, Part.MESSAGE, description, fix, vary)


def of_hashing(name: str, description: str, fix: str, *functions: Callable[[bytes, bytes, str], bytes]) -> Mistake:
    """Return a mistake in the use of the hash."""

    def vary(attempt: Attempt) -> Variants:
        return [("", attempt._replace(hashing=function)) for function in functions]

    return Mistake(name, Part.DIGEST, description, fix, vary)


def of_encoding(name: str, description: str, fix: str, *functions: Callable[[bytes], str]) -> Mistake:
    """Return a mistake in the encoding of the digest."""

    def vary(attempt: Attempt) -> Variants:
        return [("", attempt._replace(encode=function)) for function in functions]

    return Mistake(name, Part.SIGNATURE, description, fix, vary)


def of_signature(name: str, description: str, fix: str, *functions: Callable[[str], str]) -> Mistake:
    """Return a mistake in the signature as a whole."""

    def vary(attempt: Attempt) -> Variants:
        return [
            ("", attempt._replace(signature_transforms=(*attempt.signature_transforms, function)))
            for function in functions
        ]

    return Mistake(name, Part.SIGNATURE, description, fix, vary)
