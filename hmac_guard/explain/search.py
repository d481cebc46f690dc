"""Which mistake explains a signature: every one is tried alone, and then every two together."""

import time
from collections.abc import Iterator, Sequence
from itertools import chain, product
from typing import NamedTuple

from hmac_guard.explain.mistakes.shape import Attempt, Mistake, Part

SECONDS = 0.8


class Found(NamedTuple):
    """A mistake that explains a signature, alone or with another one. `says` and `cure` are clauses."""

    name: str
    says: str
    cure: str


class Search(NamedTuple):
    """`mistakes` are what explains the signature: one, two, or none where nothing does or where it is right.
    `whole` is false where the time ran out before every pair was tried."""

    right: bool
    mistakes: tuple[Found, ...] = ()
    whole: bool = True

    @property
    def explains(self) -> bool:
        return self.right or bool(self.mistakes)


class _Variant(NamedTuple):
    """An attempt with one more mistake in it."""

    mistake: Mistake
    what: str
    attempt: Attempt


#: Two mistakes, and the signature that has them.
_Candidate = tuple[tuple[_Variant, _Variant], str]


def search(
    attempt: Attempt, signature: str, digest: bytes, mistakes: Sequence[Mistake], seconds: float = SECONDS
) -> Search:
    """What explains that `signature` came out instead of the attempt's own. `digest` is what it decodes to."""
    deadline = time.monotonic() + seconds
    if attempt.write(attempt.digest()) == signature:
        return Search(right=True)
    for variant, made in _singles(attempt, mistakes):
        if made == signature:
            return Search(right=False, mistakes=(_found(variant),))
    ones = {part: list(_distinct(attempt, [m for m in mistakes if m.part is part])) for part in Part}
    candidates = _pairs_with_a_writing(attempt, ones, mistakes)
    # What is written as it should be has no mistake in its writing, and what is not has one there.
    if attempt.write(digest) == signature:
        candidates = chain(candidates, _pairs_of_digests(attempt, ones, mistakes))
    for count, (variants, made) in enumerate(candidates):
        if made == signature:
            return Search(right=False, mistakes=tuple(map(_found, variants)))
        # Looking at the clock each time would cost as much as the trying.
        if count % 200 == 0 and time.monotonic() > deadline:
            return Search(right=False, whole=False)
    return Search(right=False)


_Ones = dict[Part, list[_Variant]]


def _variants(attempt: Attempt, mistakes: Sequence[Mistake]) -> Iterator[_Variant]:
    for mistake in mistakes:
        for what, changed in mistake.vary(attempt):
            if changed != attempt:
                yield _Variant(mistake, what, changed)


def _distinct(attempt: Attempt, mistakes: Sequence[Mistake]) -> Iterator[_Variant]:
    """The mistakes that make a difference, and of several that come to the same digest the first."""
    made = {attempt.digest()}
    for variant in _variants(attempt, mistakes):
        digest = variant.attempt.digest()
        # Two ways to write that agree on one digest may differ on the next.
        if variant.mistake.part is Part.SIGNATURE or digest not in made:
            made.add(digest)
            yield variant


def _twice(ones: Sequence[_Variant], mistakes: Sequence[Mistake]) -> Iterator[tuple[_Variant, _Variant]]:
    """Two mistakes with the same part, in either order."""
    for first in ones:
        others = [m for m in mistakes if m.part is first.mistake.part and m is not first.mistake]
        for second in _variants(first.attempt, others):
            yield first, second


def _singles(attempt: Attempt, mistakes: Sequence[Mistake]) -> Iterator[tuple[_Variant, str]]:
    for variant in _variants(attempt, mistakes):
        yield variant, variant.attempt.write(variant.attempt.digest())


def _pairs_with_a_writing(attempt: Attempt, ones: _Ones, mistakes: Sequence[Mistake]) -> Iterator[_Candidate]:
    right = attempt.digest()
    for first, second in _twice(ones[Part.SIGNATURE], mistakes):
        yield (first, second), second.attempt.write(right)
    for first in chain(ones[Part.KEY], ones[Part.MESSAGE], ones[Part.DIGEST]):
        digest = first.attempt.digest()
        for second in ones[Part.SIGNATURE]:
            yield (first, second), second.attempt.write(digest)


def _pairs_of_digests(attempt: Attempt, ones: _Ones, mistakes: Sequence[Mistake]) -> Iterator[_Candidate]:
    messages = [(variant, variant.attempt.message()) for variant in ones[Part.MESSAGE]]
    for key, (message, text) in product(ones[Part.KEY], messages):
        yield (key, message), attempt.write(attempt.hashing(key.attempt.key, text, attempt.algorithm))
    for digest in ones[Part.DIGEST]:
        hashing, algorithm = digest.attempt.hashing, digest.attempt.algorithm
        for key in ones[Part.KEY]:
            yield (key, digest), attempt.write(hashing(key.attempt.key, attempt.message(), algorithm))
        for message, text in messages:
            yield (message, digest), attempt.write(hashing(attempt.key, text, algorithm))
    for part in (Part.KEY, Part.DIGEST, Part.MESSAGE):
        for first, second in _twice(ones[part], mistakes):
            yield (first, second), attempt.write(second.attempt.digest())


def _found(variant: _Variant) -> Found:
    return Found(variant.mistake.name, variant.mistake.says.format(what=variant.what), variant.mistake.cure)
