"""The message: the parts that are signed, and why no two sets of ids can make the same one (threats T001)."""

import string
from collections.abc import Collection, Mapping
from typing import NamedTuple

from hmac_guard.core.errors import ConfigError


class Literal(NamedTuple):
    """A fixed text in the message."""

    text: str


class Id(NamedTuple):
    """An id in the message, and the text that ends it; "" for the last one, which may hold anything."""

    name: str
    separator: str


#: What a message is made of. Further kinds (raw body, method, target, timestamp) join here.
Part = Literal | Id


def compile_message(message: str, ids: Collection[str]) -> tuple[Part, ...]:
    """The parts of a message, from its format string."""
    pairs, last = _take_apart(message)
    names = [name for _, name in pairs]
    if sorted(names) != sorted(ids):
        raise ConfigError(
            f"Scheme: message names {names}, ids has {list(ids)}; each id stands in it once and has a source"
        )
    texts = [text for text, _ in pairs]
    for text, name in pairs[1:]:
        if not text:
            raise ConfigError(f"Scheme: put a separator before {{{name}}} in message; without one two pairs sign alike")
    parts: list[Part] = []
    for text, name, separator in zip(texts, names, [*texts[1:], ""], strict=True):
        parts += [Literal(text), Id(name, separator)] if text else [Id(name, separator)]
    return (*parts, Literal(last)) if last else tuple(parts)


def _take_apart(message: str) -> tuple[list[tuple[str, str]], str]:
    """Each id with the text before it, and the text behind the last one."""
    try:
        pieces = list(string.Formatter().parse(message))
        message.encode()
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"Scheme: message {message!r} is not a format string such as '{{a}}:{{b}}' ({error})"
        ) from None
    if any(spec or conversion for _, _, spec, conversion in pieces):
        raise ConfigError("Scheme: message takes plain placeholders, '{id}', without conversion or format")
    pairs: list[tuple[str, str]] = []
    before = ""
    for text, name, _, _ in pieces:
        # A doubled brace ends a piece in the middle of a text.
        before += text
        if name is not None:
            pairs.append((before, name))
            before = ""
    return pairs, before


def check_optional(optional: frozenset[str], parts: tuple[Part, ...]) -> frozenset[str]:
    """`optional`, if only the last of several ids is in it."""
    names = [part.name for part in parts if isinstance(part, Id)]
    if optional and (len(names) < 2 or optional != {names[-1]}):
        raise ConfigError(
            "Scheme: only the last of several ids may be optional; the others are needed to tell it apart"
        )
    return optional


def is_unambiguous(part: Id, text: str) -> bool:
    """Whether an id may be signed before the text that follows it: the text is first found where the id ends."""
    return not part.separator or (text + part.separator).find(part.separator) == len(text)


def compose(parts: tuple[Part, ...], ids: Mapping[str, str]) -> bytes | None:
    """The message over these ids, or None where it could be read as another one: an id holds its own separator, or
    begins one that the separator completes."""
    texts: list[str] = []
    for part in parts:
        if isinstance(part, Literal):
            texts.append(part.text)
        elif part.name in ids:
            text = ids[part.name]
            if not is_unambiguous(part, text):
                return None
            texts.append(text)
        else:
            texts.pop()
    return "".join(texts).encode()
