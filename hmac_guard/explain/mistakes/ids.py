"""Mistakes in the ids: which are signed, their order and separators, and the text of each."""

import base64
import hashlib
import html
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from itertools import combinations, islice, permutations, product
from urllib.parse import quote, quote_plus, unquote, unquote_plus, urlencode

from hmac_guard.core.message import BODY
from hmac_guard.explain.mistakes.shape import BODY_ABSENT_FIX, Attempt, Mistake, Part, Variants, of_ids, utf8

_SEPARATORS = (
    *("", ":", ".", "-", "_", "|", "/", ",", ";", " ", "\n", "&", "=", "+", "#", "~", "@", "$", "*", "!", "\t", "\0"),
    *("::", "--", "__", "||", "//", "..", ": ", ", ", " : ", " - ", "->", "=>", "\r\n", "\\n"),
)
_ABSENT = ("", "undefined", "null", "None", "nil", "NaN", "0", "false")
_MAX_ORDERS = 24
_URL_ENCODED = (
    "id_url_encoded",
    "{what} was URL-encoded before it was signed, or was sent with one encoding less",
    "sign the id itself, and percent-encode it once when it is sent",
)


def _arrangement(
    name: str, description: str, fix: str, vary: Callable[[Attempt], Variants], body_fix: str = ""
) -> Mistake:
    return Mistake(name, Part.MESSAGE, description, fix, vary, body_fix)


def _as_one(attempt: Attempt, text: str) -> Attempt:
    return attempt._replace(names=("message",), ids=(text,), texts=("", ""))


def _swapped(attempt: Attempt) -> Variants:
    orders = zip(range(_MAX_ORDERS), permutations(range(len(attempt.ids))), strict=False)
    for _, order in orders:
        names = tuple(attempt.names[number] for number in order)
        yield ", ".join(names), attempt._replace(names=names, ids=tuple(attempt.ids[number] for number in order))


def _left_out(attempt: Attempt) -> Variants:
    for number, name in enumerate(attempt.names):
        for word in _ABSENT:
            ids = (*attempt.ids[:number], word, *attempt.ids[number + 1 :])
            yield name, attempt._replace(ids=ids)
        # Without the id, and without the text after it or the text before it.
        without = attempt._replace(names=_without(attempt.names, number), ids=_without(attempt.ids, number))
        yield name, without._replace(texts=_without(attempt.texts, number + 1))
        yield name, without._replace(texts=_without(attempt.texts, number))
    # Two or more ids, each with the text after it or before it. Two single mistakes of one kind are not tried together.
    sizes = range(2, len(attempt.ids))
    subsets = (numbers for size in sizes for numbers in combinations(range(len(attempt.ids)), size))
    for numbers in islice(subsets, _MAX_ORDERS):
        what = "each of " + " and ".join(_shown(attempt.names[number]) for number in numbers)
        kept = next(number for number in range(len(attempt.ids)) if number not in numbers)
        # The text after each id before `start` is left out, and the text before each other one.
        for start in (kept, len(attempt.ids), 0):
            without = attempt
            for number in reversed(numbers):
                without = without._replace(
                    names=_without(without.names, number),
                    ids=_without(without.ids, number),
                    texts=_without(without.texts, number + (number < start)),
                )
            yield what, without


def _shown(name: str) -> str:
    return "the body" if name == BODY else name


def _without(texts: tuple[str, ...], number: int) -> tuple[str, ...]:
    return texts[:number] + texts[number + 1 :]


def _separated(attempt: Attempt) -> Variants:
    for separator in _SEPARATORS if len(attempt.ids) > 1 else ():
        between = (separator,) * (len(attempt.ids) - 1)
        yield ascii(separator), attempt._replace(texts=(attempt.texts[0], *between, attempt.texts[-1]))


def _bare(attempt: Attempt) -> Variants:
    if not attempt.ids:
        return
    yield "", attempt._replace(texts=("", *attempt.texts[1:-1], ""))
    yield "", attempt._replace(texts=("", *attempt.texts[1:]))
    yield "", attempt._replace(texts=(*attempt.texts[:-1], ""))


def _named(attempt: Attempt) -> Variants:
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
        "{what} was not signed, or was empty when it was signed",
        "sign every id of the message; check that the variable has a value at that time",
        _left_out,
        BODY_ABSENT_FIX,
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
    """Return the mistake of signing the separator, or a word, for an id that is absent.

    Without another id there is no separator: the word alone is the message.
    """

    def vary(attempt: Attempt) -> Variants:
        for word in _ABSENT:
            signed = [(f"{word!a} and the separator were", separator + word)]
            if not attempt.ids:
                signed.insert(0, (f"{word!a} was", word))
            for what, text in signed:
                yield what, attempt._replace(texts=(*attempt.texts[:-1], text + attempt.texts[-1]))

    return _arrangement(
        "id_absent",
        "{what} signed for the id that is absent",
        "check that the variable has a value, and send it; for an optional id without one, sign neither the id nor the "
        "separator",
        vary,
    )


def of_other_texts(texts: Iterable[tuple[str, str]]) -> Mistake:
    """Return the mistake of signing another text. `texts` are pairs of a description and the text."""
    known = list(texts)

    def vary(attempt: Attempt) -> Variants:
        return ((what, _as_one(attempt, text)) for what, text in known)

    return _arrangement(
        "message_other", "{what} was signed instead of the message", "sign the message of the scheme", vary
    )


def of_further_ids(texts: Iterable[tuple[str, str]], separator: str) -> Mistake:
    """Return the mistake of also signing another text. `texts` are pairs of a description and the text."""
    known = list(texts)

    def vary(attempt: Attempt) -> Variants:
        for what, text in known:
            yield what, attempt._replace(texts=(text + separator + attempt.texts[0], *attempt.texts[1:]))
            yield what, attempt._replace(texts=(*attempt.texts[:-1], attempt.texts[-1] + separator + text))

    return _arrangement(
        "id_further", "{what} was signed together with the ids", "sign only the ids of the message", vary
    )


def of_longer_ids(longer: Mapping[str, str]) -> Mistake:
    """Return the mistake of sending an unencoded id that contains '&'. `longer` has the probable ids by name."""
    return _arrangement(
        "id_cut",
        "{what} was signed, but a '&' in it ended it in the URL",
        "percent-encode the id when it is sent",
        _replaced_by(longer),
    )


def of_raw_ids(raw: Mapping[str, str]) -> Mistake:
    """Return the mistake of signing an id as it is in the URL. `raw` has these texts by the names of the ids."""
    return _arrangement(*_URL_ENCODED, _replaced_by(raw))


def _replaced_by(texts: Mapping[str, str]) -> Callable[[Attempt], Variants]:
    def vary(attempt: Attempt) -> Variants:
        for name, text in texts.items():
            ids = tuple(text if name == own else kept for own, kept in zip(attempt.names, attempt.ids, strict=True))
            yield name, attempt._replace(ids=ids)

    return vary


def _with_pluses(text: str, which: int) -> str:
    """Replace some of the first four spaces by a plus: one bit of `which` for each. All bits replace all spaces."""
    pieces = text.split(" ")
    marks = ("+" if which == 15 or (number < 4 and which >> number & 1) else " " for number in range(len(pieces) - 1))
    return "".join(piece + mark for piece, mark in zip(pieces, [*marks, ""], strict=True))


def _normal(form: str) -> Callable[[str], str]:
    return lambda text: unicodedata.normalize(form, text)  # type: ignore[arg-type]


def _as_number(text: str) -> str | None:
    return str(int(text)) if re.fullmatch("[+-]?[0-9]{1,400}", text) else None


def _as_javascript_number(text: str) -> str | None:
    """Return the number as JavaScript prints it: at most 17 digits, no exponent below 1e21."""
    if not re.fullmatch("[+-]?[0-9]{1,300}(?:[.][0-9]{1,300})?", text):
        return None
    number = float(text)
    return repr(number) if abs(number) >= 1e21 else f"{Decimal(repr(number)):f}".removesuffix(".0")


def _as_float(text: str) -> str | None:
    return repr(float(text)) if re.fullmatch("[+-]?[0-9]{1,300}(?:[.][0-9]{1,300})?", text) else None


def _lower_escapes(text: str) -> str:
    return re.sub("%[0-9A-F]{2}", lambda escape: escape[0].lower(), quote(text, safe=""))


ID_MISTAKES = (
    of_ids(
        "id_plus",
        "{what} was signed with '+' and read with a space, or the reverse",
        "percent-encode the id when it is sent: in a query a '+' is a space, a plus is %2B",
        *(lambda text, which=which: _with_pluses(text, which) for which in (15, *range(1, 15))),
        lambda text: text.replace("+", " "),
    ),
    of_ids(
        "id_trimmed",
        "{what} was signed with other white space at its start or end than it was sent with",
        "sign exactly what is sent, and send ids without white space at their start or end",
        str.strip,
        *(lambda text, end=end: text + end for end in ("\n", " ", "\r\n", "\r", "\t")),
        lambda text: " " + text,
        lambda text: f" {text} ",
    ),
    of_ids(
        "id_case",
        "{what} was signed in another case than it was sent in",
        "sign exactly what is sent; ids are case-sensitive",
        str.lower,
        str.upper,
        str.casefold,
        str.capitalize,
        str.title,
        str.swapcase,
    ),
    of_ids(
        "id_normal_form",
        "{what} was signed in another Unicode normal form than it was sent in",
        "sign exactly what is sent, or normalise both to NFC",
        *map(_normal, ("NFC", "NFD", "NFKC", "NFKD")),
    ),
    of_ids(
        *_URL_ENCODED,
        lambda text: quote(text, safe=""),
        quote_plus,
        quote,
        lambda text: quote(text, safe="-_.!~*'()"),
        lambda text: quote(text, safe="-_.!~*'();/?:@&=+$,#"),
        _lower_escapes,
    ),
    of_ids(
        "id_url_decoded",
        "{what} was signed decoded, but is sent percent-encoded twice",
        "percent-encode the id once when it is sent; most HTTP clients do this",
        unquote,
        unquote_plus,
    ),
    of_ids(
        "id_json_quoted",
        "{what} was signed as JSON, with its quotes or escapes",
        "sign the text itself, not its JSON",
        json.dumps,
        lambda text: json.dumps(text, ensure_ascii=False),
        lambda text: f"'{text}'",
        lambda text: json.dumps(text)[1:-1],
        lambda text: json.dumps(json.dumps(text)),
        repr,
    ),
    of_ids(
        "id_json_unquoted",
        "{what} was sent as JSON, with its quotes, and signed without quotes",
        "send the text itself, not its JSON",
        lambda text: text[1:-1] if len(text) > 2 and text[0] == text[-1] and text[0] in "\"'" else None,
    ),
    of_ids(
        "id_number",
        "{what} was signed as a number, and sent as other text",
        "always treat ids as text; a number loses leading zeros, and a long number its last digits",
        _as_number,
        _as_javascript_number,
        _as_float,
    ),
    of_ids(
        "id_uuid",
        "{what} was signed as another spelling of the same UUID",
        "sign exactly what is sent",
        lambda text: text.replace("-", ""),
        lambda text: "{" + text + "}",
        lambda text: f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}" if len(text) == 32 else None,
    ),
    of_ids(
        "id_html",
        "{what} was signed or sent with HTML escapes",
        "sign and send the text itself; escape it only in HTML",
        html.escape,
        html.unescape,
    ),
    of_ids(
        "id_hashed",
        "{what} was hashed or encoded before it was signed",
        "sign the id itself",
        lambda text: utf8(text).hex(),
        lambda text: base64.b64encode(utf8(text)).decode(),
        lambda text: hashlib.sha256(utf8(text)).hexdigest(),
        lambda text: hashlib.sha1(utf8(text), usedforsecurity=False).hexdigest(),
        lambda text: hashlib.md5(utf8(text), usedforsecurity=False).hexdigest(),
    ),
    of_ids(
        "id_mail",
        "the signed part of {what} is not the part that was sent",
        "sign exactly what is sent",
        lambda text: text.partition("@")[0],
        lambda text: text.partition("+")[0] + "@" + text.rpartition("@")[2] if "+" in text and "@" in text else None,
    ),
)
