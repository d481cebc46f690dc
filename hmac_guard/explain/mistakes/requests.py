"""Mistakes in a signed time, a signed method or a signed body, and in the clock of the signer."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from typing import Any

from hmac_guard.core.message import BODY, METHOD, TIMES
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.times import Expires, Timestamp, is_time
from hmac_guard.explain.mistakes.shape import BODY_ABSENT_FIX, BODY_FIX, Attempt, Mistake, Part, Variants

_HALF_HOUR, _MAX_ZONE = 1_800, 14 * 3_600
#: Seconds by which a time may differ from the time in another zone and still count as this time.
_NEAR = 120
_OLD_COPY = "; if this is an old copy of a request, sign a new one"
_YEAR = 366 * 86_400
#: The Unix time of September 2001. A number below it is the time for which a signature is to last.
_FIRST_MOMENT = 10**9
_COMPACT = (",", ":")
_JSON_FORMS: tuple[dict[str, Any], ...] = (
    {"separators": _COMPACT},
    {},
    {"separators": _COMPACT, "ensure_ascii": False},
    {"ensure_ascii": False},
    {"separators": _COMPACT, "sort_keys": True},
    {"sort_keys": True},
    {"separators": _COMPACT, "sort_keys": True, "ensure_ascii": False},
)
# Only such numbers are other ones in JavaScript. To read and write the JSON once more takes time.
_OTHER_IN_JAVASCRIPT = re.compile("[0-9](?:[.eE]|[0-9]{15})")
# What Go and Rails escape in the texts of JSON. Outside of texts JSON has none of these characters.
_HTML_ESCAPES = str.maketrans({character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"})


def _of_named(
    names: tuple[str, ...], name: str, description: str, fix: str, change: Callable[[str], Iterator[str]]
) -> Mistake:
    """Return a mistake in one of these texts of the message."""

    def vary(attempt: Attempt) -> Variants:
        for number, named in enumerate(attempt.names):
            if named in names:
                for text in change(attempt.ids[number]):
                    yield named, attempt._replace(ids=(*attempt.ids[:number], text, *attempt.ids[number + 1 :]))

    return Mistake(name, Part.MESSAGE, description, fix, vary)


def _parsed(body: str, **options: Any) -> Iterator[Any]:
    """Yield the JSON document, or nothing if the body is not JSON."""
    with suppress(ValueError, RecursionError):
        yield json.loads(body, **options)


def _dumped(body: str) -> Iterator[str]:
    for document in _parsed(body):
        written = [json.dumps(document, **form) for form in _JSON_FORMS]
        yield from written
        # PHP escapes each slash, with and without JSON_UNESCAPED_UNICODE.
        yield from (text.replace("/", "\\/") for text in (written[0], written[2]) if "/" in text)
        # Go sorts the keys of a map.
        yield from (text.translate(_HTML_ESCAPES) for text in (written[2], written[6]))
    if _OTHER_IN_JAVASCRIPT.search(body):
        for document in _parsed(body, parse_float=_javascript_number, parse_int=_javascript_number):
            yield json.dumps(document, separators=_COMPACT, ensure_ascii=False)


def _javascript_number(text: str) -> float | int:
    """Return the number that JavaScript prints: 10.0 as 10, and no digits after the seventeenth."""
    number = float(text)
    return int(Decimal(repr(number))) if number.is_integer() and abs(number) < 1e21 else number


def _pretty(body: str) -> Iterator[str]:
    for document in _parsed(body):
        for indent in (2, 4, "\t", 1, 3):
            plain = json.dumps(document, indent=indent, ensure_ascii=False)
            # Escaping the few other characters is faster than writing the JSON again.
            for text in dict.fromkeys((re.sub("[^\0-\x7f]", _escaped, plain), plain)):
                yield text
                yield text + "\n"


def _escaped(character: re.Match[str]) -> str:
    return json.dumps(character[0])[1:-1]


def _with_other_ends(body: str) -> Iterator[str]:
    yield from (body + "\n", body + "\r\n", body.rstrip("\r\n"), body.strip())
    yield from (body.replace("\r\n", "\n"), re.sub("\r?\n", "\r\n", body))


def _in_other_charsets(body: str) -> Iterator[str]:
    for charset in ("latin-1", "cp1252", "utf-16-le", "utf-16-be", "utf-16"):
        try:
            yield body.encode(charset).decode("utf-8", "surrogateescape")
            yield body.encode("utf-8", "surrogateescape").decode(charset)
        except UnicodeError:
            continue
    yield body.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    yield body.encode("ascii", "replace").decode()


def _other_units(text: str) -> Iterator[str]:
    yield from (text + "000", text[:-3])


def _fractions(text: str) -> Iterator[str]:
    yield from (f"{text}.0", f"{text}.", f"{text[:-3]}.{text[-3:]}", text.partition(".")[0])


def _other_times(text: str) -> Iterator[str]:
    if not is_time(text):
        return
    scale = 1000 if len(text) > 11 else 1
    for seconds in (*range(1, 31), *range(_HALF_HOUR, _MAX_ZONE + 1, _HALF_HOUR)):
        yield from (str(int(text) + seconds * scale), str(int(text) - seconds * scale))


REQUEST_MISTAKES = (
    _of_named(
        (BODY,),
        "body_ends",
        "the body was signed with different line ends, or with a different line end at its end",
        BODY_FIX,
        _with_other_ends,
    ),
    _of_named(
        (BODY,),
        "body_bom",
        "the body was sent with a byte order mark (BOM) before it, and signed without it",
        "send the body without a BOM, and sign the bytes that are sent",
        lambda body: iter((body.removeprefix("\ufeff"),)),
    ),
    _of_named(
        (BODY,),
        "body_spaces",
        "the body was signed with '+' for a space and sent with '%20', or the reverse",
        BODY_FIX,
        lambda body: iter((body.replace("+", "%20"), body.replace("%20", "+"))),
    ),
    _of_named(
        (BODY,),
        "body_pretty",
        "the body was signed as JSON with line breaks and indentation",
        "create the JSON once, sign these bytes, and send these bytes",
        _pretty,
    ),
    _of_named(
        (BODY,),
        "body_dumped",
        "the body was parsed as JSON and written again before it was signed, or before it was sent",
        "create the JSON once, sign these bytes, and send these bytes",
        _dumped,
    ),
    _of_named(
        (BODY,),
        "body_charset",
        "the body was signed in another charset than it was sent in",
        "sign the bytes that are sent, not a text",
        _in_other_charsets,
    ),
    _of_named(
        (BODY,),
        "body_absent",
        "an empty body was signed",
        BODY_ABSENT_FIX,
        lambda body: iter(("", "{}", "null")),
    ),
    _of_named(
        TIMES,
        "time_signed_in_other_unit",
        "{what} was signed in seconds and sent in milliseconds, or the reverse",
        "read the clock once, format the time once, and sign and send that text",
        _other_units,
    ),
    _of_named(
        TIMES,
        "time_signed_with_fraction",
        "{what} was signed with a fraction and sent without one, or the reverse",
        "round the time down first, and sign and send that text",
        _fractions,
    ),
    _of_named(
        TIMES,
        "time_signed_not_sent",
        "{what} was signed with another time than the one that was sent",
        "read the clock once, and sign and send the same text",
        _other_times,
    ),
    _of_named(
        (METHOD,),
        "method_other",
        "the method that was signed is not the one that was sent",
        "sign the method in capitals, as it is sent",
        lambda method: iter((method.lower(), "GET", "POST", "PUT", "PATCH", "DELETE", "")),
    ),
)


def clock_mistakes(scheme: Scheme, texts: dict[str, str], now: float) -> Iterator[tuple[str, str, str]]:
    """Yield the name, the description and the fix of each mistake in a time that the guard does not accept."""
    for time in scheme.times:
        text = texts.get(time.name)
        if text is not None and is_time(text) and time.refuse(int(text), now) is not None:
            yield from _clock_mistake(time, text, now)


def _clock_mistake(time: Timestamp | Expires, text: str, now: float) -> Iterator[tuple[str, str, str]]:
    used, other = ("seconds", "milliseconds") if time.unit == "s" else ("milliseconds", "seconds")
    in_other_unit = int(text) / 1000 if time.unit == "s" else float(text)
    off = time.moment(int(text)) - now
    if _FIRST_MOMENT < in_other_unit < now + _YEAR:
        yield "time_unit", f"{time.label} counts {other}, and the scheme {used}", f"send it in {used}"
    elif time.moment(int(text)) < _FIRST_MOMENT:
        wanted = "the end: the present time plus the duration" if isinstance(time, Expires) else "signing"
        yield "time_duration", f"{time.label} is {text}, a duration and no Unix time", f"send the Unix time of {wanted}"
    elif isinstance(time, Timestamp) and (zone := _zone(off)):
        yield (
            "time_local",
            f"{time.label} is off by {zone:+g} hours, as if a local time was used as UTC",
            "use Unix time, which does not depend on a time zone" + ("" if off > 0 else _OLD_COPY),
        )
    elif isinstance(time, Timestamp):
        yield (
            "clock_ahead" if off > 0 else "clock_behind",
            f"{time.label} is {abs(off):.0f} seconds {'ahead of' if off > 0 else 'behind'} the clock here",
            "set the signer's clock by NTP"
            + ("" if off > 0 else ", or sign each request when you send it" + _OLD_COPY),
        )
    elif off < 0:
        yield "ended", f"the signature ended {-off:.0f} seconds ago", "create a new signature"
    else:
        yield (
            "too_long",
            f"the signature lasts {off:.0f} seconds, and the scheme allows {time.max_lifetime:g}",
            "choose an earlier end",
        )


def _zone(seconds: float) -> float | None:
    """Return the hours of the time zone that explains a difference in seconds, or None."""
    halves = round(seconds / _HALF_HOUR)
    near = abs(seconds - halves * _HALF_HOUR) <= _NEAR
    return halves / 2 if halves and near and abs(halves * _HALF_HOUR) <= _MAX_ZONE else None
