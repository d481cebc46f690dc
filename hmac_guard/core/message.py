"""The message: the parts that are signed.

Two requests with different parts never have the same message (threats T001).
"""

import string
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from hmac_guard.core.errors import ConfigError

#: The placeholders of a request's own parts (the names are those of RFC 9421), and of times.
BODY, METHOD = "@body", "@method"
TIMES = ("timestamp", "expires")


class Literal(NamedTuple):
    """A fixed text in the message."""

    text: str


class Id(NamedTuple):
    """An id in the message, and the text that ends it; "" for the last id, which may contain any text."""

    name: str
    separator: str


class Time(NamedTuple):
    """A time in the message, "timestamp" or "expires", and the text that ends it."""

    name: str
    separator: str


class Method(NamedTuple):
    """The request's method, and the text that ends it."""

    name: str
    separator: str


class Body(NamedTuple):
    """The raw body. It is the last part."""

    name: str = BODY


#: What a message is made of.
Part = Literal | Id | Time | Method | Body


def compile_message(message: str, ids: Collection[str], times: Collection[str] = ()) -> tuple[Part, ...]:
    """Return the parts of a message, from its format string.

    Raises:
        ConfigError: The format string is not valid.
    """
    pairs, last = _split(message)
    names = [name for _, name in pairs]
    _check_names(names, ids, times)
    texts = [text for text, _ in pairs]
    for text, name in pairs[1:]:
        if not text:
            raise ConfigError(
                f"Scheme: put a separator before {{{name}}} in message; without it, two pairs of ids have one message"
            )
    if BODY in names and (names[-1] != BODY or last):
        raise ConfigError("Scheme: {@body} must be last in message: it may contain any text")
    parts: list[Part] = []
    for text, name, separator in zip(texts, names, [*texts[1:], ""], strict=True):
        part = _part(name, separator, times)
        parts += [Literal(text), part] if text else [part]
    return (*parts, Literal(last)) if last else tuple(parts)


def _check_names(names: list[str], ids: Collection[str], times: Collection[str]) -> None:
    for name in times:
        if name in ids:
            raise ConfigError(f"Scheme: an id and a time are both called {name!r}; give the id another name")
    for name in TIMES:
        if name in names and name not in (*times, *ids):
            raise ConfigError(
                f"Scheme: message has {{{name}}}, but no time has a source for it; give {name}={name.capitalize()}(…)"
            )
    others = {METHOD, BODY, *times}
    if sorted(name for name in names if name not in others) != sorted(ids):
        raise ConfigError(
            f"Scheme: message names {names}, ids has {list(ids)}; each id stands in it once and has a source"
        )
    for name in others:
        if names.count(name) > 1:
            raise ConfigError(f"Scheme: {{{name}}} stands twice in message; once is enough")


def _part(name: str, separator: str, times: Collection[str]) -> Part:
    if name == BODY:
        return Body()
    if name == METHOD:
        # A separator with another character is allowed. Only a method that contains it is then refused.
        _check_separator(name, separator, string.ascii_uppercase)
        return Method(name, separator)
    if name in times:
        _check_separator(name, separator, string.digits)
        return Time(name, separator)
    return Id(name, separator)


def _check_separator(name: str, separator: str, characters: str) -> None:
    """Raise `ConfigError` if a text of these characters may contain the separator that ends it."""
    if separator and {*characters}.issuperset(separator):
        raise ConfigError(
            f"Scheme: {{{name}}} may contain {separator!a}, the text after it in message; put another separator there, "
            "such as ':'"
        )


def _split(message: str) -> tuple[list[tuple[str, str]], str]:
    """Return each name with the text before it, and the text after the last one."""
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


def check_optional(optional: Iterable[str], parts: tuple[Part, ...]) -> frozenset[str]:
    """Return `optional` as a set.

    Raises:
        ConfigError: It has an id that is not the last of several, or the message goes on after it.
    """
    names = [part.name for part in parts if isinstance(part, Id)]
    optional = [*optional]
    if optional and (len(names) < 2 or any(name != names[-1] for name in optional)):
        raise ConfigError(
            "Scheme: only the last of several ids may be optional; the others are needed to tell it apart"
        )
    if optional and [part.name for part in parts if not isinstance(part, Literal)][-1] != names[-1]:
        raise ConfigError("Scheme: an optional id comes after the times and the method, and not with {@body}")
    return frozenset(optional)


def is_unambiguous(part: Id | Time | Method, text: str) -> bool:
    """Return whether a text may be signed before its separator: the separator is first found where the text ends."""
    return not part.separator or (text + part.separator).find(part.separator) == len(text)


def compose(parts: tuple[Part, ...], named: Mapping[str, str]) -> bytes | None:
    """Return the message over these ids, times and method, without the body.

    Returns:
        The message; None if it is ambiguous. Then a text contains its separator, or ends with a part of the separator.
    """
    texts: list[str] = []
    for part in parts:
        if isinstance(part, Literal):
            texts.append(part.text)
        elif isinstance(part, Body):
            break
        elif part.name in named:
            text = named[part.name]
            if not is_unambiguous(part, text):
                return None
            texts.append(text)
        else:
            texts.pop()
    return "".join(texts).encode()


def why_ambiguous(parts: tuple[Part, ...], named: Mapping[str, str]) -> str:
    """Return why there is no message over these ids, times and method: which of them contains its separator."""
    found = (part for part in parts if isinstance(part, (Id, Method)) and part.name in named)
    part = next(part for part in found if not is_unambiguous(part, named[part.name]))
    label = f"the id {part.name!r}" if isinstance(part, Id) else "the method"
    verb = "contains" if part.separator in named[part.name] else "ends with the beginning of"
    return (
        f"{label} {verb} the text that separates it from the next part of the message, {part.separator!a}, so two "
        "messages would be one; use a separator that it cannot contain, such as a newline"
    )
