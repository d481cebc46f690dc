"""Fills a language's template. Nothing of a scheme gets into a template but as a literal or a name of that language."""

from collections.abc import Sequence
from typing import Any

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.message import Id, Literal, Part
from hmac_guard.core.scheme import Scheme
from hmac_guard.snippets.environment import templates
from hmac_guard.snippets.languages import LANGUAGES, Language
from hmac_guard.snippets.names import local_name, local_names


def snippet(scheme: Scheme, language: str) -> str:
    """The code that makes a scheme's signature, ready to paste: a function of the key and the ids.

    `language` is a key of `LANGUAGES`. Raises `ConfigError` for another one.
    """
    if language not in LANGUAGES:
        raise ConfigError(f"snippet: language {language!r} is unknown; take one of {', '.join(LANGUAGES)}")
    return templates.get_template(f"languages/{language}.j2").render(_context(scheme, LANGUAGES[language]))


def _context(scheme: Scheme, language: Language) -> dict[str, Any]:
    """`scheme`    the scheme's name as a name in the language
    `ids`       the names of the ids, in the order of the message
    `optional`  the name of the id that may be absent, or ""
    `head`      the message, or as much of it as is always there
    `middle`    what drops out of it together with the optional id
    `tail`      what follows that
    """
    ids = [part.name for part in scheme.parts if isinstance(part, Id)]
    names = local_names(ids, language.style)

    def message(parts: Sequence[Part]) -> str:
        return language.joiner.join(
            language.literal(part.text) if isinstance(part, Literal) else language.piece.format(names[part.name])
            for part in parts
        )

    head, middle, tail = _around_the_optional(scheme)
    return {
        "scheme": local_name(scheme.name, language.style),
        "ids": list(names.values()),
        "optional": names[ids[-1]] if middle else "",
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
