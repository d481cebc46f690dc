"""Mistakes in the parts of the message: which ids, their order, their separators, or another text."""

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
        # Without the id, and without the text after it or the text before it.
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
        "sign every id of the message; check that the variable has a value at that time",
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
        "the fixed text before or after the ids was not signed",
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
    """Return the mistake of signing the separator, or a word, for an id that is absent."""

    def vary(attempt: Attempt) -> Iterator[tuple[str, Attempt]]:
        for word in _ABSENT:
            yield ascii(word), attempt._replace(texts=(*attempt.texts[:-1], separator + word + attempt.texts[-1]))

    return _arrangement(
        "id_absent",
        "{what} and the separator were signed for the id that is absent",
        "send the id that was signed; if the id is optional, sign neither the id nor the separator",
        vary,
    )


def of_other_texts(texts: Iterable[tuple[str, str]]) -> Mistake:
    """Return the mistake of signing another text. `texts` are pairs of a description and the text."""
    known = list(texts)

    def vary(attempt: Attempt) -> Iterator[tuple[str, Attempt]]:
        return ((what, _as_one(attempt, text)) for what, text in known)

    return _arrangement(
        "message_other", "{what} was signed instead of the message", "sign the message of the scheme", vary
    )


def of_further_ids(texts: Iterable[tuple[str, str]], separator: str) -> Mistake:
    """Return the mistake of also signing another text. `texts` are pairs of a description and the text."""
    known = list(texts)

    def vary(attempt: Attempt) -> Iterator[tuple[str, Attempt]]:
        for what, text in known:
            yield what, attempt._replace(texts=(text + separator + attempt.texts[0], *attempt.texts[1:]))
            yield what, attempt._replace(texts=(*attempt.texts[:-1], attempt.texts[-1] + separator + text))

    return _arrangement(
        "id_further", "{what} was signed together with the ids", "sign only the ids of the message", vary
    )


def of_longer_ids(longer: Mapping[str, str]) -> Mistake:
    """Return the mistake of sending an unencoded id that contains '&'. `longer` has the probable ids by name."""

    def vary(attempt: Attempt) -> Iterator[tuple[str, Attempt]]:
        for name, text in longer.items():
            ids = tuple(text if name == own else kept for own, kept in zip(attempt.names, attempt.ids, strict=True))
            yield name, attempt._replace(ids=ids)

    return _arrangement(
        "id_cut",
        "{what} was signed, but '&' cut it off in the URL",
        "percent-encode the id when it is sent",
        vary,
    )
