"""What a place of a request is called in a sentence. What a request may have invented stands in quotes."""

from hmac_guard.core.field import Source
from hmac_guard.core.sources import Cookie, Form, Header, Json, Path, Query


def words_for(place: Source) -> str:
    """A single place: "the query parameter 'hmac'", "the header 'X-Signature' before ':'"."""
    if isinstance(place, Path):
        return "the path " + " or ".join(place.templates)
    if isinstance(place, Json):
        return f"the JSON body at {place.pointer!a}"
    if isinstance(place, Header) and place.before:
        return f"the header {place.name!a} before {place.before!a}"
    return f"the {_KINDS.get(type(place), 'place')} {getattr(place, 'name', str(place))!a}"


_KINDS: dict[type[Source], str] = {
    Query: "query parameter",
    Form: "form field",
    Header: "header",
    Cookie: "cookie",
}
