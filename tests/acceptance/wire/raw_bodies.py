"""The requests for the schemes that sign the raw body, with bodies in odd frames: one row for each case, as in
`rows.py`."""

import gzip
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from orders import hex_of

from acceptance.differential.corpora import cases
from acceptance.wire.exchange import Ask
from acceptance.wire.guards import BARE, ITEMS, OWN_HEADERS
from acceptance.wire.reach import Message
from acceptance.wire.rows import WRONG, Maker, Row, framed, raw_request
from acceptance.wire.senders import (
    FRESH,
    ID,
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

_CHUNKED = "Transfer-Encoding: chunked"
_LAST = "0\r\n\r\n"


def _chunk(data: str, extension: str = "") -> str:
    return f"{len(data):x}{extension}\r\n{data}\r\n"


def _gzipped(data: str) -> str:
    return gzip.compress(data.encode("latin-1"), mtime=0).decode("latin-1")


#: The header lines and the bytes behind them, for a body.
_Frame = Callable[[str], tuple[list[str], str]]
_FRAMES: dict[str, _Frame] = {
    "chunk extension in quotes": lambda body: ([_CHUNKED], _chunk(body, ';a="b;c"') + _LAST),
    "chunk extension, no value": lambda body: ([_CHUNKED], _chunk(body, ";a") + _LAST),
    "chunk extension, no name": lambda body: ([_CHUNKED], _chunk(body, ";") + _LAST),
    "chunk extension, spaces": lambda body: ([_CHUNKED], _chunk(body, " ; a = b") + _LAST),
    "chunk extension, bare LF": lambda body: ([_CHUNKED], _chunk(body, ";a\n") + _LAST),
    "chunk extension, bare CR": lambda body: ([_CHUNKED], _chunk(body, ";a\rb") + _LAST),
    "chunk extension, NUL": lambda body: ([_CHUNKED], _chunk(body, ";a\0") + _LAST),
    "chunk extension, 20,000 bytes": lambda body: ([_CHUNKED], _chunk(body, ";" + "a" * 20_000) + _LAST),
    "chunk extension, last chunk": lambda body: ([_CHUNKED], _chunk(body) + "0;a=b\r\n\r\n"),
    "chunk of each byte": lambda body: ([_CHUNKED], "".join(map(_chunk, body)) + _LAST),
    "chunk size, space behind": lambda body: ([_CHUNKED], _chunk(body, " ") + _LAST),
    "chunk size, space before": lambda body: ([_CHUNKED], " " + _chunk(body) + _LAST),
    "chunk size, leading zeros": lambda body: ([_CHUNKED], "0" * 30 + _chunk(body) + _LAST),
    "chunk size, minus": lambda body: ([_CHUNKED], "-" + _chunk(body) + _LAST),
    "chunk size, empty": lambda body: ([_CHUNKED], f"\r\n{body}\r\n" + _LAST),
    "chunk size, a letter behind": lambda body: ([_CHUNKED], _chunk(body, "h") + _LAST),
    "chunk size, full-width digits": lambda body: (
        [_CHUNKED],
        f"{utf8(chr(0xFF10 + len(body) // 16))}{len(body) % 16:x}\r\n{body}\r\n{_LAST}",
    ),
    "chunk size too small": lambda body: ([_CHUNKED], f"{len(body) - 2:x}\r\n{body}\r\n{_LAST}"),
    "chunk size too small, CRLF counted": lambda body: ([_CHUNKED], f"{len(body) - 2:x}\r\n{body}{_LAST}"),
    "chunk size too large by a line": lambda body: ([_CHUNKED], f"{len(body) + 2:x}\r\n{body}\r\n{_LAST}"),
    "chunk data, nothing behind": lambda body: ([_CHUNKED], f"{len(body):x}\r\n{body}{_LAST}"),
    "chunk data, LF behind": lambda body: ([_CHUNKED], f"{len(body):x}\r\n{body}\n{_LAST}"),
    "chunk data, two bytes behind": lambda body: ([_CHUNKED], f"{len(body):x}\r\n{body}xx{_LAST}"),
    "last chunk in the middle": lambda body: ([_CHUNKED], _chunk(body[:2]) + _LAST + _chunk(body[2:]) + _LAST),
    "last chunk 00000": lambda body: ([_CHUNKED], _chunk(body) + "00000\r\n\r\n"),
    "last chunk -0": lambda body: ([_CHUNKED], _chunk(body) + "-0\r\n\r\n"),
    "trailer with times": lambda body: (
        [_CHUNKED, f"Trailer: {TIME}, {STRIPE}"],
        _chunk(body) + f"0\r\n{TIME}: {OTHER}\r\n{STRIPE}: t={OTHER}\r\n\r\n",
    ),
    "trailer with an id": lambda body: ([_CHUNKED], _chunk(body) + f"0\r\n{ID}: other\r\n\r\n"),
    "trailer with a length": lambda body: ([_CHUNKED], _chunk(body) + "0\r\nContent-Length: 2\r\n\r\n"),
    "trailer without a colon": lambda body: ([_CHUNKED], _chunk(body) + "0\r\nX\r\n\r\n"),
    "trailer, folded": lambda body: ([_CHUNKED], _chunk(body) + "0\r\nX: a\r\n b\r\n\r\n"),
    "length of the body + chunked": lambda body: (
        [f"Content-Length: {len(body)}", _CHUNKED],
        _chunk(body) + _LAST,
    ),
    "length of the chunks + chunked": lambda body: (
        [f"Content-Length: {len(_chunk(body) + _LAST)}", _CHUNKED],
        _chunk(body) + _LAST,
    ),
    "chunked + length 0": lambda body: ([_CHUNKED, "Content-Length: 0"], _chunk(body) + _LAST),
    "chunked + length +5": lambda body: ([_CHUNKED, "Content-Length: +5"], _chunk(body) + _LAST),
    "chunked + two lengths": lambda body: (
        [_CHUNKED, "Content-Length: 2", f"Content-Length: {len(body)}"],
        _chunk(body) + _LAST,
    ),
    "chunked, identity": lambda body: (["Transfer-Encoding: chunked, identity"], _chunk(body) + _LAST),
    "identity, chunked": lambda body: (["Transfer-Encoding: identity, chunked"], _chunk(body) + _LAST),
    "chunked, chunked": lambda body: (["Transfer-Encoding: chunked, chunked"], _chunk(body) + _LAST),
    "chunked with a parameter": lambda body: (["Transfer-Encoding: chunked;q=1"], _chunk(body) + _LAST),
    "chunked in quotes": lambda body: (['Transfer-Encoding: "chunked"'], _chunk(body) + _LAST),
    "chunked behind a comma": lambda body: (["Transfer-Encoding: ,chunked"], _chunk(body) + _LAST),
    "chunked, folded": lambda body: (["Transfer-Encoding:\r\n chunked"], _chunk(body) + _LAST),
    "chunked, space before the colon": lambda body: (["Transfer-Encoding : chunked"], _chunk(body) + _LAST),
    "chunked, underscores, no length": lambda body: (["Transfer_Encoding: chunked"], _chunk(body) + _LAST),
    "chunked, both spellings": lambda body: ([_CHUNKED, "Transfer_Encoding: identity"], _chunk(body) + _LAST),
    "empty Transfer-Encoding, length": lambda body: (["Transfer-Encoding:", f"Content-Length: {len(body)}"], body),
    "length of one byte less": lambda body: ([f"Content-Length: {len(body) - 1}"], body),
    "a line behind the body": lambda body: ([f"Content-Length: {len(body)}"], body + "\r\n"),
    "length with both spellings": lambda body: (["Content_Length: 2", f"Content-Length: {len(body)}"], body),
    "Expect": lambda body: (["Expect: 100-continue", f"Content-Length: {len(body)}"], body),
    "Expect, upper case": lambda body: (["Expect: 100-CONTINUE", f"Content-Length: {len(body)}"], body),
    "Expect, chunked": lambda body: (["Expect: 100-continue", _CHUNKED], _chunk(body) + _LAST),
    "Expect, twice": lambda body: (["Expect: 100-continue"] * 2 + [f"Content-Length: {len(body)}"], body),
    "Expect something else": lambda body: (["Expect: 200-ok", f"Content-Length: {len(body)}"], body),
    "gzip, chunked": lambda body: (["Content-Encoding: gzip", _CHUNKED], _chunk(_gzipped(body)) + _LAST),
    "gzip, two members": lambda body: (
        ["Content-Encoding: gzip", f"Content-Length: {len(_gzipped(body) + _gzipped('more'))}"],
        _gzipped(body) + _gzipped("more"),
    ),
    "gzip that is none": lambda body: (["Content-Encoding: gzip", f"Content-Length: {len(body)}"], body),
    "identity": lambda body: (["Content-Encoding: identity", f"Content-Length: {len(body)}"], body),
    "deflate": lambda body: (
        ["Content-Encoding: deflate", f"Content-Length: {len(zlib.compress(body.encode()))}"],
        zlib.compress(body.encode()).decode("latin-1"),
    ),
    "GET, chunked": lambda body: ([_CHUNKED], _chunk(body) + _LAST),
}

#: The same, where less is sent than is announced.
_CUT_FRAMES: dict[str, _Frame] = {
    "last chunk, no empty line": lambda body: ([_CHUNKED], _chunk(body) + "0\r\n"),
    "length of one byte more": lambda body: ([f"Content-Length: {len(body) + 1}"], body),
    "Expect, and no body is sent": lambda body: (["Expect: 100-continue", f"Content-Length: {len(body)}"], ""),
}
_CUT_IN_CORPUS = re.compile("CL too big|CL huge|chunked truncated")

#: The same, for a body that is empty.
_EMPTY_FRAMES: dict[str, _Frame] = {
    "empty, length 0": lambda body: (["Content-Length: 0"], ""),
    "empty, no length": lambda body: ([], ""),
    "empty, length 00": lambda body: (["Content-Length: 00"], ""),
    "empty, chunked": lambda body: ([_CHUNKED], _LAST),
    "empty, chunked + length 0": lambda body: ([_CHUNKED, "Content-Length: 0"], _LAST),
    "empty, gzip": lambda body: (["Content-Encoding: gzip", "Content-Length: 0"], ""),
    "empty, Expect": lambda body: (["Expect: 100-continue", "Content-Length: 0"], ""),
    "GET, empty": lambda body: ([], ""),
}


def raw_bodies() -> list[Row]:
    """Raw bodies in odd frames, with signatures of the body and of other bodies."""
    return [
        *(
            _row(name, partial(framed, lines=lines, body=sent), _CUT if _CUT_IN_CORPUS.match(name) else _COLUMNS, way)
            for name, way, lines, sent in cases("wire_bodies")
        ),
        *(_row(name, frame, _COLUMNS) for name, frame in _FRAMES.items()),
        *(_row(name, frame, _CUT) for name, frame in _CUT_FRAMES.items()),
        *(_row(name, frame, _COLUMNS, is_empty=True) for name, frame in _EMPTY_FRAMES.items()),
    ]


#: The columns: the guard, and what is signed, of the body and of the bytes that are sent.
_Columns = Mapping[str, tuple[str, Callable[[str, str], str]]]
#: Few, since a server waits for the rest of the body in each.
_CUT: _Columns = {
    "no guard": (BARE, lambda body, sent: body),
    "items": (ITEMS, lambda body, sent: body),
    "own": (OWN_HEADERS, lambda body, sent: body),
}
_COLUMNS: _Columns = {
    **_CUT,
    "items, another": (ITEMS, lambda body, sent: body.swapcase() or "other"),
    "own, another": (OWN_HEADERS, lambda body, sent: body.swapcase() or "other"),
    "own, as sent": (OWN_HEADERS, lambda body, sent: sent),
    "own, two bytes": (OWN_HEADERS, lambda body, sent: body[:2]),
    "own, empty": (OWN_HEADERS, lambda body, sent: ""),
}


def _row(name: str, frame: _Frame, columns: _Columns, way: str = "read", *, is_empty: bool = False) -> Row:
    method = "GET" if name.startswith("GET") else "POST"

    def ask(guard: str, signed: Callable[[str, str], str], number: int) -> Ask:
        own, body = f"wire-{number}", "" if is_empty else body_of(number)
        lines, sent = frame(body)
        head, message = _signed_head(guard, own, signed(body, sent))
        data = raw_request("/hook", guard, f"X-Read: {way}", *head, *lines, method=method, body=sent)
        # Where less comes than was announced, many a server waits for the rest.
        return Ask(data, guard, method, messages=frozenset([message]), timeout=1.5)

    return Row(name, {column: partial(ask, *what) for column, what in columns.items()})


def _signed_head(guard: str, id: str, body: str) -> tuple[list[str], Message]:
    """The header lines with a signature of the body, and what was signed."""
    if guard != OWN_HEADERS:
        return [f"{STRIPE}: t={FRESH},v1={sign_items(FRESH, body)}"], message_of("", FRESH, body)
    signature = f"{SIGNATURE}: v1,{sign_own_headers(id, FRESH, body)}"
    return [f"{ID}: {id}", f"{TIME}: {FRESH}", signature], message_of(id, FRESH, body)


# Fields behind the body

_FIELDS = {
    "id of a webhook": f"{ID}: other",
    "time": f"{TIME}: {OTHER}",
    "items": f"{STRIPE}: t={OTHER},v1={WRONG}",
    "id": "X-Id: other",
    "cookie": "Cookie: a=other",
}


def late_fields() -> list[Row]:
    """Fields behind a chunked body, which arrive when the guard has read the headers."""
    return [_late_row(name, f"0\r\n{field}\r\n\r\n") for name, field in _FIELDS.items()]


def _late_row(name: str, rest: str) -> Row:
    def of_query(number: int) -> Ask:
        own, body = f"wire-{number}", body_of(number)
        target = f"/hook?a={own}&sig={hex_of(own)}"
        data = raw_request(target, "all", _CHUNKED, method="POST", body=_chunk(body) + rest)
        return Ask(data, "all", "POST", frozenset([own]))

    def later(make: Maker, number: int) -> Ask:
        ask = make(number)
        return replace(ask, data=ask.data.removesuffix(rest.encode()), rest=rest.encode())

    row = _row(name, lambda body: ([_CHUNKED], _chunk(body) + rest), _CUT)
    return Row(name, {column: partial(later, make) for column, make in {**row.makers, "query": of_query}.items()})
