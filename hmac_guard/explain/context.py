"""The known keys, and the mistakes to try for one request: other keys, other texts and ids that were cut off."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import NamedTuple
from urllib.parse import unquote_plus

from hmac_guard.core.key import Key
from hmac_guard.core.message import Id, Literal
from hmac_guard.core.request import Request
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.sources import Query
from hmac_guard.core.text import MAX_ID_BYTES
from hmac_guard.explain.mistakes import MISTAKES
from hmac_guard.explain.mistakes.arrangements import of_absent_id, of_further_ids, of_longer_ids, of_other_texts
from hmac_guard.explain.mistakes.keys import of_known_texts, of_other_keys
from hmac_guard.explain.mistakes.requests import REQUEST_MISTAKES
from hmac_guard.explain.mistakes.shape import Mistake
from hmac_guard.explain.mistakes.signatures import of_cut_signature

_SHORTEST_CUT = 16
_LONGEST_TEXT = 16_384
# A percent-encoded byte takes three characters.
_LONGEST_SENT = 3 * MAX_ID_BYTES


class KnownKeys(NamedTuple):
    """The keys that an explanation may try.

    Attributes:
        current: The key that the guard uses.
        previous: Previous keys of the same tenant, each with a name for the report.
        others: Keys of other tenants, each with a name for the report.
        variables: Names of settings that contain keys. A signer may have used the name instead of the value.
    """

    current: Key
    previous: tuple[tuple[str, Key], ...] = ()
    others: tuple[tuple[str, Key], ...] = ()
    variables: tuple[str, ...] = ()


def secret_of(key: Key) -> bytes:
    """Return the bytes of a key. They are used in attempts only, and attempts are not kept."""
    return key._secret.get()


def mistakes_for(
    scheme: Scheme, request: Request, keys: KnownKeys, ids: Mapping[str, str], tenant: str | None, signature: str
) -> list[Mistake]:
    """Return all mistakes to try for a request, the most likely ones first."""
    tenants = [_with_utf8(tenant)] if tenant and len(tenant) <= MAX_ID_BYTES else []
    known = [
        *(REQUEST_MISTAKES if scheme.times or scheme.signs_body or scheme.signs_method else ()),
        *of_other_keys(_secrets(keys.previous), _secrets(keys.others)),
        *of_known_texts([*tenants, *ids.values()], map(_with_utf8, keys.variables)),
        of_further_ids([("the tenant", tenant) for tenant in tenants], _separator(scheme)),
        of_other_texts((what, _with_utf8(text)) for what, text in _other_texts(scheme, request)),
        of_longer_ids(dict(_longer(scheme, request, ids))),
    ]
    if scheme.id_fields and scheme.id_fields[-1].name not in ids:
        known.append(of_absent_id(_separator(scheme)))
    cut = [of_cut_signature(len(signature))] if len(signature) - len(scheme.prefix) >= _SHORTEST_CUT else []
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
    if len(request.path) + len(request.query) <= _LONGEST_TEXT:
        yield "the path", request.path
        if request.query:
            yield "the query", request.query
            yield "path and query", f"{request.path}?{request.query}"
    if request.body and not scheme.signs_body and len(request.body) <= _LONGEST_TEXT:
        yield "the body", request.body.decode("utf-8", "replace")
    for braces in ("{{{}}}", "${{{}}}", "{{{{{}}}}}", "%{{{}}}", "#{{{}}}", ":{}", "{}", "${}"):
        texts = (part.text if isinstance(part, Literal) else braces.format(part.name) for part in scheme.parts)
        yield "a template without its values", "".join(texts)


def _longer(scheme: Scheme, request: Request, ids: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield ids of the query, joined with the unnamed fields after them: an unencoded '&' may have cut the id."""
    places = [
        (name, place)
        for name in ids
        if name in scheme.ids
        for place in scheme.ids[name].places()
        if isinstance(place, Query)
    ]
    for name, place in places:
        _, found, behind = f"&{request.query}".partition(f"&{place.name}=")
        # No id is longer than this, so the rest of the query does not matter.
        rest = list(takewhile(lambda field: "=" not in field, behind[:_LONGEST_SENT].split("&")[1:]))
        longer = "&".join([ids[name], *map(unquote_plus, rest)])
        if found and rest and len(longer) <= MAX_ID_BYTES:
            yield name, longer
