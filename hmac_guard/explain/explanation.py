"""Explains one request: what the guard reads, what it rejects, and which mistake explains the signature."""

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from itertools import islice, product
from time import monotonic, time
from typing import NamedTuple

from hmac_guard.core.judge import judge
from hmac_guard.core.key import Key, Keyring
from hmac_guard.core.message import BODY, METHOD
from hmac_guard.core.reading import Reading as ReadRequest
from hmac_guard.core.request import Request, is_preflight
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.signed import reader_of
from hmac_guard.core.source import Field
from hmac_guard.core.verdict import Reason
from hmac_guard.explain.capture import Captured, as_request
from hmac_guard.explain.misplaced import KEY_SENT, bare, is_key, swapped
from hmac_guard.explain.mistakes.requests import clock_mistakes
from hmac_guard.explain.mistakes.shape import right_attempt
from hmac_guard.explain.reading import Leaf, Reading, leaves, message_fields, near, read_all
from hmac_guard.explain.search import SECONDS, Found, KnownKeys, Search, mistakes_for, search, secret_of
from hmac_guard.explain.sending import dropped_headers, encoded_slash_leaf, path_leaf, sending_mistakes

_MAX_MEANINGS = 4
#: The most signed bytes with which mistakes are searched.
MAX_MESSAGE_LENGTH = 16_384
_SIZES = {16: "md5", 20: "sha1", 28: "sha224", 32: "sha256", 48: "sha384", 64: "sha512"}
_SHOWN = 4


class Decoded(NamedTuple):
    """A decoded signature.

    Attributes:
        encoding: "hex", "upper-case hex", "base64", "base64url", or None if the text is none of these.
        digest: The decoded bytes.
    """

    encoding: str | None
    digest: bytes

    def __repr__(self) -> str:
        return f"<Decoded {self.encoding}, {len(self.digest)} bytes>"

    def describe(self, whole: bool) -> str:
        """Return a clause for the report.

        Args:
            whole: Show all bytes. They can be the right signature in another encoding.
        """
        if self.encoding is None:
            return "neither hex nor base64"
        size = len(self.digest)
        made = f", the size of {_SIZES[size]}" if size in _SIZES else ", the size of no digest"
        shown = self.digest if whole else self.digest[:_SHOWN]
        return f"{self.encoding} of {size} bytes{made}: {shown.hex(' ')}{'' if whole else ' ...'}"


def decode(signature: str, scheme: Scheme) -> Decoded:
    """Decode a signature.

    Args:
        signature: The signature, as it was sent. The function removes white space, quotes and a prefix.
        scheme: The scheme. If the text fits several encodings, its encoding is preferred.
    """
    text = bare(signature, scheme.prefix)
    if re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", text) and not (scheme.encoding != "hex" and len(text) < 64):
        return Decoded("hex" if text == text.lower() else "upper-case hex", bytes.fromhex(text))
    if not re.fullmatch(r"[A-Za-z0-9+/_-]+={0,2}", text):
        return Decoded(None, b"")
    name = "base64url" if re.search("[_-]", text) or (scheme.encoding == "base64url" and "+" not in text) else "base64"
    digits = text.rstrip("=").translate({ord("-"): "+", ord("_"): "/"})
    try:
        return Decoded(name, base64.b64decode(digits + "=" * (-len(digits) % 4)))
    except binascii.Error:
        return Decoded(None, b"")


class Explanation(NamedTuple):
    """The explanation of one request.

    Attributes:
        scheme: The scheme of the guard.
        reason: The reason of the guard's verdict.
        ids: What was read for each id, and where.
        signature: What was read for the signature, and where.
        tenant: What was read for the tenant. None if the scheme has no tenant.
        absent: The required ids that the message lacks.
        message: The bytes that must be signed, for the ids that were read or probably meant.
        decoded: What the signature decodes to. None if there is no signature.
        sending: Mistakes in how the request was sent, because of which the guard does not find a string.
        found: What explains the signature. None if there is nothing to explain.
        right: The right signature for the message. None if no active key is known. It is a credential: keep it secret.
        key_id: The id of the key of `right`: the active key that made the signature, or else the first active one.
        wanted_tenant: The tenant that the request must name. None if the keys are not known to be by tenant.
        signature_sent_as: The name of the id in whose place the signature was sent. "" if it was sent in its own.
        dropped: A sentence about the headers that not every server passes on, if there are any.
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
    key_id: str | None = None
    wanted_tenant: str | None = None
    signature_sent_as: str = ""
    dropped: tuple[str, ...] = ()

    @property
    def has_key(self) -> bool:
        """Whether the signature of the request is a key. A report must not show any of it."""
        return self.found is not None and KEY_SENT in self.found.mistakes

    @property
    def verified(self) -> bool:
        return self.reason is Reason.VERIFIED

    @property
    def names_another_tenant(self) -> bool:
        """Whether the guard looks up the keys of another tenant, which this explanation does not know."""
        named = self.tenant.value if self.tenant else None
        return None not in (named, self.wanted_tenant) and named != self.wanted_tenant

    @property
    def problems(self) -> list[Reading]:
        """The strings that are missing or that the guard rejects."""
        tenant = [self.tenant] if self.tenant and (self.wanted_tenant is not None or self.tenant.is_key) else []
        readings = [*self.ids, self.signature, *tenant]
        return [] if self.verified else [reading for reading in readings if reading.problem]

    def __repr__(self) -> str:
        return f"<Explanation {self.scheme.name}: {self.reason.value}>"


class _Meaning(NamedTuple):
    """The values that the sender probably meant: ids by name, and the signature."""

    ids: dict[str, str]
    signature: str | None


def explain_captured(
    scheme: Scheme,
    captured: Captured,
    keys: KnownKeys,
    mount: str = "",
    seconds: float = SECONDS,
    now: float | None = None,
) -> Explanation:
    """Explain how a guard with this scheme and key decides a copied request.

    Args:
        scheme: The scheme of the guard.
        captured: The request, as `capture` returns it.
        keys: The keys to try. One of them is active.
        mount: The path at which the application is mounted.
        seconds: The approximate limit of the search, in seconds.
        now: The Unix time in seconds at which the guard decides; None for the present.

    Returns:
        The explanation. Its `right` is a credential.

    Raises:
        CaptureError: The mount point does not begin with one `/`, or has a `?`, `#` or `%`.
    """
    now = time() if now is None else now
    reader = reader_of(scheme, with_tenant=keys.tenant is not None)
    request = as_request(captured, reader, mount)
    reading = reader.read(request)
    keys = begin_with_signing_key(scheme, reading, keys)
    reason = Reason.PREFLIGHT if is_preflight(request) else _judged(scheme, reading, keys, now)
    late = now if reason in (Reason.EXPIRED, Reason.NOT_YET_VALID) else None
    path = captured.target.partition("?")[0]
    slashes = [leaf for field in _fields(scheme) if field and (leaf := encoded_slash_leaf(field, path, mount))]
    request_texts = (*slashes, *leaves(request.query, captured.headers, captured.body))
    return explain(scheme, request, reason, keys, request_texts, seconds, late)


def begin_with_signing_key(scheme: Scheme, reading: ReadRequest, keys: KnownKeys) -> KnownKeys:
    """Return the keys with the active key first that made the signature, if one of them did."""
    if reading.message is None:
        return keys
    key = scheme.verifying_key([key for _, key in keys.active], reading.message, reading.request.signature)
    return keys if key is None else keys.begin_with(key)


def _judged(scheme: Scheme, reading: ReadRequest, keys: KnownKeys, now: float) -> Reason:
    """Return the reason of the verdict. With another tenant's keys, the guard refuses a signature of these keys."""
    is_refused = reading.message is None
    if keys.tenant is None or scheme.tenant_field is None or is_refused or reading.tenant == keys.tenant:
        ring = Keyring([key for _, key in keys.active])
        return judge(scheme, reading, ring, now, by_tenant=False).reason
    return Reason.UNKNOWN_KEY if reading.tenant is None else Reason.INVALID_SIGNATURE


def explain(
    scheme: Scheme,
    request: Request,
    reason: Reason,
    keys: KnownKeys | None,
    request_texts: Sequence[Leaf],
    seconds: float = SECONDS,
    late: float | None = None,
) -> Explanation:
    """Explain the decision of a guard.

    Args:
        scheme: The scheme of the guard.
        request: The request that the guard has checked.
        reason: The reason of its verdict.
        keys: The keys to try. Without keys the signature cannot be explained.
        request_texts: All texts of the request. An id may be in the wrong place.
        seconds: The approximate limit of the search, in seconds.
        late: The Unix time in seconds at which a time of the request was too early or too late, if that is the reason.

    Returns:
        The explanation. Its `right` is a credential.
    """
    request_texts = [*_path_leaves(scheme, request), *request_texts]
    wanted = keys.tenant if keys else None
    ids, signature, tenant = read_all(scheme, request, request_texts)
    if keys is not None:
        ids = tuple(_hidden_if_key(scheme, reading, keys) for reading in ids)
        tenant = tenant and _hidden_if_key(scheme, tenant, keys)
    tenant = tenant if tenant is None or wanted is None else _compared(tenant, wanted)
    sending = () if reason is Reason.VERIFIED else _sending(scheme, request, request_texts, (*ids, signature, tenant))
    if late is not None:
        texts = {reading.name: reading.value for reading in ids if reading.value is not None}
        sending += tuple(Found(*found) for found in clock_mistakes(scheme, texts, late))
    meanings = list(islice(_meanings(scheme, (*ids, signature), request_texts), _MAX_MEANINGS))
    meant, found, sent_as = meanings[0], None, ""
    if keys is not None:
        sent_as, meanings = _unswapped(scheme, request, keys, meanings)
        sending += (swapped(sent_as),) if sent_as else ()
        meanings = [_without_keys(scheme, meaning, keys) for meaning in meanings]
        meant, found = _searched(scheme, request, keys, meanings, tenant.value if tenant else None, seconds)
    current = keys.current if keys else None
    attempt = right_attempt(scheme, secret_of(current) if current else b"", _named(scheme, request, meant.ids))
    return Explanation(
        scheme,
        reason,
        ids,
        signature,
        tenant,
        absent=tuple(
            field.name for field in message_fields(scheme) if field.name not in {*meant.ids, *scheme.optional}
        ),
        message=attempt.message(),
        decoded=decode(meant.signature, scheme) if meant.signature else None,
        sending=sending,
        found=found,
        right=attempt.write(attempt.digest()) if current else None,
        key_id=current.id if current else None,
        wanted_tenant=wanted,
        signature_sent_as=sent_as,
        dropped=tuple(dropped_headers(scheme, request_texts)),
    )


def _compared(tenant: Reading, wanted: str) -> Reading:
    """Return the reading of the tenant, with a problem if the request does not name the wanted one."""
    if tenant.problem or tenant.value == wanted:
        return tenant
    if tenant.value is None:
        return tenant._replace(problem="the request names no tenant; the guard answers 401")
    named = f"{tenant.value!a}"
    return tenant._replace(
        problem=f"the request names the tenant {named}, not {wanted!a}; the guard answers 401, unless a key of {named} "
        "made the signature"
    )


def _named(scheme: Scheme, request: Request, texts: dict[str, str]) -> dict[str, str]:
    """Return the texts of the message: ids, times, and the signed method and body."""
    named = dict(texts)
    if scheme.signs_method:
        named[METHOD] = request.method.encode("utf-8", "replace").decode()
    if scheme.signs_body:
        named[BODY] = (request.body or b"").decode("utf-8", "surrogateescape")
    return named


def _path_leaves(scheme: Scheme, request: Request) -> list[Leaf]:
    """Return the ids in the path, if it matches a template except for a prefix or a final '/'."""
    return [leaf for field in _fields(scheme) if field and (leaf := path_leaf(field, request.path))]


def _fields(scheme: Scheme) -> tuple[Field | None, ...]:
    return (*message_fields(scheme), scheme.signature_field, scheme.tenant_field)


def _sending(
    scheme: Scheme, request: Request, request_texts: Sequence[Leaf], readings: Sequence[Reading | None]
) -> tuple[Found, ...]:
    pairs = zip(_fields(scheme), readings, strict=True)
    unread = [field for field, reading in pairs if field and reading and reading.value is None]
    return tuple(sending_mistakes(scheme, request, request_texts, unread))


def _meanings(scheme: Scheme, readings: Sequence[Reading], request_texts: Sequence[Leaf]) -> Iterator[_Meaning]:
    fields = (*message_fields(scheme), scheme.signature_field)
    meant = (_meant(field, reading, request_texts) for field, reading in zip(fields, readings, strict=True))
    for *texts, signed in product(*meant):
        named = {field.name: text for field, text in zip(fields, texts, strict=False) if text is not None}
        yield _Meaning(named, signed)


def _unswapped(
    scheme: Scheme, request: Request, keys: KnownKeys, meanings: list[_Meaning]
) -> tuple[str, list[_Meaning]]:
    """Return the id in whose place the right signature was sent, and that meaning. Return "" if there is none."""
    for ids, signature in meanings:
        for name, text in ids.items():
            if signature is None or len(text) > MAX_MESSAGE_LENGTH:
                continue
            exchanged = {**ids, name: signature}
            for key in keys.own:
                attempt = right_attempt(scheme, secret_of(key), _named(scheme, request, exchanged))
                if len(attempt.message()) <= MAX_MESSAGE_LENGTH and attempt.write(attempt.digest()) == text:
                    return name, [_Meaning(exchanged, text)]
    return "", meanings


def _hidden_if_key(scheme: Scheme, reading: Reading, keys: KnownKeys) -> Reading:
    """Return the reading, without its value if that is a key, because a report shows the ids and the tenant."""
    is_shown = reading.value is None or not is_key(reading.value, scheme.prefix, keys)
    return reading if is_shown else reading.without_key()


def _without_keys(scheme: Scheme, meaning: _Meaning, keys: KnownKeys) -> _Meaning:
    """Return the meaning without ids that are keys, because a report shows the ids."""
    ids = {name: text for name, text in meaning.ids.items() if not is_key(text, scheme.prefix, keys)}
    return meaning._replace(ids=ids)


def _meant(field: Field, reading: Reading, request_texts: Sequence[Leaf]) -> tuple[str | None, ...]:
    leaf = near(field, request_texts) if reading.problem and reading.value is None and not reading.guesses else None
    return reading._replace(guesses=(leaf.value,)).meanings() if leaf else reading.meanings()


def _searched(
    scheme: Scheme, request: Request, keys: KnownKeys, meanings: list[_Meaning], tenant: str | None, seconds: float
) -> tuple[_Meaning, Search | None]:
    """Search what explains the signature, with each meaning and each active key. They share the time.

    Return the meaning and the search that explain it, or else the first meaning and its search.
    """
    found: list[Search | None] = []
    count, deadline = len(meanings) * len(keys.active), monotonic() + seconds
    for meaning in meanings:
        if meaning.signature is not None and is_key(meaning.signature, scheme.prefix, keys):
            return meaning, Search(right=False, mistakes=(KEY_SENT,))
        for name, key in keys.active:
            limit = (deadline - monotonic()) / (count - len(found))
            result = _search(scheme, request, keys, key, meaning, tenant, limit)
            if result is not None and result.explains:
                return meaning, result._replace(key=name)
            found.append(result)
    is_complete = all(result is None or result.is_complete for result in found)
    return meanings[0], found[0]._replace(is_complete=is_complete) if found and found[0] else None


def _search(
    scheme: Scheme, request: Request, keys: KnownKeys, key: Key, meaning: _Meaning, tenant: str | None, seconds: float
) -> Search | None:
    """Search what explains the signature, made with `key`. Return None if there is no signature.

    For a message that is too long, only whether the signature is right.
    """
    ids, signature = meaning
    attempt = right_attempt(scheme, secret_of(key), _named(scheme, request, ids))
    if signature is None:
        return None
    if len(attempt.message()) > MAX_MESSAGE_LENGTH:
        is_right = attempt.write(attempt.digest()) == signature
        return Search(right=is_right, is_complete=is_right)
    mistakes = mistakes_for(scheme, request, keys, ids, tenant, signature)
    return search(attempt, signature, decode(signature, scheme).digest, mistakes, seconds)
