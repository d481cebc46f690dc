"""Schemes: what is signed and how, to make a signature and to check one.

The only comparison of signatures in the package is here (`Scheme.verifying_key`).
"""

import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from hmac_guard.core.encodings import ENCODINGS
from hmac_guard.core.errors import ConfigError
from hmac_guard.core.fields import SignedFields
from hmac_guard.core.frozen import Frozen
from hmac_guard.core.hidden import hide
from hmac_guard.core.key import ALGORITHMS, Key
from hmac_guard.core.message import Body, Id, Literal, Method, Part, check_optional, compile_message
from hmac_guard.core.signing import sign, sign_fields
from hmac_guard.core.source import Field, Source, check_sources
from hmac_guard.core.sources import HeaderItem, check_fields
from hmac_guard.core.times import Expires, Timestamp, check_signed, times_of

_PREFIX = re.compile(r"[!-~]{0,64}")


class Scheme(Frozen):
    """What is signed, how, and where it travels.

    `name`       what logs and verdicts call it
    `ids`        each id's name and its source
    `message`    a format string over exactly these ids, such as "{tenant_id}:{order_id}", and over parts of the
                 request: {timestamp} and {expires}, where the scheme has such times, {@method}, and, at its end,
                 {@body}, the raw body as it was sent
    `signature`  the source of the signature
    `encoding`   "hex" (lower case), "base64" (padded) or "base64url" (not padded)
    `algorithm`  "sha256", "sha384" or "sha512"; nothing in a request chooses it
    `prefix`     a fixed text before the digest, "sha256=" say
    `tenant`     the source of the name of whose keys to use; optional
    `optional`   the last id, where it may be absent; it then drops out of the message with the separator before it
    `timestamp`  a `Timestamp`: when the request was signed, and for how long that is accepted
    `expires`    an `Expires`: when the signature ends

    `ids` may be empty where the message has {@body}: the verdict then says that the body was signed, and no more. A
    time has to be signed: it stands in the message, or in a body that does.

    Different ids never make the same message: an id is refused, when verifying and when signing, if it holds the text
    that separates it from the next one. Raises `ConfigError`.
    """

    name: str
    ids: Mapping[str, Source]
    message: str
    signature: Source
    encoding: str
    algorithm: str
    prefix: str
    tenant: Source | None
    optional: frozenset[str]
    timestamp: Timestamp | None
    expires: Expires | None
    parts: tuple[Part, ...]
    id_fields: tuple[Field, ...]
    times: tuple[Timestamp | Expires, ...]
    signs_body: bool
    signs_body_alone: bool
    signs_method: bool
    signature_field: Field
    tenant_field: Field | None
    _encode: Callable[[bytes], bytes]
    _matches: Callable[[bytes, Any], bool]

    def __init__(
        self,
        *,
        name: str,
        ids: Mapping[str, Source],
        message: str,
        signature: Source,
        encoding: str = "hex",
        algorithm: str = "sha256",
        prefix: str = "",
        tenant: Source | None = None,
        optional: Iterable[str] = (),
        timestamp: Timestamp | None = None,
        expires: Expires | None = None,
    ) -> None:
        _check_name(name)
        _check_choice("encoding", encoding, tuple(ENCODINGS))
        _check_choice("algorithm", algorithm, ALGORITHMS)
        if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
            raise ConfigError("Scheme: prefix must be at most 64 characters of visible ASCII, such as 'sha256='")
        times = times_of(timestamp, expires)
        check_sources(ids, signature, tenant, {time.label.removeprefix("the "): time.source for time in times})
        if not ids and "{@body}" not in str(message):
            raise ConfigError(
                'Scheme: ids must map each id\'s name to its source: ids={"distinct_id": Query("distinct_id")}; '
                "without ids, message needs {@body}"
            )
        parts = compile_message(message, ids, [time.name for time in times])
        kinds = [type(part) for part in parts]
        if isinstance(optional, str) or not isinstance(optional, Iterable):
            raise ConfigError('Scheme: give optional as a set: optional={"connection_id"}')
        self._set(
            name=name,
            ids=MappingProxyType(dict(ids)),
            message=message,
            signature=signature,
            encoding=encoding,
            algorithm=algorithm,
            prefix=prefix,
            tenant=tenant,
            optional=check_optional(frozenset(optional), parts),
            timestamp=timestamp,
            expires=expires,
            parts=parts,
            times=times,
            signs_body=Body in kinds,
            signs_body_alone=not {*kinds} - {Body, Literal, Method},
            signs_method=Method in kinds,
            id_fields=tuple(
                Field(part.name, f"the id {part.name!r}", ids[part.name]) for part in parts if isinstance(part, Id)
            ),
            signature_field=Field("signature", "the signature", signature),
            tenant_field=Field("tenant", "the tenant", tenant) if tenant else None,
            _encode=_encoder(encoding, prefix.encode()),
            _matches=_is_one_of
            if any(isinstance(place, HeaderItem) for place in signature.places())
            else hmac.compare_digest,
        )
        check_signed(times, parts)
        if self.signs_body and any(place.kinds for place in signature.places()):
            raise ConfigError("Scheme: the signature of a body cannot be in the body; give it a header, say")
        fields = [*self.id_fields, *(time.field for time in times), self.signature_field]
        fields += [self.tenant_field] if self.tenant_field else []
        check_fields(fields, self.optional)

    def places(self) -> list[Source]:
        """Every single place in which something is looked for."""
        sources = [*self.ids.values(), *(time.source for time in self.times), self.signature]
        return [place for source in (*sources, *filter(None, [self.tenant])) for place in source.places()]

    def fault_of_key(self, key: Key) -> str | None:
        """Why a key cannot be meant for this scheme; None where it may be."""
        return None

    def replace(self, **changes: Any) -> "Scheme":
        """A copy with some arguments changed: `NANGO.replace(signature=Header("X-Signature"))`."""
        return type(self)(
            **{argument: changes.pop(argument, getattr(self, argument)) for argument in _ARGUMENTS}, **changes
        )

    def sign(self, key: Key | str | bytes, ids: Mapping[str, str] | None = None, /, **named: Any) -> str:
        """The signature for these ids, as it travels.

        `key` is a `Key`, text (as UTF-8) or bytes; each id is text. Where the message names them, `timestamp` and
        `expires` are the times as they travel (an int or text, in the time's unit), `body` the raw body (bytes) and
        `method` the method; an id of such a name is given in the mapping `ids`. Raises `ValueError` for what no request
        could get verified: an id that is missing or too many, not an id at all, that its source cannot carry, or that
        holds the separator after it; and a time that is none.
        """
        hidden = hide(key)
        del key
        return sign(self, hidden, ids or {}, named)

    def sign_fields(
        self,
        key: Key | str | bytes,
        ids: Mapping[str, str] | None = None,
        /,
        *,
        now: float | None = None,
        body: bytes = b"",
        method: str = "POST",
        tenant: str | None = None,
        **named: Any,
    ) -> SignedFields:
        """Everything that a signed request carries, each string in its place.

        `now`     the Unix time of signing, which becomes the timestamp; None is the clock's
        `body`    the raw body. Where the message has {@body}, nothing is placed in it: ids and times that travel
                  there are read out of it
        `method`  the request's method
        `tenant`  the tenant's name, for a scheme that has one
        `named`   the ids, and `expires`, which is otherwise half of `max_lifetime` from now; an id that is called as
                  one of the options is given in the mapping `ids`

        A string goes into the first of its places that can carry it; what travels in a path is left to the caller's
        URL.
        Raises `ValueError` as `sign` does, and for what cannot be placed in one request.
        """
        hidden = hide(key)
        del key
        return sign_fields(self, hidden, {**(ids or {}), **named}, now=now, body=body, method=method, tenant=tenant)

    def signature_of(self, key: Key, message: bytes) -> bytes:
        return self._encode(key.digest(self.algorithm, message))

    def verifying_key(self, keys: Iterable[Key], message: bytes, signature: bytes | tuple[bytes, ...]) -> Key | None:
        """The first of the keys whose signature equals `signature`, or as one of several, in constant time.

        Every key is tried, so that the time does not tell which one matched.
        """
        encode, matches, algorithm = self._encode, self._matches, self.algorithm
        found = None
        for key in keys:
            if matches(encode(key.digest(algorithm, message)), signature) and found is None:
                found = key
        return found

    def __repr__(self) -> str:
        return f"<Scheme {self.name}: {self.message!r}, {self.algorithm}, {self.encoding}>"


_ARGUMENTS = (
    *("name", "ids", "message", "signature", "encoding", "algorithm", "prefix", "tenant", "optional"),
    *("timestamp", "expires"),
)


def _encoder(encoding: str, prefix: bytes) -> Callable[[bytes], bytes]:
    """Return the function that encodes a digest as a signature."""
    encode = ENCODINGS[encoding]
    return (lambda digest: prefix + encode(digest)) if prefix else encode


def _is_one_of(made: bytes, signature: bytes | tuple[bytes, ...]) -> bool:
    """Whether a signature is one of several. Each is compared, in constant time."""
    if isinstance(signature, bytes):
        return hmac.compare_digest(made, signature)
    return sum([hmac.compare_digest(made, each) for each in signature]) > 0


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name.isprintable() or not name.strip():
        raise ConfigError("Scheme: name must be printable text; logs and verdicts show it")


def _check_choice(argument: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"Scheme: {argument} {value!r} is unknown; take one of {', '.join(choices)}")
