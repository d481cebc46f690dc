"""Generates a page for customers: what to sign, the code, an example to check it, and the request."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

from hmac_guard.core.encodings import ENCODING_NAMES
from hmac_guard.core.errors import ConfigError
from hmac_guard.core.message import BODY, METHOD, Id, Literal
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.signing import names_of_parts
from hmac_guard.core.times import UNIT_NAMES
from hmac_guard.core.ways import is_tenant
from hmac_guard.markdown import code
from hmac_guard.schemes import NANGO, SUPRSEND
from hmac_guard.snippets.frontend import FORM_TYPE, curl_command, fetch_code, make_call, values_of
from hmac_guard.snippets.languages import LANGUAGES, check_keys_are_text, snippet, templates

EXAMPLE_KEY = "this-key-is-printed-in-the-documentation"
_EXAMPLE_IDS = ("{stem}-42", "{number}42", "id{number}", "x{number}", "{number}")
# How to send the request with the package of the vendor.
_VENDORS = {NANGO: "vendors/nango.j2", SUPRSEND: "vendors/suprsend.j2"}


# The time of every example: 15 January 2027, 08:00 UTC.
EXAMPLE_TIME = 1_800_000_000


class Example(NamedTuple):
    """An example with its signature.

    Attributes:
        key: The key of the documentation.
        texts: The signed values by the name of their part: ids, times, "@method" and "@body".
        message: The signed text.
        signature: The signature.
    """

    key: str
    texts: dict[str, str]
    message: str
    signature: str

    @property
    def shown(self) -> list[tuple[str, str]]:
        """The signed values by their names on a page."""
        return [(name if name[1:] in self.texts else name.removeprefix("@"), text) for name, text in self.texts.items()]


def page(scheme: Scheme, languages: Sequence[str] = tuple(LANGUAGES), tenant: str = "acme") -> str:
    """Return the page in Markdown.

    Args:
        scheme: The scheme.
        languages: Keys of `LANGUAGES`. docsify shows the headings of the languages as tabs.
        tenant: The tenant that the example names.

    Raises:
        ConfigError: No example can be made, because no simple id fits the scheme; or its secrets are used decoded.
    """
    check_keys_are_text(scheme)
    example = worked_example(scheme, tenant)
    parts = [part for part in scheme.parts if isinstance(part, Id)]
    return templates.get_template("page.j2").render(
        scheme=scheme,
        message=scheme.message,
        optional=next(iter(scheme.optional), ""),
        shorter=_shorter(scheme),
        encoding_name=ENCODING_NAMES[scheme.encoding],
        separated=[(part.name, part.separator) for part in parts if part.separator],
        times=[(time, UNIT_NAMES[time.unit]) for time in scheme.times],
        snippets=[(LANGUAGES[one].title, LANGUAGES[one].fence, snippet(scheme, one)) for one in languages],
        example=example,
        vendor=templates.get_template(_VENDORS[scheme]).render().rstrip() if scheme in _VENDORS else "",
        fetch=fetch_code(scheme, tenant),
        curl=curl_of_example(scheme, example, tenant),
    )


def _shorter(scheme: Scheme) -> str:
    """Return the message without the optional id."""
    texts: list[str] = []
    for part in scheme.parts:
        if isinstance(part, Literal):
            texts.append(part.text)
        elif part.name in scheme.optional:
            texts.pop()
        else:
            texts.append(f"{{{part.name}}}")
    return "".join(texts)


def curl_of_example(scheme: Scheme, example: Example, tenant: str) -> str:
    """Return a curl command that sends an example of a tenant."""
    values = values_of(scheme, example.texts, tenant, example.signature)
    return curl_command(scheme, values, example.texts.get(BODY, ""))


def worked_example(scheme: Scheme, tenant: str) -> Example:
    """Return ids, and their message and signature with the key of the documentation.

    Args:
        scheme: The scheme.
        tenant: The tenant. An id that is in the place of the tenant has its text.

    Raises:
        ConfigError: No simple id fits the scheme.
    """
    for form in _EXAMPLE_IDS:
        ids = {
            field.name: tenant
            if is_tenant(field, scheme.tenant_field)
            else form.format(stem=_stem(field.name), number=number)
            for number, field in enumerate(scheme.id_fields, 1)
        }
        texts = {**ids, **{time.name: str(time.ticks(EXAMPLE_TIME)) for time in scheme.times}, METHOD: "POST"}
        texts[BODY] = _body(scheme, texts, tenant)
        # An id may be called "method" or "body".
        given: dict[str, Any] = {
            name: texts[f"@{name}" if f"@{name}" in texts else name] for name in names_of_parts(scheme)
        }
        if scheme.signs_body:
            given["body"] = texts[BODY].encode()
        try:
            signature = scheme.sign(EXAMPLE_KEY, ids, **given)
        except ConfigError:
            continue
        signed = [part.text if isinstance(part, Literal) else texts[part.name] for part in scheme.parts]
        shown = {part.name: texts[part.name] for part in scheme.parts if not isinstance(part, Literal)}
        return Example(EXAMPLE_KEY, shown, "".join(signed), signature)
    raise ConfigError(f"snippet: no example can be made for the scheme {scheme.name!r}; no simple id fits it")


def _body(scheme: Scheme, texts: Mapping[str, str], tenant: str) -> str:
    """Return a raw body with the strings that are sent in it, or "" if the scheme does not sign the body."""
    if not scheme.signs_body:
        return ""
    call = make_call(scheme, values_of(scheme, texts, tenant))
    other = {"event": "order.paid"}
    return urlencode(call.form or other) if call.media_type == FORM_TYPE else json.dumps(call.document or other)


def _stem(name: str) -> str:
    return name.removesuffix("_id")


templates.filters["code"] = code
