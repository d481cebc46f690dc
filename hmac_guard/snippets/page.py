"""A page that tells a customer how to sign: what, with which code, an example to check it, and how to send it."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.message import Id, Literal
from hmac_guard.core.scheme import Scheme
from hmac_guard.explain.report import SPELLED
from hmac_guard.schemes import NANGO, SUPRSEND
from hmac_guard.snippets.environment import templates
from hmac_guard.snippets.frontend import curl_command, fetch_code
from hmac_guard.snippets.languages import LANGUAGES
from hmac_guard.snippets.render import snippet

EXAMPLE_KEY = "this-key-is-printed-in-the-documentation"
_EXAMPLE_IDS = ("{stem}-42", "{number}42", "id{number}", "x{number}", "{number}")
# What calls these presets by the vendor's own package.
_VENDORS = {NANGO: "vendors/nango.j2", SUPRSEND: "vendors/suprsend.j2"}


class _Example(NamedTuple):
    key: str
    ids: list[tuple[str, str]]
    message: str
    signature: str


def page(scheme: Scheme, languages: Sequence[str] = tuple(LANGUAGES)) -> str:
    """The page, in Markdown, with the code in these languages (keys of `LANGUAGES`) under headings that docsify turns
    into tabs. Raises `ConfigError` where no plain id fits into the scheme, to give an example with."""
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
    """The message without the optional id."""
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
    raise ConfigError(f"snippet: no example can be made for the scheme {scheme.name!r}; its texts leave no plain id")


def _stem(name: str) -> str:
    return name.removesuffix("_id")


def _code(text: str) -> str:
    """A text as Markdown's code, with what cannot be seen as an escape."""
    shown = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
    fence = "`" * (max(map(len, re.findall("`+", shown)), default=0) + 1)
    space = " " if shown.startswith(("`", " ")) or shown.endswith(("`", " ")) else ""
    return f"{fence}{space}{shown}{space}{fence}"


templates.filters["code"] = _code
