"""The values in a whole header that is given as the signature, such as `t=1700000000,v1=…`."""

from hmac_guard.core.fields import fields_of
from hmac_guard.core.items import item_values
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.sources import HeaderItem
from hmac_guard.core.verdict import Refused


def items_in(scheme: Scheme, text: str) -> dict[str, str]:
    """Return the values in a whole header with the signature, by the labels of the fields; {} for a signature alone."""
    every = [(field, place) for field in fields_of(scheme) for place in field.source.places()]
    places = [(field, place) for field, place in every if isinstance(place, HeaderItem)]
    header = next((place for field, place in places if field is scheme.signature_field), None)
    if header is None:
        return {}
    labels = {place.key: field.label for field, place in places if place.name.lower() == header.name.lower()}
    found = item_values(text, header.between, header.inner, labels)
    if isinstance(found, Refused) or header.key not in found:
        return {}
    return {
        # Several signatures stay several items.
        labels[key]: value if isinstance(value, str) else f"{header.between}{key}{header.inner}".join(value)
        for key, value in found.items()
    }
