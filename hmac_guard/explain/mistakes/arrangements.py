"""Mistakes with what the message is made of: which ids, in which order, with what between them, or something else."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import permutations, product
from urllib.parse import urlencode

from hmac_guard.explain.mistakes.shape import Attempt, Mistake, Part

_SEPARATORS = (
    *("", ":", ".", "-", "_", "|", "/", ",", ";", " ", "\n", "&", "=", "+", "#", "~", "@", "$", "*", "!", "\t", "\0"),
    *("::", "--", "__", "||", "//", "..", ": ", ", ", " : ", " - ", "->", "=>", "\r\n", "\\n"),
)
_ABSENT = ("", "undefined", "null", "None", "nil", "NaN", "0", "false")
_MOST_ORDERS = 24


def _arrangement(name: str, says: str, cure: str, vary: Callable[[Attempt], Iterator[tuple[str, Attempt]]]) -> Mistake:
    return Mistake(name, Part.MESSAGE, says, cure, vary)


def _as_one(attempt: Attempt, text: str) -> Attempt:
    return attempt._replace(names=("message",), ids=(text,), texts=("", ""))


def _swapped(attempt: Attempt) -> Iterator[tuple[str, Attempt]]:
    orders = zip(range(_MOST_ORDERS), permutations(range(len(attempt.ids))), strict=False)
    for _, order in orders:
        names = tuple(attempt.names[number] for number in order)
        yield ", ".join(names), attempt._replace(names=names, ids=tuple(attempt.ids[number] for number in order))


def _left_out(attempt: Attempt) -> Iterator[tuple[str, Attempt]]:
    for number, name in enumerate(attempt.names):
        for word in _ABSENT:
            ids = (*attempt.ids[:number], word, *attempt.ids[number + 1 :])
            yield name, attempt._replace(ids=ids)
        # Without it, and without the text behind it or the text before it.
        without = attempt._replace(names=_without(attempt.names, number), ids=_without(attempt.ids, number))
        yield name, without._replace(texts=_without(attempt.texts, number + 1))
        yield name, without._replace(texts=_without(attempt.texts, number))


def _without(texts: tuple[str, ...], number: int) -> tuple[str, ...]:
    return texts[:number] + texts[number + 1 :]


def _separated(attempt: Attempt) -> Iterator[tuple[str, Attempt]]:
    for separator in _SEPARATORS if len(attempt.ids) > 1 else ():
        between = (separator,) * (len(attempt.ids) - 1)
        yield ascii(separator), attempt._replace(texts=(attempt.texts[0], *between, attempt.texts[-1]))


def _bare(attempt: Attempt) -> Iterator[tuple[str, Attempt]]:
    if not attempt.ids:
        return
    yield "", attempt._replace(texts=("", *attempt.texts[1:-1], ""))
    yield "", attempt._replace(texts=("", *attempt.texts[1:]))
    yield "", attempt._replace(texts=(*attempt.texts[:-1], ""))


def _named(attempt: Attempt) -> Iterator[tuple[str, Attempt]]:
    pairs = list(zip(attempt.names, attempt.ids, strict=True))
    for order in (pairs, sorted(pairs)):
        yield "a query string", _as_one(attempt, "&".join(f"{name}={text}" for name, text in order))
        yield "a query string", _as_one(attempt, urlencode(order))
        for what, document in (("a JSON object", dict(order)), ("a JSON array", [text for _, text in order])):
            for separators, ascii_alone in product(((",", ":"), (", ", ": ")), (True, False)):
                yield what, _as_one(attempt, json.dumps(document, separators=separators, ensure_ascii=ascii_alone))


ARRANGEMENT_MISTAKES = (
    _arrangement(
        "ids_swapped",
        "the ids were signed in another order ({what})",
        "sign them in the order of the message",
        _swapped,
    ),
    _arrangement(
        "id_missing",
        "{what} was not signed, or was empty when it was",
        "sign every id of the message; look whether the variable has a value when it is signed",
        _left_out,
    ),
    _arrangement(
        "separator",
        "the ids were joined with {what}",
        "join them with the text that the message has between them",
        _separated,
    ),
    _arrangement(
        "text_missing",
        "the fixed text before or behind the ids was not signed",
        "sign the whole message, with its fixed text",
        _bare,
    ),
    _arrangement(
        "ids_named",
        "the ids were signed as {what}",
        "sign the plain message: the ids and the text between them",
        _named,
    ),
)


def of_absent_id(separator: str) -> Mistake:
    """The mistake of signing, for an id that is absent, its separator or a word."""

    def vary(attempt: Attempt) -> Iterator[tuple[str, Attempt]]:
        for word in _ABSENT:
            yield ascii(word), attempt._replace(texts=(*attempt.texts[:-1], separator + word + attempt.texts[-1]))

    return _arrangement(
        "id_absent",
        "for the id that is absent {what} was signed, and the separator with it",
        "send the id that was signed; where the scheme lets it be absent, sign neither of the two",
        vary,
    )


def of_other_texts(texts: Iterable[tuple[str, str]]) -> Mistake:
    """The mistake of signing something else: each text with what it is."""
    known = list(texts)

    def vary(attempt: Attempt) -> Iterator[tuple[str, Attempt]]:
        return ((what, _as_one(attempt, text)) for what, text in known)

    return _arrangement(
        "message_other", "{what} was signed, not the message", "sign the message that the scheme names", vary
    )


def of_further_ids(texts: Iterable[tuple[str, str]], separator: str) -> Mistake:
    """The mistake of signing one string more, before or behind the ids: each with what it is."""
    known = list(texts)

    def vary(attempt: Attempt) -> Iterator[tuple[str, Attempt]]:
        for what, text in known:
            yield what, attempt._replace(texts=(text + separator + attempt.texts[0], *attempt.texts[1:]))
            yield what, attempt._replace(texts=(*attempt.texts[:-1], attempt.texts[-1] + separator + text))

    return _arrangement(
        "id_further", "{what} was signed together with the ids", "sign the ids of the message, and nothing else", vary
    )


def of_longer_ids(longer: Mapping[str, str]) -> Mistake:
    """The mistake of sending ids unencoded, so that a URL cut them: by name, what was probably meant."""

    def vary(attempt: Attempt) -> Iterator[tuple[str, Attempt]]:
        for name, text in longer.items():
            ids = tuple(text if name == own else kept for own, kept in zip(attempt.names, attempt.ids, strict=True))
            yield name, attempt._replace(ids=ids)

    return _arrangement(
        "id_cut",
        "{what} was cut off at a '&' on its way, and signed whole",
        "percent-encode the id when it is sent",
        vary,
    )
