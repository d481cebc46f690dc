"""Schemes: what is signed and how, to make a signature and to check one.

The only comparison of signatures in the package is here (`Scheme.proven_by`).
"""

import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from hmac_guard.core.encodings import ENCODINGS
from hmac_guard.core.errors import ConfigError
from hmac_guard.core.frozen import Frozen
from hmac_guard.core.hidden import hide
from hmac_guard.core.key import ALGORITHMS, Key, as_key
from hmac_guard.core.message import Id, Part, check_optional, compile_message, compose
from hmac_guard.core.source import Field, Source, check_sources
from hmac_guard.core.sources import SOURCES
from hmac_guard.core.text import is_id

_PREFIX = re.compile(r"[!-~]{0,64}")


class Scheme(Frozen):
    """What is signed, how, and where it travels.

    `name`       what logs and verdicts call it
    `ids`        each id's name and its source
    `message`    a format string over exactly these ids, such as "{tenant_id}:{order_id}"
    `signature`  the source of the signature
    `encoding`   "hex" (lower case), "base64" (padded) or "base64url" (not padded)
    `algorithm`  "sha256", "sha384" or "sha512"; nothing in a request chooses it
    `prefix`     a fixed text before the digest, "sha256=" say
    `tenant`     the source of the name of whose keys to use; optional
    `optional`   the last id, where it may be absent; it then drops out of the message with the separator before it

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
    parts: tuple[Part, ...]
    id_fields: tuple[Field, ...]
    signature_field: Field
    tenant_field: Field | None
    _spell: Callable[[bytes], bytes]

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
    ) -> None:
        _check_name(name)
        _check_choice("encoding", encoding, tuple(ENCODINGS))
        _check_choice("algorithm", algorithm, ALGORITHMS)
        if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
            raise ConfigError("Scheme: prefix must be at most 64 characters of visible ASCII, such as 'sha256='")
        check_sources(ids, signature, tenant)
        parts = compile_message(message, ids)
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
            parts=parts,
            id_fields=tuple(
                Field(part.name, f"the id {part.name!r}", ids[part.name]) for part in parts if isinstance(part, Id)
            ),
            signature_field=Field("signature", "the signature", signature),
            tenant_field=Field("tenant", "the tenant", tenant) if tenant else None,
            _spell=_spelling(encoding, prefix.encode()),
        )
        fields = [*self.id_fields, self.signature_field, *([self.tenant_field] if self.tenant_field else [])]
        for field in fields:
            field.source.check(field.name)
            for place in field.source.places():
                if type(place) not in SOURCES:
                    raise ConfigError(
                        f"Scheme: {type(place).__name__} is not a source that the guard can read; give Query, Header, "
                        "Cookie, Path, Json or Form"
                    )
        needed = [field.kinds for field in fields if field.needs_body and field.name not in self.optional]
        if needed and not frozenset.intersection(*needed):
            raise ConfigError("Scheme: one body cannot be JSON and a form; give all ids sources of one kind")

    def places(self) -> list[Source]:
        """Every single place in which something is looked for."""
        sources = [*self.ids.values(), self.signature, *([self.tenant] if self.tenant else [])]
        return [place for source in sources for place in source.places()]

    def replace(self, **changes: Any) -> "Scheme":
        """A copy with some arguments changed: `NANGO.replace(signature=Header("X-Signature"))`."""
        return Scheme(
            **{argument: changes.pop(argument, getattr(self, argument)) for argument in _ARGUMENTS}, **changes
        )

    def sign(self, key: Key | str | bytes, /, **ids: str) -> str:
        """The signature for these ids, as it travels.

        `key` is a `Key`, text (as UTF-8) or bytes; each id is text. Raises `ValueError` for ids that no request could
        get verified: one missing or too many, not an id at all, one that its source cannot carry, or one that holds
        the separator after it.
        """
        hidden = hide(key)
        del key
        for name in self.ids:
            if name not in ids and name not in self.optional:
                raise ConfigError(f"sign: the id {name!r} is missing")
        for name, text in ids.items():
            if name not in self.ids:
                raise ConfigError(f"sign: the scheme {self.name!r} has no id {name!r}; it has {', '.join(self.ids)}")
            if not isinstance(text, str) or not is_id(text):
                raise ConfigError(
                    f"sign: the id {name!r} must be text of 1 to 1,024 bytes without control characters and without "
                    "white space at either end"
                )
            if not self.ids[name].carries(text):
                raise ConfigError(f"sign: the id {name!r} cannot travel in {self.ids[name]!r}")
        message = compose(self.parts, ids)
        if message is None:
            raise ConfigError(
                "sign: an id holds the text that separates it from the next id, so two pairs would be one"
            )
        return self.signature_of(as_key(hidden), message).decode()

    def signature_of(self, key: Key, message: bytes) -> bytes:
        return self._spell(key.digest(self.algorithm, message))

    def proven_by(self, keys: Iterable[Key], message: bytes, signature: bytes) -> Key | None:
        """The first of the keys whose signature is spelled as `signature`, in constant time.

        Every key is tried, so that the time does not tell which one matched.
        """
        spell, algorithm, found = self._spell, self.algorithm, None
        for key in keys:
            if hmac.compare_digest(spell(key.digest(algorithm, message)), signature) and found is None:
                found = key
        return found

    def __repr__(self) -> str:
        return f"<Scheme {self.name}: {self.message!r}, {self.algorithm}, {self.encoding}>"


_ARGUMENTS = ("name", "ids", "message", "signature", "encoding", "algorithm", "prefix", "tenant", "optional")


def _spelling(encoding: str, prefix: bytes) -> Callable[[bytes], bytes]:
    """How a digest is spelled as a signature."""
    encode = ENCODINGS[encoding]
    return (lambda digest: prefix + encode(digest)) if prefix else encode


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name.isprintable() or not name.strip():
        raise ConfigError("Scheme: name must be printable text; logs and verdicts show it")


def _check_choice(argument: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"Scheme: {argument} {value!r} is unknown; take one of {', '.join(choices)}")
