"""Searches the mistakes that explain a signature: first each one alone, then each pair."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from time import monotonic
from typing import NamedTuple

from hmac_guard.explain.mistakes.shape import Attempt, Mistake, Part, hmac_with
from hmac_guard.explain.mistakes.signatures import CUT

SECONDS = 0.8


class Found(NamedTuple):
    """A mistake that explains a signature, alone or with a second one. `says` and `cure` (the fix) are clauses."""

    name: str
    says: str
    cure: str


class Search(NamedTuple):
    """The result of a search.

    Attributes:
        right: Whether the signature is right.
        mistakes: The one or two mistakes that explain the signature, if any.
        is_complete: False if the time limit was reached before every pair was tried.
    """

    right: bool
    mistakes: tuple[Found, ...] = ()
    is_complete: bool = True

    @property
    def explains(self) -> bool:
        return self.right or bool(self.mistakes)


class _Variant(NamedTuple):
    """An attempt, changed by one more mistake."""

    mistake: Mistake
    what: str
    attempt: Attempt


_Pair = tuple[_Variant, _Variant]


def search(
    attempt: Attempt, signature: str, digest: bytes, mistakes: Sequence[Mistake], seconds: float = SECONDS
) -> Search:
    """Search the mistakes that turn the attempt's own signature into `signature`.

    Args:
        attempt: The right way to sign.
        signature: The signature of the request.
        digest: The bytes that it decodes to.
        mistakes: The mistakes to try, the most likely ones first.
        seconds: The approximate limit, in seconds.
    """
    if attempt.write(attempt.digest()) == signature:
        return Search(right=True)
    deadline = monotonic() + seconds
    try:
        return _tried(attempt, signature, digest, [_timed(mistake, deadline) for mistake in mistakes], deadline)
    except _TimeIsUp:
        return Search(right=False, is_complete=False)


class _TimeIsUp(Exception):
    """The time limit of the search is reached."""


def _timed(mistake: Mistake, deadline: float) -> Mistake:
    """Return the mistake with a time limit on its variants.

    With a long message each variant is slow, and many variants may lead to messages that were already tried.
    """

    def vary(attempt: Attempt) -> Iterator[tuple[str, Attempt]]:
        # A body may have bytes that are not UTF-8, and not every mistake can be made with these.
        with suppress(UnicodeError):
            for variant in mistake.vary(attempt):
                if monotonic() > deadline:
                    raise _TimeIsUp
                yield variant

    return mistake._replace(vary=vary)


def _tried(attempt: Attempt, signature: str, digest: bytes, mistakes: Sequence[Mistake], deadline: float) -> Search:
    for variant, made in _singles(attempt, mistakes):
        if made == signature:
            return Search(right=False, mistakes=(_found(variant),))
    ones = {part: list(_distinct(attempt, [m for m in mistakes if m.part is part])) for part in Part}
    candidates: Iterator[tuple[_Pair, bool]]
    candidates = ((pair, made == signature) for pair, made in _pairs_with_a_writing(attempt, ones, mistakes))
    # If the signature has the right form, its encoding has no mistake. Otherwise the mistake is in the encoding.
    if attempt.write(digest) == signature:
        written_well = (
            (pair, made == digest) for pair, made in _pairs_of_digests(attempt, ones, mistakes, len(digest))
        )
        candidates = chain(candidates, written_well)
    for count, (pair, matches) in enumerate(candidates):
        if matches:
            return Search(right=False, mistakes=tuple(map(_found, pair)))
        # Reading the clock each time would take a tenth of the time.
        if count % 20 == 0 and monotonic() > deadline:
            raise _TimeIsUp
    return Search(right=False)


_Ones = dict[Part, list[_Variant]]


def _variants(attempt: Attempt, mistakes: Sequence[Mistake]) -> Iterator[_Variant]:
    for mistake in mistakes:
        for what, changed in mistake.vary(attempt):
            if changed != attempt:
                yield _Variant(mistake, what, changed)


def _distinct(attempt: Attempt, mistakes: Sequence[Mistake]) -> Iterator[_Variant]:
    """Yield the variants that change the digest. Of several variants with the same digest, only the first."""
    made = {attempt.digest()}
    for variant in _variants(attempt, mistakes):
        digest = variant.attempt.digest()
        # Two encodings that agree on one digest may differ on another digest.
        if variant.mistake.part is Part.SIGNATURE or digest not in made:
            made.add(digest)
            yield variant


def _twice(ones: Sequence[_Variant], mistakes: Sequence[Mistake]) -> Iterator[_Pair]:
    """Yield two mistakes in the same part of the attempt, in either order."""
    for first in ones:
        if first.mistake.name == CUT:
            continue  # With a prefix or another writing a cut text has fewer bits of the right signature.
        others = [m for m in mistakes if m.part is first.mistake.part and m is not first.mistake and m.name != CUT]
        for second in _variants(first.attempt, others):
            yield first, second


def _singles(attempt: Attempt, mistakes: Sequence[Mistake]) -> Iterator[tuple[_Variant, str]]:
    for variant in _variants(attempt, mistakes):
        yield variant, variant.attempt.write(variant.attempt.digest())


def _pairs_with_a_writing(attempt: Attempt, ones: _Ones, mistakes: Sequence[Mistake]) -> Iterator[tuple[_Pair, str]]:
    """Yield pairs of mistakes of which one is in the encoding, with the signature that they lead to."""
    right = attempt.digest()
    for first, second in _twice(ones[Part.SIGNATURE], mistakes):
        yield (first, second), second.attempt.write(right)
    writings: dict[Callable[[bytes], str], list[_Variant]] = {}
    for second in ones[Part.SIGNATURE]:
        writings.setdefault(second.attempt.encode, []).append(second)
    for first in chain(ones[Part.KEY], ones[Part.MESSAGE], ones[Part.DIGEST]):
        digest = first.attempt.digest()
        for encode, seconds in writings.items():
            text = encode(digest)
            for second in seconds:
                yield (first, second), second.attempt.send(text)


def _pairs_of_digests(
    attempt: Attempt, ones: _Ones, mistakes: Sequence[Mistake], size: int
) -> Iterator[tuple[_Pair, bytes]]:
    """Yield pairs of mistakes before the encoding, with their digest, if it has the right size.

    Pairs of two changes to the message come last, because there are so many.
    """
    for digest in ones[Part.DIGEST]:
        if len(digest.attempt.digest()) != size:
            continue
        hashing, algorithm = digest.attempt.hashing, digest.attempt.algorithm
        for key in ones[Part.KEY]:
            yield (key, digest), hashing(key.attempt.key, attempt.message(), algorithm)
        for message in ones[Part.MESSAGE]:
            yield (message, digest), hashing(attempt.key, message.attempt.message(), algorithm)
    for pair in _twice(ones[Part.DIGEST], mistakes):
        yield pair, pair[1].attempt.digest()
    if len(attempt.digest()) == size:
        yield from _pairs_without_a_digest(attempt, ones, mistakes)


def _pairs_without_a_digest(
    attempt: Attempt, ones: _Ones, mistakes: Sequence[Mistake]
) -> Iterator[tuple[_Pair, bytes]]:
    messages = [(variant, variant.attempt.message()) for variant in ones[Part.MESSAGE]]
    for key in ones[Part.KEY]:
        sign = hmac_with(key.attempt.key, attempt.algorithm)
        for message, text in messages:
            yield (key, message), sign(text)
    for pair in _twice(ones[Part.KEY], mistakes):
        yield pair, pair[1].attempt.digest()
    sign = hmac_with(attempt.key, attempt.algorithm)
    # Most pairs lead to a message that was already tried. A look-up is cheaper than hashing.
    made: set[bytes] = set()
    for pair in _twice(ones[Part.MESSAGE], mistakes):
        text = pair[1].attempt.message()
        if text not in made:
            made.add(text)
            yield pair, sign(text)


def _found(variant: _Variant) -> Found:
    return Found(variant.mistake.name, variant.mistake.says.format(what=variant.what), variant.mistake.cure)
