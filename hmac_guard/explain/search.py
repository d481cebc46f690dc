"""The known keys, the mistakes to try for a request, and the search for those that explain its signature."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, takewhile
from time import monotonic
from typing import NamedTuple
from urllib.parse import unquote_plus

from hmac_guard.core.key import Key, Keyring
from hmac_guard.core.message import BODY, Id, Literal
from hmac_guard.core.request import Request
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.sources import Query
from hmac_guard.core.text import MAX_ID_BYTES
from hmac_guard.explain.mistakes import MISTAKES
from hmac_guard.explain.mistakes.ids import of_absent_id, of_further_ids, of_longer_ids, of_other_texts, of_raw_ids
from hmac_guard.explain.mistakes.keys import of_known_texts, of_other_keys
from hmac_guard.explain.mistakes.requests import REQUEST_MISTAKES
from hmac_guard.explain.mistakes.shape import Attempt, Mistake, Part, Variants, hmac_with
from hmac_guard.explain.mistakes.signatures import CUT, of_cut_signature

_MIN_CUT_LENGTH = 16
_MAX_TEXT_LENGTH = 16_384
# A percent-encoded byte takes three characters.
_MAX_ENCODED_LENGTH = 3 * MAX_ID_BYTES


class KnownKeys(NamedTuple):
    """The keys that an explanation may try.

    Attributes:
        current: The active key that made the signature of the request, or else the first active key, which signs. None
            if no key is active.
        previous: Previous keys of the same tenant, each with a name for the report.
        others: Keys of other tenants, each with a name for the report.
        variables: Names of settings that contain keys. A signer may have used the name instead of the value.
        tenant: The tenant of the current key, which the request must name; None if the keys are not by tenant.
        further: The other active keys, each with a name for the report. They verify as `current` does.
        scheduled: Keys of the same tenant that are not active yet, each with a name for the report.
    """

    current: Key | None
    previous: tuple[tuple[str, Key], ...] = ()
    others: tuple[tuple[str, Key], ...] = ()
    variables: tuple[str, ...] = ()
    tenant: str | None = None
    further: tuple[tuple[str, Key], ...] = ()
    scheduled: tuple[tuple[str, Key], ...] = ()

    @classmethod
    def of_ring(cls, ring: Keyring, now: float) -> "KnownKeys":
        """Return the keys of a tenant.

        Args:
            ring: The keys of the tenant.
            now: Unix seconds.
        """
        active = ring.active(now)
        named = [
            (f"number {number} of the keyring" if key.id is None else f"with the id {key.id}", key)
            for number, key in enumerate(ring.keys, 1)
        ]
        inactive = [(name, key) for name, key in named if key not in active]
        return cls(
            active[0] if active else None,
            previous=tuple((f"{name}, which has ended", key) for name, key in inactive if not _begins_after(key, now)),
            further=tuple((name, key) for name, key in named if key in active[1:]),
            scheduled=tuple((name, key) for name, key in inactive if _begins_after(key, now)),
        )

    @property
    def active(self) -> tuple[tuple[str, Key], ...]:
        """The keys that verify. The current one is the first, and has no name."""
        first = () if self.current is None else (("", self.current),)
        return (*first, *self.further)

    @property
    def own(self) -> tuple[Key, ...]:
        """The keys of the tenant."""
        return tuple(key for _, key in (*self.active, *self.previous, *self.scheduled))

    @property
    def all(self) -> tuple[Key, ...]:
        return (*self.own, *(key for _, key in self.others))

    def begin_with(self, key: Key) -> "KnownKeys":
        """Return the keys with this active key as the current one."""
        return self._replace(current=key, further=tuple(pair for pair in self.active if pair[1] is not key))


def _begins_after(key: Key, now: float) -> bool:
    return key.not_before is not None and now < key.not_before


def secret_of(key: Key) -> bytes:
    """Return the bytes of a key. They are used in attempts only, and attempts are not kept."""
    return key._secret.get()


def mistakes_for(
    scheme: Scheme, request: Request, keys: KnownKeys, ids: Mapping[str, str], tenant: str | None, signature: str
) -> list[Mistake]:
    """Return all mistakes to try for a request, the most likely ones first.

    Args:
        scheme: The scheme of the guard.
        request: The request.
        keys: The known keys.
        ids: The ids that were read or probably meant, by name.
        tenant: The tenant of the request, or None.
        signature: The signature of the request.
    """
    tenants = [_with_utf8(tenant)] if tenant and len(tenant) <= MAX_ID_BYTES else []
    known = [
        *(REQUEST_MISTAKES if scheme.times or scheme.signs_body or scheme.signs_method else ()),
        *of_other_keys(_secrets(keys.previous), _secrets(keys.scheduled), _secrets(keys.others)),
        *of_known_texts([*tenants, *ids.values()], map(_with_utf8, keys.variables)),
        of_further_ids([("the tenant", tenant) for tenant in tenants], _separator(scheme)),
        of_other_texts((what, _with_utf8(text)) for what, text in _other_texts(scheme, request)),
        of_longer_ids(dict(_longer(scheme, request, ids))),
        of_raw_ids(dict(_raw(scheme, request, ids))),
    ]
    if scheme.id_fields and scheme.id_fields[-1].name not in ids:
        known.append(of_absent_id(_separator(scheme)))
    cut = [of_cut_signature(len(signature))] if len(signature) - len(scheme.prefix) >= _MIN_CUT_LENGTH else []
    return [*known, *MISTAKES, *cut]


def _secrets(keys: Sequence[tuple[str, Key]]) -> list[tuple[str, bytes]]:
    return [(what, secret_of(key)) for what, key in keys]


def _with_utf8(text: str) -> str:
    """Return the text with '?' for each lone surrogate. JSON can contain one, but a signer cannot sign it."""
    return text.encode("utf-8", "replace").decode()


def _separator(scheme: Scheme) -> str:
    """Return the text before the last id of the message."""
    texts = [part.separator for part in scheme.parts if isinstance(part, Id) and part.separator]
    return texts[-1] if texts else ":"


def _other_texts(scheme: Scheme, request: Request) -> Iterator[tuple[str, str]]:
    if len(request.path) + len(request.query) <= _MAX_TEXT_LENGTH:
        yield "the path", request.path
        if request.query:
            yield "the query", request.query
            yield "path and query", f"{request.path}?{request.query}"
    if request.body and not scheme.signs_body and len(request.body) <= _MAX_TEXT_LENGTH:
        yield "the body", request.body.decode("utf-8", "replace")
    for braces in ("{{{}}}", "${{{}}}", "{{{{{}}}}}", "%{{{}}}", "#{{{}}}", ":{}", "{}", "${}"):
        texts = (part.text if isinstance(part, Literal) else braces.format(part.name) for part in scheme.parts)
        yield "a template without its values", "".join(texts)


def _longer(scheme: Scheme, request: Request, ids: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield ids of the query, joined with the unnamed fields after them: an unencoded '&' may have cut the id."""
    for name, after in _in_query(scheme, request, ids):
        rest = list(takewhile(lambda field: "=" not in field, after.split("&")[1:]))
        longer = "&".join([ids[name], *map(unquote_plus, rest)])
        if rest and len(longer) <= MAX_ID_BYTES:
            yield name, longer


def _raw(scheme: Scheme, request: Request, ids: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield ids of the query as they are in it, if they have escapes."""
    for name, after in _in_query(scheme, request, ids):
        raw = after.partition("&")[0]
        if "%" in raw and raw != ids[name]:
            yield name, raw


def _in_query(scheme: Scheme, request: Request, ids: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the ids of the query, each with the encoded text from its value on."""
    places = [
        (name, place)
        for name in ids
        if name in scheme.ids
        for place in scheme.ids[name].places()
        if isinstance(place, Query)
    ]
    for name, place in places:
        _, found, after = f"&{request.query}".partition(f"&{place.name}=")
        if found:
            # No id is longer than this, so the rest of the query does not matter.
            yield name, after[:_MAX_ENCODED_LENGTH]


SECONDS = 0.8


class Found(NamedTuple):
    """A mistake that explains a signature, alone or together with a second one.

    Attributes:
        name: A stable name, for programs.
        description: What the mistake is, as a clause.
        fix: How to fix it, as a clause.
    """

    name: str
    description: str
    fix: str


class Search(NamedTuple):
    """The result of a search.

    Attributes:
        right: Whether the signature is right.
        mistakes: The one or two mistakes that explain the signature, if any.
        is_complete: False if the time limit was reached before every pair was tried.
        key: The name of the active key that the signer used. "" for the current one.
    """

    right: bool
    mistakes: tuple[Found, ...] = ()
    is_complete: bool = True
    key: str = ""

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
    """Search the mistakes that change the right signature to the given one: first single mistakes, then pairs.

    Args:
        attempt: The right way to sign.
        signature: The signature of the request.
        digest: The decoded signature.
        mistakes: The mistakes to try, the most likely ones first.
        seconds: The approximate limit of the search, in seconds.

    Returns:
        The result.
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

    def vary(attempt: Attempt) -> Variants:
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
    name, _, description, fix, _, body_fix = variant.mistake
    is_body = variant.what == BODY
    what = "the body" if is_body else variant.what
    return Found(name, description.format(what=what), (is_body and body_fix) or fix)
