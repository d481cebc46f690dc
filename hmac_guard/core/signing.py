"""Signing: the message over ids, times, method and body, and everything that a signed request contains."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.fields import Placing, SignedFields, why_not_sent
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.key import as_key
from hmac_guard.core.message import Body, Method, Time, compose, why_ambiguous
from hmac_guard.core.numbers import check_moment
from hmac_guard.core.signed_body import found_in, read_body
from hmac_guard.core.source import Field
from hmac_guard.core.sources import METHOD_NAME
from hmac_guard.core.text import is_id
from hmac_guard.core.times import is_time
from hmac_guard.core.verdict import Refused

if TYPE_CHECKING:
    from hmac_guard.core.scheme import Scheme

_ID = "text of 1 to 1,024 bytes without control characters and without white space at either end"


def names_of_parts(scheme: "Scheme") -> list[str]:
    """Return the names of the parts that are not ids: "timestamp", "expires", "body", "method"."""
    return [part.name.removeprefix("@") for part in scheme.parts if isinstance(part, (Time, Method, Body))]


def given_ids(owner: str, ids: Hidden[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ids that a user gives as a mapping, None for none, and those that a user gives by name.

    Raises:
        ConfigError: An id is given in both, or `ids` is not a mapping. Then it may be a key, which must not be in a
            variable of an error.
    """
    if ids.get() is not None and not isinstance(ids.get(), Mapping):
        raise ConfigError(f"{owner}: ids must be a mapping of names to texts, not {type(ids.get()).__name__}")
    mapping: Mapping[str, Any] = ids.get() or {}
    twice = next((name for name in named if name in mapping), None)
    if twice is not None:
        raise ConfigError(f"{owner}: {twice!r} is given twice, in the mapping of ids and as {twice}=; give it once")
    return {**mapping, **named}


def sign(scheme: "Scheme", key: Hidden[Any], ids: Hidden[Any], named: Mapping[str, Any]) -> str:
    """Return the signature over `ids` and what else is named. Raise `ConfigError`."""
    others = dict(named)
    parts = {name: others.pop(name, None) for name in names_of_parts(scheme)}
    given = given_ids("sign", ids, others)
    for name, value in parts.items():
        if value is None:
            raise ConfigError(f"sign: the message names {name!r}; give {name}=")
    times = {each.name: _time_text(each.name, parts[each.name]) for each in scheme.times if each.name in parts}
    message = _message(scheme, given, times, parts.get("method"), parts.get("body"))
    read = read_body(scheme, {**given, **times}, _body_of(parts.get("body", b"")))
    if isinstance(read, Refused):
        raise ConfigError(f"sign: {read.detail}")
    return _signature(scheme, key, message)


def sign_fields(
    scheme: "Scheme",
    key: Hidden[Any],
    ids: Hidden[Any],
    named: Mapping[str, Any],
    *,
    now: float | None,
    body: Any,
    method: str,
    tenant: str | None,
    placing: Placing | None = None,
) -> SignedFields:
    """Return everything that a signed request contains, each string in its place. Raise `ConfigError`."""
    placing = placing or Placing(scheme)
    given = given_ids("sign_fields", ids, named)
    now = time.time() if now is None else now
    check_moment("sign_fields: now", now)
    body = _body_of(body)
    if scheme.timestamp is not None and "timestamp" in given:
        raise ConfigError("sign_fields: the timestamp is the time of signing; give now= to choose it")
    if scheme.expires is not None and "expires" in given:
        given["expires"] = _time_text("expires", given["expires"])
    fields = (*(each.field for each in scheme.times), *scheme.id_fields)

    def read_out(field: Field, texts: dict[str, Any]) -> bool:
        return not placing.keeps(field) and _read_out(scheme, field, body, texts)

    in_body = {field.name for field in fields if read_out(field, given)}
    times = _times_at(scheme, now, given)
    message = _message(scheme, given, times, method, body)
    check_tenant("sign_fields", scheme, tenant)
    sent = {**given, **times}
    texts = [(field, sent[field.name]) for field in fields if field.name in sent and field.name not in in_body]
    where = scheme.tenant_field
    if where is not None and tenant is not None and not read_out(where, {where.name: tenant}):
        texts.append((where, tenant))
    placing.choose([*texts, (scheme.signature_field, None)])
    for field, text in texts:
        # A text may be of a class `(str, Enum)`, which `str` and `format` write as its name.
        placing.place(field, hide(str.__str__(text)))
    placing.place(scheme.signature_field, hide(_signature(scheme, key, message)))
    return placing.placed()


def check_tenant(owner: str, scheme: "Scheme", tenant: object) -> None:
    """Raise `ConfigError` for a tenant that no request can name. None is no tenant."""
    if tenant is None:
        return
    if scheme.tenant_field is None:
        raise ConfigError(f"{owner}: tenant is only for a scheme that has a tenant, and {scheme.name!r} has none")
    if not isinstance(tenant, str) or not is_id(tenant):
        raise ConfigError(f"{owner}: tenant is {_ID}, such as str(tenant.id)")


def _signature(scheme: "Scheme", key: Hidden[Any], message: bytes) -> str:
    made = as_key(key)
    fault = scheme.fault_of_key(made)
    if fault is not None:
        raise ConfigError(f"sign: {fault}")
    return scheme.signature_of(made, message).decode()


def _message(scheme: "Scheme", ids: Mapping[str, str], times: Mapping[str, str], method: Any, body: Any) -> bytes:
    _check_ids(scheme, ids)
    named = {**times, "@method": _method_of(method)} if scheme.signs_method else times
    signed = _body_of(body) if scheme.signs_body else b""
    if scheme.signs_body_alone and not signed:
        raise ConfigError("sign: the body is empty, and nothing else is signed; no guard accepts that")
    composed = compose(scheme.parts, {**ids, **named})
    if composed is None:
        raise ConfigError(f"sign: {why_ambiguous(scheme.parts, {**ids, **named})}")
    return composed + signed


def _check_ids(scheme: "Scheme", ids: Mapping[str, str]) -> None:
    unknown = next((name for name in ids if name not in scheme.ids), None)
    if unknown is not None:
        known = ", ".join((*scheme.ids, *names_of_parts(scheme)))
        raise ConfigError(f"sign: the scheme {scheme.name!r} has no id {unknown!r}; it has {known}")
    for name in scheme.ids:
        if name not in ids and name not in scheme.optional:
            raise ConfigError(f"sign: the id {name!r} is missing")
    for name, text in ids.items():
        if not isinstance(text, str) or not is_id(text):
            raise ConfigError(f"sign: the id {name!r} must be {_ID}")
        source = scheme.ids[name]
        if not source.can_carry(text):
            raise ConfigError(f"sign: the id {name!r} {why_not_sent(source, text)}")


def _time_text(name: str, value: object) -> str:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not is_time(text):
        raise ConfigError(
            f"sign: {name} must be a Unix time as it is sent, a whole number above 0 of at most 16 digits"
        )
    return text


def _method_of(value: object) -> str:
    if not isinstance(value, str) or not METHOD_NAME.fullmatch(value):
        raise ConfigError("sign: method must be the name of an HTTP method, such as 'POST'")
    return value


def _body_of(value: object) -> bytes:
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise ConfigError(f"sign: body must be bytes, exactly those that are sent, not {type(value).__name__}")
    return bytes(value)


def _read_out(scheme: "Scheme", field: Field, body: bytes, given: dict[str, Any]) -> bool:
    """Take a field from a signed body that has it. Return whether it has: guards refuse a field in two places.

    Raises:
        ConfigError: A guard refuses the body, or the body has another value than the one that is given.
    """
    found = found_in(scheme, field, body, given.get(field.name))
    if isinstance(found, Refused):
        raise ConfigError(f"sign_fields: {field.label} {found.detail}")
    if found is not None:
        given.setdefault(field.name, found)
    return found is not None


def _times_at(scheme: "Scheme", now: float, given: dict[str, Any]) -> dict[str, str]:
    """Return the times of a request that is signed at `now`. Given times are taken out of `given`."""
    times = {}
    if scheme.timestamp is not None:
        times["timestamp"] = _time_text("timestamp", given.pop("timestamp", scheme.timestamp.ticks(now)))
    if scheme.expires is not None:
        end = scheme.expires.ticks(now + scheme.expires.max_lifetime / 2)
        times["expires"] = _time_text("expires", given.pop("expires", end))
    return times
