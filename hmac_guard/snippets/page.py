"""Generates a page for customers: what to sign, the code, an example to check it, and the request."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.message import Id, Literal
from hmac_guard.core.scheme import Scheme
from hmac_guard.explain.report import SPELLED
from hmac_guard.schemes import NANGO, SUPRSEND
from hmac_guard.snippets.frontend import curl_command, fetch_code
from hmac_guard.snippets.languages import LANGUAGES
from hmac_guard.snippets.render import snippet, templates

EXAMPLE_KEY = "this-key-is-printed-in-the-documentation"
_EXAMPLE_IDS = ("{stem}-42", "{number}42", "id{number}", "x{number}", "{number}")
# How to send the request with the package of the vendor.
_VENDORS = {NANGO: "vendors/nango.j2", SUPRSEND: "vendors/suprsend.j2"}


class _Example(NamedTuple):
    key: str
    ids: list[tuple[str, str]]
    message: str
    signature: str


def page(scheme: Scheme, languages: Sequence[str] = tuple(LANGUAGES)) -> str:
    """Return the page in Markdown.

    Args:
        scheme: The scheme.
        languages: Keys of `LANGUAGES`. docsify shows the headings of the languages as tabs.

    Raises:
        ConfigError: No example can be made, because no simple id fits the scheme.
    """
    example = _example(scheme)
    parts = [part for part in scheme.parts if isinstance(part, Id)]
    values = [*(value for _, value in example.ids), example.signature, *(["acme"] if scheme.tenant else [])]
    return templates.get_template("page.j2").render(
        scheme=scheme,
        message=scheme.message,
        optional=parts[-1].name if scheme.optional else "",
        shorter=_shorter(scheme),
        spelled=SPELLED[scheme.encoding],
        separated=[(part.name, part.separator) for part in parts if part.separator],
        snippets=[(LANGUAGES[one].title, LANGUAGES[one].fence, snippet(scheme, one)) for one in languages],
        example=example,
        vendor=templates.get_template(_VENDORS[scheme]).render().rstrip() if scheme in _VENDORS else "",
        fetch=fetch_code(scheme),
        curl=curl_command(scheme, values),
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


def _example(scheme: Scheme) -> _Example:
    names = [part.name for part in scheme.parts if isinstance(part, Id)]
    for form in _EXAMPLE_IDS:
        ids = {name: form.format(stem=_stem(name), number=number) for number, name in enumerate(names, 1)}
        try:
            signature = scheme.sign(EXAMPLE_KEY, **ids)
        except ConfigError:
            continue
        message = "".join(part.text if isinstance(part, Literal) else ids[part.name] for part in scheme.parts)
        return _Example(EXAMPLE_KEY, list(ids.items()), message, signature)
    raise ConfigError(f"snippet: no example can be made for the scheme {scheme.name!r}; no simple id fits it")


def _stem(name: str) -> str:
    return name.removesuffix("_id")


def _code(text: str) -> str:
    """Return a text as Markdown code. Characters that are not printable are escaped."""
    shown = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
    fence = "`" * (max(map(len, re.findall("`+", shown)), default=0) + 1)
    space = " " if shown.startswith(("`", " ")) or shown.endswith(("`", " ")) else ""
    return f"{fence}{space}{shown}{space}{fence}"


templates.filters["code"] = _code
