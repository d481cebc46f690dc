"""Renders the template of a language. A template gets the texts of a scheme only as literals or names."""

from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.message import Id, Literal, Part
from hmac_guard.core.scheme import Scheme
from hmac_guard.snippets.languages import LANGUAGES, Language, local_name, signed_names

# The output is not HTML. Each text is escaped for its language before a template gets it.
templates = Environment(
    loader=PackageLoader("hmac_guard.snippets"),
    autoescape=False,  # noqa: S701
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def snippet(scheme: Scheme, language: str) -> str:
    """Return a function in another language that makes the signature from the key, the ids and what else is signed.

    Args:
        scheme: The scheme.
        language: A key of `LANGUAGES`.

    Raises:
        ConfigError: The language is unknown.
    """
    if language not in LANGUAGES:
        raise ConfigError(f"snippet: language {language!r} is unknown; use one of {', '.join(LANGUAGES)}")
    return templates.get_template(f"languages/{language}.j2").render(_context(scheme, LANGUAGES[language]))


def _context(scheme: Scheme, language: Language) -> dict[str, Any]:
    """Return the variables of a template.

    scheme: The name of the scheme as a name in the language.
    ids: The names of the ids and of what else is signed, in the order of the message.
    optional: The name of the optional id, or "".
    head: The message, or its part before the optional id.
    middle: The part that is left out together with the optional id.
    tail: The part after it.
    """
    names = signed_names(scheme, language.style)

    def message(parts: Sequence[Part]) -> str:
        return language.joiner.join(
            language.literal(part.text) if isinstance(part, Literal) else language.piece.format(names[part.name])
            for part in parts
        )

    head, middle, tail = _around_the_optional(scheme)
    return {
        "scheme": local_name(scheme.name, language.style),
        "ids": list(names.values()),
        "optional": names[next(iter(scheme.optional))] if middle else "",
        "head": message(head),
        "middle": message(middle),
        "tail": message(tail),
        "prefix": (language.text or language.literal)(scheme.prefix) if scheme.prefix else "",
        "algorithm": scheme.algorithm,
        "encoding": scheme.encoding,
    }


def _around_the_optional(scheme: Scheme) -> tuple[Sequence[Part], Sequence[Part], Sequence[Part]]:
    for index, part in enumerate(scheme.parts):
        if isinstance(part, Id) and part.name in scheme.optional:
            return scheme.parts[: index - 1], scheme.parts[index - 1 : index + 1], scheme.parts[index + 1 :]
    return scheme.parts, (), ()
