"""The answer to "why is it refused?": what the guard sees, what it stumbles over, and which mistake explains it."""

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from itertools import islice, product
from typing import NamedTuple

from hmac_guard.core.judge import judge
from hmac_guard.core.key import Keyring
from hmac_guard.core.reader import Reader
from hmac_guard.core.request import Request, is_preflight
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.source import Field
from hmac_guard.core.verdict import Reason
from hmac_guard.explain.capture import Captured, as_request
from hmac_guard.explain.context import KnownKeys, mistakes_for, secret_of
from hmac_guard.explain.mistakes.shape import right_attempt
from hmac_guard.explain.near import Leaf, leaves, near
from hmac_guard.explain.reading import Reading, read_all
from hmac_guard.explain.search import SECONDS, Found, Search, search
from hmac_guard.explain.sending import path_leaf, sending_mistakes

_MOST_MEANINGS = 4
_LONGEST_MESSAGE = 16_384
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


class Explanation(NamedTuple):
    """`reason`    the guard's verdict
    `ids`, `signature`, `tenant`  what was read, and where
    `absent`    the ids that the scheme needs and the message lacks
    `message`   the bytes that are to be signed, for what was read or probably meant
    `decoded`   what the signature decodes to, None where there is none
    `sending`   what is wrong with how the request was sent: the guard does not read its strings there
    `found`     what explains the signature, None where there is nothing to explain
    `right`     the right signature for that message, where the key is known; whoever reads it can use it
    """

    scheme: Scheme
    reason: Reason
    ids: tuple[Reading, ...]
    signature: Reading
    tenant: Reading | None
    absent: tuple[str, ...]
    message: bytes
    decoded: Decoded | None
    sending: tuple[Found, ...]
    found: Search | None
    right: str | None

    @property
    def verified(self) -> bool:
        return self.reason is Reason.VERIFIED

    @property
    def problems(self) -> list[Reading]:
        """The readings that the guard stumbles over, or misses."""
        return [] if self.verified else [reading for reading in (*self.ids, self.signature) if reading.problem]

    def __repr__(self) -> str:
        return f"<Explanation {self.scheme.name}: {self.reason.value}>"


class _Meaning(NamedTuple):
    """What the sender may have meant: ids by name, and the signature."""

    ids: dict[str, str]
    signature: str | None


def explain_captured(
    scheme: Scheme, captured: Captured, keys: KnownKeys, mount: str = "", seconds: float = SECONDS
) -> Explanation:
    """Why a guard with this scheme and key refuses a request that somebody copied, or that it does not; its
    application is mounted at `mount`. The search takes about `seconds` at most."""
    reader = Reader(scheme, with_tenant=False)
    request = as_request(captured, reader, mount)
    if is_preflight(request):
        reason = Reason.PREFLIGHT
    else:
        reason = judge(scheme, reader.read(request), Keyring(keys.current), 0.0, by_tenant=False).reason
    every = tuple(leaves(request.query, captured.headers, captured.body))
    return explain(scheme, request, reason, keys, every, seconds)


def explain(
    scheme: Scheme,
    request: Request,
    reason: Reason,
    keys: KnownKeys | None,
    every: Sequence[Leaf],
    seconds: float = SECONDS,
) -> Explanation:
    """Why a guard decided for `reason`. Without keys nobody can say what the signature was made of.

    `every` are all texts of the request that are known: a string may stand in the wrong place.
    """
    every = [*_path_leaves(scheme, request), *every]
    ids, signature, tenant = read_all(scheme, request, every)
    sending = () if reason is Reason.VERIFIED else _sending(scheme, request, every, (*ids, signature, tenant))
    meanings = list(islice(_meanings(scheme, (*ids, signature), every), _MOST_MEANINGS))
    found: list[Search | None] = [None]
    if keys is not None:
        whose = tenant.value if tenant else None
        found = [_search(scheme, request, keys, meaning, whose, seconds / len(meanings)) for meaning in meanings]
    best = next((number for number, result in enumerate(found) if result and result.explains), 0)
    meant = meanings[best]
    attempt = right_attempt(scheme, secret_of(keys.current) if keys else b"", meant.ids)
    return Explanation(
        scheme,
        reason,
        ids,
        signature,
        tenant,
        absent=tuple(name for name in scheme.ids if name not in meant.ids and name not in scheme.optional),
        message=attempt.message(),
        decoded=decode(meant.signature, scheme) if meant.signature else None,
        sending=sending,
        found=found[best],
        right=attempt.write(attempt.digest()) if keys else None,
    )


def _path_leaves(scheme: Scheme, request: Request) -> list[Leaf]:
    """What the path has for the strings, behind a prefix or before a '/' that no template has."""
    return [leaf for field in _fields(scheme) if field and (leaf := path_leaf(field, request.path))]


def _fields(scheme: Scheme) -> tuple[Field | None, ...]:
    return (*scheme.id_fields, scheme.signature_field, scheme.tenant_field)


def _sending(
    scheme: Scheme, request: Request, every: Sequence[Leaf], readings: Sequence[Reading | None]
) -> tuple[Found, ...]:
    pairs = zip(_fields(scheme), readings, strict=True)
    unread = [field for field, reading in pairs if field and reading and reading.value is None]
    return tuple(sending_mistakes(scheme, request, every, unread))


def _meanings(scheme: Scheme, readings: Sequence[Reading], every: Sequence[Leaf]) -> Iterator[_Meaning]:
    fields = (*scheme.id_fields, scheme.signature_field)
    meant = (_meant(field, reading, every) for field, reading in zip(fields, readings, strict=True))
    for *texts, signed in product(*meant):
        named = {field.name: text for field, text in zip(scheme.id_fields, texts, strict=True) if text is not None}
        yield _Meaning(named, signed)


def _meant(field: Field, reading: Reading, every: Sequence[Leaf]) -> tuple[str | None, ...]:
    leaf = near(field, every) if reading.problem and reading.value is None and not reading.guesses else None
    return reading._replace(guesses=(leaf.value,)).meanings() if leaf else reading.meanings()


def _search(
    scheme: Scheme, request: Request, keys: KnownKeys, meaning: _Meaning, tenant: str | None, seconds: float
) -> Search | None:
    """What explains the signature, or None where there is none, or too much to try things with."""
    ids, signature = meaning
    attempt = right_attempt(scheme, secret_of(keys.current), ids)
    if signature is None or len(attempt.message()) > _LONGEST_MESSAGE:
        return None
    mistakes = mistakes_for(scheme, request, keys, ids, tenant, signature)
    return search(attempt, signature, decode(signature, scheme).digest, mistakes, seconds)
