"""Schemes: what is signed and how, to make a signature and to check one.

The only comparison of signatures in the package is here (`Scheme.verifying_key`).
"""

import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, get_args

from hmac_guard.core.definition import check_definition
from hmac_guard.core.encodings import Encoding, encoder
from hmac_guard.core.errors import ConfigError
from hmac_guard.core.fields import SignedFields
from hmac_guard.core.frozen import Frozen
from hmac_guard.core.hidden import hide
from hmac_guard.core.key import ALGORITHMS, Algorithm, Key
from hmac_guard.core.message import Body, Id, Literal, Method, Part, check_optional, compile_message
from hmac_guard.core.signing import sign, sign_fields
from hmac_guard.core.source import Field, Source, check_sources
from hmac_guard.core.sources import HeaderItem
from hmac_guard.core.times import Expires, Timestamp, check_signed, times_of

_PREFIX = re.compile(r"[!-~]{0,64}")


class Scheme(Frozen):
    """What is signed, how, and where it is sent.

    `ids` may be empty if the message has {@body}: the verdict then says only that the body was signed. A time must be
    signed: it is in the message, or in a body that is signed. Different ids never have the same message: an id that
    contains the text between it and the next one is refused, when verifying and when signing.

    Args:
        name: The name, for logs and verdicts.
        ids: The source of each id by its name.
        message: A format string over exactly these ids, such as "{tenant_id}:{order_id}", and over parts of the
            request: {timestamp} and {expires}, if the scheme has them, {@method}, and at its end {@body}, the raw body
            as sent.
        signature: The source of the signature.
        encoding: "hex" (lower case), "base64" (padded) or "base64url" (not padded).
        algorithm: "sha256", "sha384" or "sha512". Nothing in a request chooses it.
        prefix: A fixed text before the digest, such as "sha256=".
        tenant: The source of the tenant's name, which chooses the keys; optional.
        optional: The last id, if it may be absent. Then it is not in the message, nor the separator before it.
        timestamp: A `Timestamp`: when the request was signed, and for how long that is accepted.
        expires: An `Expires`: when the signature ends.

    Raises:
        ConfigError: An argument is not valid, or a request with these could not always be sent and verified.
    """

    name: str
    ids: Mapping[str, Source]
    message: str
    signature: Source
    encoding: Encoding
    algorithm: Algorithm
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
    chooses_together: bool
    _encode: Callable[[bytes], bytes]
    _matches: Callable[[bytes, Any], bool]

    def __init__(
        self,
        *,
        name: str,
        ids: Mapping[str, Source],
        message: str,
        signature: Source,
        encoding: Encoding = "hex",
        algorithm: Algorithm = "sha256",
        prefix: str = "",
        tenant: Source | None = None,
        optional: Iterable[str] = (),
        timestamp: Timestamp | None = None,
        expires: Expires | None = None,
    ) -> None:
        _check_name(name)
        _check_choice("encoding", encoding, get_args(Encoding))
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
            optional=check_optional(optional, parts),
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
            _encode=encoder(encoding, prefix.encode()),
            _matches=_is_one_of
            if any(isinstance(place, HeaderItem) for place in signature.places())
            else hmac.compare_digest,
        )
        check_signed(times, parts)
        if self.signs_body and any(place.kinds for place in signature.places()):
            raise ConfigError("Scheme: the signature of a body cannot be in the body; give it a header, say")
        self._set(chooses_together=check_definition(self))

    def places(self) -> list[Source]:
        """Return every single place in which something is looked for."""
        sources = [*self.ids.values(), *(time.source for time in self.times), self.signature]
        return [place for source in (*sources, *filter(None, [self.tenant])) for place in source.places()]

    def fault_of_key(self, key: Key) -> str | None:
        """Return why a key cannot be meant for this scheme; None if it can."""
        return None

    def replace(self, **changes: Any) -> "Scheme":
        """Return a copy with some arguments changed: `NANGO.replace(signature=Header("X-Signature"))`.

        Args:
            changes: Arguments of `Scheme`.

        Raises:
            ConfigError: An argument is not valid.
        """
        return type(self)(**{**{name: getattr(self, name) for name in _ARGUMENTS}, **changes})

    def sign(self, key: Key | str | bytes, ids: Mapping[str, str] | None = None, /, **named: Any) -> str:
        """Return the signature for these ids, as it is sent.

        Args:
            key: A `Key`, text (as UTF-8) or bytes.
            ids: The ids, as text. An id may be in `named` instead, unless it has the name of another argument.
            named: If the message has them: `timestamp` and `expires` as they are sent (int or text, in the time's
                unit), `body` (bytes) and `method`, as it is sent: in capitals.

        Raises:
            ValueError: No request with these could be verified. An id is missing, unknown, given twice, not valid,
                cannot be sent in its source, or contains the separator after it; or a time is not valid.
        """
        hidden, given = hide(key), hide(ids)
        del key, ids
        return sign(self, hidden, given, named)

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
        """Return everything that a signed request contains, each string in its place.

        A string is put into the first of its places that can carry it. The caller puts ids into the path.

        Args:
            key: As of `sign`.
            ids: The ids. An id may be in `named` instead, unless it has the name of an option.
            now: The Unix time of signing in seconds, for the timestamp; None is the present time.
            body: The raw body. If it is signed, nothing is placed in it: ids and times that are sent in it are read
                from it.
            method: The request's method, as it is sent: clients send it in capitals.
            tenant: The tenant's name, for a scheme that has one.
            named: Ids, and `expires`, by default half of `max_lifetime` from now.

        Raises:
            ValueError: As of `sign`, or a string cannot be placed in one request.
        """
        hidden, given = hide(key), hide(ids)
        del key, ids
        return sign_fields(self, hidden, given, named, now=now, body=body, method=method, tenant=tenant)

    def signature_of(self, key: Key, message: bytes) -> bytes:
        """Return the signature of a message as it is sent, with the prefix."""
        return self._encode(key.digest(self.algorithm, message))

    def verifying_key(self, keys: Iterable[Key], message: bytes, signature: bytes | tuple[bytes, ...]) -> Key | None:
        """Return the first key whose signature is `signature`, or one of several, in constant time.

        Every key is tried, so that the time does not show which one matched.
        """
        encode, matches, algorithm = self._encode, self._matches, self.algorithm
        found = None
        for key in keys:
            if matches(encode(key.digest(algorithm, message)), signature) and found is None:
                found = key
        return found

    def _description(self) -> str:
        return f"<Scheme {self.name}: {self.message!r}, {self.algorithm}, {self.encoding}>"


_ARGUMENTS = (
    *("name", "ids", "message", "signature", "encoding", "algorithm", "prefix", "tenant", "optional"),
    *("timestamp", "expires"),
)


def _is_one_of(made: bytes, signature: bytes | tuple[bytes, ...]) -> bool:
    """Return whether a signature is one of several. Each is compared, in constant time."""
    if isinstance(signature, bytes):
        return hmac.compare_digest(made, signature)
    return sum([hmac.compare_digest(made, each) for each in signature]) > 0


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name.isprintable() or not name.strip():
        raise ConfigError("Scheme: name must be printable text; logs and verdicts show it")


def _check_choice(argument: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"Scheme: {argument} {value!r} is unknown; take one of {', '.join(choices)}")
