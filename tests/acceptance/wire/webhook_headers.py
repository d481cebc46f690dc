"""The requests for the schemes that sign a time and the raw body, with a time, an id or signatures in odd headers: one
row for each case, as in `rows.py`.

A case is sent with two values, of which the client has signed the first one or the second one, so that it matters
which of them is read.
"""

import re
from base64 import b64decode
from collections.abc import Callable
from functools import partial

from acceptance.wire.exchange import Ask
from acceptance.wire.guards import BARE, ITEMS, OWN_HEADERS
from acceptance.wire.reach import Message
from acceptance.wire.rows import Maker, Row, raw_request
from acceptance.wire.senders import (
    FRESH,
    ID,
    OLD,
    OTHER,
    SIGNATURE,
    STRIPE,
    TIME,
    body_of,
    message_of,
    sign_items,
    sign_own_headers,
    utf8,
)


def _other_body(number: int) -> str:
    """A body that was signed as well, and is not the one that is sent."""
    return body_of(number).swapcase()


def _ask(guard: str, lines: list[str], body: str, *signed: Message) -> Ask:
    data = raw_request("/hook", guard, f"Content-Length: {len(body)}", *lines, method="POST", body=body)
    return Ask(data, guard, "POST", messages=frozenset(signed))


# One header in odd lines

#: The lines of a header with two values.
_LINES: dict[str, Callable[[str, str, str], list[str]]] = {
    "as it should be": lambda name, first, second: [f"{name}: {first}"],
    "twice": lambda name, first, second: [f"{name}: {first}", f"{name}: {second}"],
    "twice, the same": lambda name, first, second: [f"{name}: {first}"] * 2,
    "twice, upper and lower case": lambda name, first, second: [
        f"{name.upper()}: {first}",
        f"{name.lower()}: {second}",
    ],
    "twice, the first empty": lambda name, first, second: [f"{name}:", f"{name}: {first}"],
    "twice, the last empty": lambda name, first, second: [f"{name}: {first}", f"{name}:"],
    "three times": lambda name, first, second: [f"{name}: {first}", f"{name}: {second}", f"{name}: {first}"],
    "a comma": lambda name, first, second: [f"{name}: {first},{second}"],
    "a comma and a space": lambda name, first, second: [f"{name}: {first}, {second}"],
    "a comma at the end": lambda name, first, second: [f"{name}: {first},"],
    "underscores": lambda name, first, second: [f"{_snake(name)}: {first}"],
    "hyphens, then underscores": lambda name, first, second: [f"{name}: {first}", f"{_snake(name)}: {second}"],
    "underscores, then hyphens": lambda name, first, second: [f"{_snake(name)}: {first}", f"{name}: {second}"],
    "dots": lambda name, first, second: [f"{name.replace('-', '.')}: {first}"],
    "hyphens, then dots": lambda name, first, second: [f"{name}: {first}", f"{name.replace('-', '.')}: {second}"],
    "letters that fold to others": lambda name, first, second: [f"{name}: {first}", f"{_folding(name)}: {second}"],
    "a space before the colon": lambda name, first, second: [f"{name} : {first}"],
    "twice, a space before one colon": lambda name, first, second: [f"{name}: {first}", f"{name} : {second}"],
    "no colon": lambda name, first, second: [name],
    "empty": lambda name, first, second: [f"{name}:"],
    "absent": lambda name, first, second: [],
    "white space around": lambda name, first, second: [f"{name}: \t {first} \t"],
    "folded before": lambda name, first, second: [f"{name}:\r\n {first}"],
    "folded behind": lambda name, first, second: [f"{name}: {first}\r\n "],
    "folded between": lambda name, first, second: [f"{name}: {first}\r\n {second}"],
    "folded behind a comma": lambda name, first, second: [f"{name}: {first},\r\n\t{second}"],
    "a bare CR": lambda name, first, second: [f"{name}: {first}\r{name}: {second}"],
    "a bare LF": lambda name, first, second: [f"{name}: {first}\n{name}: {second}"],
    "NUL": lambda name, first, second: [f"{name}: {first}\0{second}"],
}


def _snake(name: str) -> str:
    return name.lower().replace("-", "_")


def _folding(name: str) -> str:
    """With letters that some make an s or a k of, as the bytes of UTF-8."""
    return utf8(re.sub("[sS]", "\N{LATIN SMALL LETTER LONG S}", name).replace("k", "\N{KELVIN SIGN}"))


def _value_of(lines: list[str]) -> str:
    """The value of the first line."""
    return re.sub(r"\r\n[ \t]+", " ", lines[0].partition(":")[2]).strip(" \t") if lines else ""


# Times

#: How a time is written.
_TIMES: dict[str, Callable[[str], str]] = {
    "space before": lambda time: f" {time}",
    "space behind": lambda time: f"{time} ",
    "tab before": lambda time: f"\t{time}",
    "tab behind": lambda time: f"{time}\t",
    "vertical tab behind": lambda time: f"{time}\v",
    "form feed before": lambda time: f"\f{time}",
    "no-break space behind": lambda time: f"{time}\xa0",
    "no-break space behind, UTF-8": lambda time: f"{time}\xc2\xa0",
    "next line (U+0085) behind": lambda time: f"{time}\x85",
    "byte order mark before": lambda time: f"\xef\xbb\xbf{time}",
    "space inside": lambda time: f"{time[:4]} {time[4:]}",
    "leading zero": lambda time: f"0{time}",
    "17 digits with leading zeros": lambda time: time.rjust(17, "0"),
    "plus": lambda time: f"+{time}",
    "minus": lambda time: f"-{time}",
    "zero": lambda time: "0",
    "milliseconds": lambda time: f"{time}000",
    "16 digits": lambda time: f"{time}000000",
    "17 digits": lambda time: f"{time}0000000",
    "2**64 seconds more": lambda time: str(int(time) + 2**64),
    "a point behind": lambda time: f"{time}.",
    "a fraction": lambda time: f"{time}.0",
    "an exponent": lambda time: f"{time}e0",
    "a power of ten": lambda time: f"{int(time) // 100}E2",
    "underscores inside": lambda time: f"{int(time):_}",
    "commas inside": lambda time: f"{int(time):,}",
    "hexadecimal": lambda time: hex(int(time)),
    "full-width digits": lambda time: _digits(time, "０"),  # noqa: RUF001
    "one full-width digit": lambda time: time[:-1] + _digits(time[-1], "０"),  # noqa: RUF001
    "Arabic digits": lambda time: _digits(time, "٠"),  # noqa: RUF001
    "mathematical digits": lambda time: _digits(time, "\N{MATHEMATICAL BOLD DIGIT ZERO}"),
    "a superscript behind": lambda time: f"{time}\xb2",
    "percent-encoded": lambda time: f"%{ord(time[0]):x}{time[1:]}",
    "in quotes": lambda time: f'"{time}"',
    "a parameter": lambda time: f"{time};q=1",
    "a unit": lambda time: f"{time}s",
    "NaN": lambda time: "NaN",
    "Infinity": lambda time: "Infinity",
    "a date": lambda time: "Fri, 15 Jan 2027 08:00:00 GMT",
}


def _digits(time: str, zero: str) -> str:
    """The time in the digits of which this one is zero, as the bytes of UTF-8."""
    return utf8("".join(chr(ord(zero) + int(digit)) for digit in time))


#: Makes the request with two times, of which one was signed: `ask(guard, first, second, signed, number)`.
_AskTimes = Callable[[str, str, str, str, int], Ask]


def _with_times(ask: _AskTimes, guard: str) -> dict[str, Maker]:
    return {
        "no guard": partial(ask, BARE, FRESH, OTHER, FRESH),
        "1st": partial(ask, guard, FRESH, OTHER, FRESH),
        "2nd": partial(ask, guard, OTHER, FRESH, FRESH),
        "old 1st": partial(ask, guard, OLD, FRESH, OLD),
        "old 2nd": partial(ask, guard, FRESH, OLD, OLD),
    }


def times_in_a_header() -> list[Row]:
    """The time in a header of its own, in odd forms."""

    def spelled(spell: Callable[[str], str], first: str, second: str) -> list[str]:
        return [f"{TIME}: {spell(first)}"]

    return [
        *(_time_row(name, partial(lines, TIME)) for name, lines in _LINES.items()),
        *(_time_row(name, partial(spelled, spell)) for name, spell in _TIMES.items()),
    ]


def _time_row(name: str, lines: Callable[[str, str], list[str]]) -> Row:
    def ask(guard: str, first: str, second: str, signed: str, number: int) -> Ask:
        own, body = f"wire-{number}", body_of(number)
        signature = sign_own_headers(own, signed, body)
        head = [f"{ID}: {own}", *lines(first, second), f"{SIGNATURE}: v1,{signature}"]
        return _ask(guard, head, body, message_of(own, signed, body))

    def as_sent(number: int) -> Ask:
        return ask(OWN_HEADERS, FRESH, OTHER, _value_of(lines(FRESH, OTHER)), number)

    return Row(name, {**_with_times(ask, OWN_HEADERS), "as sent": as_sent})


# Ids


#: A full stop separates the id from the time in what is signed.
_FULL_STOPS: dict[str, Callable[[str, str], list[str]]] = {
    "a time behind a full stop": lambda first, second: [f"{ID}: {first}.{OTHER}"],
    "a full stop behind": lambda first, second: [f"{ID}: {first}."],
    "a full stop before": lambda first, second: [f"{ID}: .{first}"],
}


def ids_in_a_header() -> list[Row]:
    """The id in a header, in odd forms."""
    return [
        *(_id_row(name, partial(lines, ID)) for name, lines in _LINES.items()),
        *(_id_row(name, lines) for name, lines in _FULL_STOPS.items()),
    ]


def _id_row(name: str, lines: Callable[[str, str], list[str]]) -> Row:
    def ask(guard: str, first: str, second: str, signed: str, number: int) -> Ask:
        body = body_of(number)
        signature = sign_own_headers(signed, FRESH, body)
        head = [*lines(first, second), f"{TIME}: {FRESH}", f"{SIGNATURE}: v1,{signature}"]
        return _ask(guard, head, body, message_of(signed, FRESH, body))

    def own(number: int, guard: str = OWN_HEADERS) -> Ask:
        return ask(guard, f"wire-{number}", f"other-{number}", f"wire-{number}", number)

    def other(number: int) -> Ask:
        return ask(OWN_HEADERS, f"other-{number}", f"wire-{number}", f"wire-{number}", number)

    def as_sent(number: int) -> Ask:
        first, second = f"wire-{number}", f"other-{number}"
        return ask(OWN_HEADERS, first, second, _value_of(lines(first, second)), number)

    return Row(name, {"no guard": lambda number: own(number, BARE), "1st": own, "2nd": other, "as sent": as_sent})


# Signatures

#: The value of the header, with a signature that is right, and one of another body.
_SIGNATURES: dict[str, Callable[[str, str], str]] = {
    "two signatures": lambda right, other: f"v1,{right} v1,{other}",
    "eight signatures": lambda right, other: " ".join([f"v1,{other}"] * 7 + [f"v1,{right}"]),
    "nine signatures": lambda right, other: " ".join([f"v1,{other}"] * 8 + [f"v1,{right}"]),
    "nine, the first one is right": lambda right, other: " ".join([f"v1,{right}"] + [f"v1,{other}"] * 8),
    "33 items": lambda right, other: " ".join([f"v1,{right}"] + ["v2,a"] * 32),
    "another version before it": lambda right, other: f"v1a,{other} v1,{right}",
    "only another version": lambda right, other: f"v1a,{right}",
    "no version": lambda right, other: right,
    "an empty version": lambda right, other: f",{right}",
    "an empty version before it": lambda right, other: f",{other} v1,{right}",
    "upper case": lambda right, other: f"V1,{right}",
    "blank": lambda right, other: "v1,",
    "blank, and one that is not": lambda right, other: f"v1, v1,{right}",
    "two spaces": lambda right, other: f"v1,{other}  v1,{right}",
    "a tab": lambda right, other: f"v1,{other}\tv1,{right}",
    "a no-break space": lambda right, other: f"v1,{other}\xa0v1,{right}",
    "a space behind the comma": lambda right, other: f"v1, {right}",
    "two commas": lambda right, other: f"v1,,{right}",
    "an equals sign for the comma": lambda right, other: f"v1={right}",
    "semicolons between": lambda right, other: f"v1,{other};v1,{right}",
    "no padding": lambda right, other: f"v1,{right.rstrip('=')}",
    "more padding": lambda right, other: f"v1,{right}=",
    "hexadecimal": lambda right, other: f"v1,{b64decode(right).hex()}",
    "in quotes": lambda right, other: f'v1,"{right}"',
}


def signatures_in_a_header() -> list[Row]:
    """Several signatures in one header, in odd forms."""

    def in_lines(lines: Callable[[str, str, str], list[str]], right: str, other: str) -> list[str]:
        return lines(SIGNATURE, f"v1,{right}", f"v1,{other}")

    def in_one_line(value: Callable[[str, str], str], right: str, other: str) -> list[str]:
        return [f"{SIGNATURE}: {value(right, other)}"]

    return [
        *(_signature_row(name, partial(in_lines, lines)) for name, lines in _LINES.items()),
        *(_signature_row(name, partial(in_one_line, value)) for name, value in _SIGNATURES.items()),
    ]


def _signature_row(name: str, lines: Callable[[str, str], list[str]]) -> Row:
    def ask(number: int, guard: str, time: str = FRESH, *, swapped: bool = False, both_other: bool = False) -> Ask:
        own, body, other = f"wire-{number}", body_of(number), _other_body(number)
        right, wrong = sign_own_headers(own, time, body), sign_own_headers(own, time, other)
        first, second = (wrong, right) if swapped else (wrong if both_other else right, wrong)
        head = [f"{ID}: {own}", f"{TIME}: {time}", *lines(first, second)]
        signed = [message_of(own, time, other), *([] if both_other else [message_of(own, time, body)])]
        return _ask(guard, head, body, *signed)

    return Row(
        name,
        {
            "no guard": lambda number: ask(number, BARE),
            "1st": lambda number: ask(number, OWN_HEADERS),
            "2nd": lambda number: ask(number, OWN_HEADERS, swapped=True),
            "old": lambda number: ask(number, OWN_HEADERS, OLD),
            "another body": lambda number: ask(number, OWN_HEADERS, both_other=True),
        },
    )


# Items of one header

#: The lines, with two times, a signature of one of them, and a signature of the second one and another body.
_ITEMS: dict[str, Callable[[str, str, str, str], list[str]]] = {
    "signature first": lambda t, u, v, w: [f"{STRIPE}: v1={v},t={t}"],
    "two times": lambda t, u, v, w: [f"{STRIPE}: t={t},t={u},v1={v}"],
    "two times, the same": lambda t, u, v, w: [f"{STRIPE}: t={t},t={t},v1={v}"],
    "two times, apart": lambda t, u, v, w: [f"{STRIPE}: t={t},v1={v},t={u}"],
    "two times, one empty": lambda t, u, v, w: [f"{STRIPE}: t=,t={t},v1={v}"],
    "two times, one upper case": lambda t, u, v, w: [f"{STRIPE}: T={u},t={t},v1={v}"],
    "two times, one key with a space": lambda t, u, v, w: [f"{STRIPE}: t ={u},t={t},v1={v}"],
    "two times, one key full-width": lambda t, u, v, w: [f"{STRIPE}: {utf8('ｔ')}={u},t={t},v1={v}"],  # noqa: RUF001
    "two times, one behind another key": lambda t, u, v, w: [f"{STRIPE}: x=t={u},t={t},v1={v}"],
    "two times, one behind a semicolon": lambda t, u, v, w: [f"{STRIPE}: x=1;t={u},t={t},v1={v}"],
    "two times in one item": lambda t, u, v, w: [f"{STRIPE}: t={t}=t={u},v1={v}"],
    "no time": lambda t, u, v, w: [f"{STRIPE}: v1={v}"],
    "an empty time": lambda t, u, v, w: [f"{STRIPE}: t=,v1={v}"],
    "a time under an empty key": lambda t, u, v, w: [f"{STRIPE}: ={t},v1={v}"],
    "an empty key": lambda t, u, v, w: [f"{STRIPE}: ={u},t={t},v1={v}"],
    "an empty key and value": lambda t, u, v, w: [f"{STRIPE}: =,t={t},v1={v}"],
    "an empty item": lambda t, u, v, w: [f"{STRIPE}: t={t},,v1={v}"],
    "a comma first": lambda t, u, v, w: [f"{STRIPE}: ,t={t},v1={v}"],
    "an item without a separator": lambda t, u, v, w: [f"{STRIPE}: t={t},v1={v},x"],
    "another item, empty": lambda t, u, v, w: [f"{STRIPE}: t={t},v1={v},x="],
    "two equals signs": lambda t, u, v, w: [f"{STRIPE}: t=={t},v1={v}"],
    "two equals signs, signature": lambda t, u, v, w: [f"{STRIPE}: t={t},v1=={v}"],
    "a space behind the comma": lambda t, u, v, w: [f"{STRIPE}: t={t}, v1={v}"],
    "a space before the comma": lambda t, u, v, w: [f"{STRIPE}: t={t} ,v1={v}"],
    "a space before the equals sign": lambda t, u, v, w: [f"{STRIPE}: t={t},v1 ={v}"],
    "a space behind the equals sign": lambda t, u, v, w: [f"{STRIPE}: t={t},v1= {v}"],
    "a space inside another item": lambda t, u, v, w: [f"{STRIPE}: t={t},v1={v},x=a b"],
    "a tab behind the comma": lambda t, u, v, w: [f"{STRIPE}: t={t},\tv1={v}"],
    "no v1": lambda t, u, v, w: [f"{STRIPE}: t={t},v0={v}"],
    "an empty v1": lambda t, u, v, w: [f"{STRIPE}: t={t},v1="],
    "an empty v1 and one more": lambda t, u, v, w: [f"{STRIPE}: t={t},v1=,v1={v}"],
    "two v1": lambda t, u, v, w: [f"{STRIPE}: t={t},v1={v},v1={w}"],
    "two v1, the last one is right": lambda t, u, v, w: [f"{STRIPE}: t={t},v1={w},v1={v}"],
    "eight v1": lambda t, u, v, w: [f"{STRIPE}: t={t}{f',v1={w}' * 7},v1={v}"],
    "nine v1": lambda t, u, v, w: [f"{STRIPE}: t={t},v1={v}{f',v1={w}' * 8}"],
    "nine v1, the last one is right": lambda t, u, v, w: [f"{STRIPE}: t={t}{f',v1={w}' * 8},v1={v}"],
    "33 items": lambda t, u, v, w: [f"{STRIPE}: t={t},v1={v}{',x=1' * 31}"],
    "v1 of another body": lambda t, u, v, w: [f"{STRIPE}: t={u},v1={w}"],
    "v1 in upper case": lambda t, u, v, w: [f"{STRIPE}: t={t},v1={v.upper()}"],
    "V1": lambda t, u, v, w: [f"{STRIPE}: t={t},V1={v}"],
    "semicolons": lambda t, u, v, w: [f"{STRIPE}: t={t};v1={v}"],
    "ampersands": lambda t, u, v, w: [f"{STRIPE}: t={t}&v1={v}"],
    "spaces for commas": lambda t, u, v, w: [f"{STRIPE}: t={t} v1={v}"],
    "colons": lambda t, u, v, w: [f"{STRIPE}: t:{t},v1:{v}"],
    "all in quotes": lambda t, u, v, w: [f'{STRIPE}: t="{t}",v1="{v}"'],
    "a full-width comma": lambda t, u, v, w: [f"{STRIPE}: t={t}{utf8('，')}v1={v}"],  # noqa: RUF001
    "an item in each line": lambda t, u, v, w: [f"{STRIPE}: t={t}", f"{STRIPE}: v1={v}"],
    "v1 in two lines": lambda t, u, v, w: [f"{STRIPE}: t={t},v1={w}", f"{STRIPE}: v1={v}"],
    "a time in two lines": lambda t, u, v, w: [f"{STRIPE}: t={t},v1={v}", f"{STRIPE}: t={u}"],
    "an item in each spelling": lambda t, u, v, w: [f"{STRIPE}: t={t}", f"{_snake(STRIPE)}: v1={v}"],
    "folded behind the comma": lambda t, u, v, w: [f"{STRIPE}: t={t},\r\n v1={v}"],
    "folded before the comma": lambda t, u, v, w: [f"{STRIPE}: t={t}\r\n ,v1={v}"],
    "folded, a second time": lambda t, u, v, w: [f"{STRIPE}: t={t},v1={v},\r\n t={u}"],
    "folded inside the time": lambda t, u, v, w: [f"{STRIPE}: t={t[:5]}\r\n {t[5:]},v1={v}"],
}


def items_of_a_header() -> list[Row]:
    """A time and signatures in one header, in odd forms."""

    def in_lines(lines: Callable[[str, str, str], list[str]], t: str, u: str, v: str, w: str) -> list[str]:
        return lines(STRIPE, f"t={t},v1={v}", f"t={u},v1={w}")

    return [
        *(_items_row(name, partial(in_lines, lines)) for name, lines in _LINES.items()),
        *(_items_row(name, lines) for name, lines in _ITEMS.items()),
        *(_spelled_item_row(name, spell) for name, spell in _TIMES.items()),
    ]


def _items_row(name: str, lines: Callable[[str, str, str, str], list[str]]) -> Row:
    def ask(guard: str, first: str, second: str, signed: str, number: int) -> Ask:
        body, other = body_of(number), _other_body(number)
        head = lines(first, second, sign_items(signed, body), sign_items(second, other))
        return _ask(guard, head, body, message_of("", signed, body), message_of("", second, other))

    return Row(name, _with_times(ask, ITEMS))


def _spelled_item_row(name: str, spell: Callable[[str], str]) -> Row:
    row = _items_row(name, lambda t, u, v, w: [f"{STRIPE}: t={spell(t)},v1={v}"])

    def as_sent(number: int) -> Ask:
        body, time = body_of(number), spell(FRESH)
        head = [f"{STRIPE}: t={time},v1={sign_items(time, body)}"]
        return _ask(ITEMS, head, body, message_of("", time, body))

    return Row(name, {**row.makers, "as sent": as_sent})
