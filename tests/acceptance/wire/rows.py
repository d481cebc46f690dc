"""The requests: for each case of a corpus one row, with a request for each column.

A corpus holds stand-ins (`X-Sig: 1`, `hello`). Here they become ids, signatures and signed documents, so that it
matters which of two values is read, and how many bytes of a body.
"""

import gzip
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from urllib.parse import unquote_to_bytes

from orders import JSON, hex_of

from acceptance.differential.corpora import cases
from acceptance.wire.exchange import Ask
from acceptance.wire.guards import BARE

#: Makes the request with ids that no other request has: it is given a number for them.
Maker = Callable[[int], Ask]
_NUMBERS = count(1)
WRONG = "0" * 64


#: The columns of unsigned requests, and the guard of each.
_UNSIGNED = {"no guard": BARE, "unsigned": "all", "exempt": "exempt", "only": "only"}


@dataclass(frozen=True)
class Row:
    name: str
    makers: dict[str, Maker]

    def asks(self) -> dict[str, Ask]:
        return {column: make(next(_NUMBERS)) for column, make in self.makers.items()}


def raw_request(target: str, guard: str, *lines: str, method: str = "GET", body: str = "") -> bytes:
    """The bytes of a request. Text is latin-1, one character for each byte."""
    host = [] if any(line.startswith("Host: h/") for line in lines) else ["Host: h"]
    head = [f"{method} {target} HTTP/1.1", *host, f"X-Guard: {guard}", *lines, "", ""]
    return ("\r\n".join(head) + body).encode("latin-1")


def _signed(id: str) -> str:
    return f"a={id}&sig={hex_of(id)}"


def _document(id: str, signature: str | None = None) -> str:
    return json.dumps({"id": id, "sig": signature or hex_of(id)})


# Header lines


def signature_lines() -> list[Row]:
    """Cases in which the id or the signature travels in the odd header."""
    return [_line_row(name, lines) for name, lines in cases("wire_headers") if _bears_one(lines)]


def other_lines() -> list[Row]:
    """Cases in which an odd header stands beside ids and signature."""
    return [_beside_row(name, lines) for name, lines in cases("wire_headers") if not _bears_one(lines)]


def _bears_one(lines: list[str]) -> bool:
    return re.match(r"(?i)x[-_.](s|\xc5\xbf)|cookie: a", lines[0]) is not None


def _fill(lines: list[str], first: str, second: str) -> list[str]:
    """The lines with these two for the stand-ins 1 and 2."""
    values = {"1": first, "2": second}

    def fill(line: str) -> str:
        name, colon, value = line.partition(":")
        return name + colon + re.sub(r"(?<![\w-])[12](?!\w)", lambda digit: values[digit[0]], value)

    return [fill(line) for line in lines]


def _for_ids(lines: list[str]) -> list[str]:
    return [re.sub(r"(?i)(x[-_.])sig", r"\1Id", line) for line in lines]


def _line_row(name: str, lines: list[str]) -> Row:
    in_cookie = lines[0].startswith("Cookie")

    def signature(number: int, first: bool) -> Ask:
        own = f"wire-{number}"
        values = (hex_of(own), hex_of("another"))
        filled = _fill(lines, *(values if first else values[::-1]))
        signed = frozenset([own] if any(hex_of(own) in line for line in filled) else [])
        return Ask(raw_request(f"/admin?a={own}", "all", *filled), "all", signed=signed)

    def bearing(number: int, first: bool, guard: str = "all") -> Ask:
        own = f"wire-{number}"
        values = (own, f"other-{number}")
        filled = _fill(_for_ids(lines), *(values if first else values[::-1]))
        return Ask(raw_request(f"/admin?sig={hex_of(own)}", guard, *filled), guard, signed=frozenset([own]))

    def in_query_too(number: int) -> Ask:
        own = f"wire-{number}"
        filled = _fill(_for_ids(lines), f"other-{number}", f"third-{number}")
        return Ask(raw_request(f"/admin?{_signed(own)}", "all", *filled), "all", signed=frozenset([own]))

    def as_it_stands(number: int) -> Ask:
        value = lines[0].partition(":")[2].strip(" \t")
        return Ask(
            raw_request(f"/admin?sig={hex_of(value)}", "all", *_for_ids(lines)), "all", signed=frozenset([value])
        )

    def unsigned(guard: str) -> Maker:
        return lambda number: Ask(raw_request("/admin", guard, *lines), guard)

    makers: dict[str, Maker] = {
        **{name: unsigned(guard) for name, guard in _UNSIGNED.items()},
        "id 1st": lambda number: bearing(number, first=True),
        "id 2nd": lambda number: bearing(number, first=False),
        "query too": in_query_too,
    }
    if not in_cookie:
        makers |= {
            "id as sent": as_it_stands,
            "sig 1st": lambda number: signature(number, first=True),
            "sig 2nd": lambda number: signature(number, first=False),
        }
    return Row(name, makers)


def _beside_row(name: str, lines: list[str]) -> Row:
    def unsigned(guard: str) -> Maker:
        return lambda number: Ask(raw_request("/admin", guard, *lines), guard)

    def signed(number: int) -> Ask:
        own = f"wire-{number}"
        return Ask(raw_request(f"/admin?{_signed(own)}", "all", *lines), "all", signed=frozenset([own]))

    def in_body(number: int, guard: str) -> Ask:
        own = f"wire-{number}"
        return _with_document(_document(own), guard, lines, frozenset([own]))

    def forged(number: int) -> Ask:
        return _with_document(_document(f"wire-{number}", WRONG), "body", lines, frozenset())

    return Row(
        name,
        {
            **{name: unsigned(guard) for name, guard in _UNSIGNED.items()},
            "signed": signed,
            "no guard, JSON": lambda number: in_body(number, BARE),
            "signed JSON": lambda number: in_body(number, "body"),
            "forged JSON": forged,
        },
    )


def _with_document(document: str, guard: str, lines: list[str], signed: frozenset[str]) -> Ask:
    kind = [] if any(line.startswith("Content-Type") for line in lines) else [": ".join(JSON)]
    head = [*kind, f"Content-Length: {len(document)}", *lines]
    data = raw_request("/admin", guard, *head, method="POST", body=document)
    return Ask(data, guard, "POST", signed, document.encode())


# Paths

#: Beside the corpus: what stands near to the exempt paths and to the mount point.
_NEAR = [
    *("/health", "/health?x", "/health/", "/healthz", "/HEALTH", "/health;x", "/health%0A", "/health%00", "/health%2f"),
    *("/health/admin", "/%68ealth", "/health%3Fx", "/health#x", "/x/health", "health", "http://h/health"),
    *("/static/x.txt", "/static", "/static/", "/static/../admin", "/static/%2e%2e/admin", "/static/..%2fadmin"),
    *("/static//admin", "/static/.", "/static/x/../../admin", "/static/%5c..%5cadmin", "/static\\..\\admin"),
    *("/api", "/api/", "/apiadmin", "/api/api/admin", "/api//admin", "/x/api/admin", "/health/api/admin"),
]


def paths(prefix: str = "") -> list[Row]:
    """Targets as they stand in the request line, each that begins with a slash behind `prefix`."""
    targets = [*cases("wire_paths"), *_NEAR]
    return [
        _path_row(f"{index:02} {target}", prefix + target if target.startswith("/") else target)
        for index, target in enumerate(targets)
    ]


def _path_row(name: str, target: str) -> Row:
    """Where the target bears an id, a signature for that one, and one for another id in a header."""

    def unsigned(guard: str) -> Maker:
        return lambda number: Ask(raw_request(target, guard), guard)

    def bearing(text: str) -> Ask:
        return Ask(raw_request(target, "all", f"X-Sig: {hex_of(text)}"), "all", signed=frozenset([text]))

    makers: dict[str, Maker] = {
        **{name: unsigned(guard) for name, guard in _UNSIGNED.items()},
        "signed": lambda number: _signed_aside(target, "all", f"wire-{number}"),
    }
    in_target = re.search(r"/p/([^/?]*)/c|[?&]a=([^&#]*)", target)
    if in_target is not None:
        raw = in_target[1] or in_target[2] or ""
        decoded = unquote_to_bytes(raw.encode("latin-1")).decode("utf-8", "replace")
        makers |= {"its id signed": lambda number: bearing(decoded), "the same, raw": lambda number: bearing(raw)}
    return Row(name, makers)


def _signed_aside(target: str, guard: str, id: str) -> Ask:
    """With id and signature in headers, for any target."""
    return Ask(raw_request(target, guard, f"X-Id: {id}", f"X-Sig: {hex_of(id)}"), guard, signed=frozenset([id]))


# Bodies


def bodies() -> list[Row]:
    """Lengths and chunks that say what they should not."""
    return [*(_body_row(*case) for case in cases("wire_bodies")), _request_in_the_body(), _request_behind_the_body()]


def _body_row(name: str, way: str, lines: list[str], body: str) -> Row:
    method = "GET" if name.startswith("GET") else "POST"

    def ask(number: int, guard: str, signed: bool, aside: bool = False) -> Ask:
        own = f"wire-{number}"
        document = _document(own, None if signed else WRONG)
        filled_lines, filled = framed(document, lines, body)
        more = [f"X-Id: {own}", f"X-Sig: {hex_of(own)}"] if aside else []
        head = [": ".join(JSON), f"X-Read: {way}", *more, *filled_lines]
        return Ask(
            raw_request("/admin", guard, *head, method=method, body=filled),
            guard,
            method,
            frozenset([own] if signed or aside else []),
            document.encode() if guard == "body" else None,
            timeout=1.5,  # Where less comes than was said, many a server waits for the rest.
        )

    return Row(
        name,
        {
            "no guard": lambda number: ask(number, BARE, signed=True),
            "signed": lambda number: ask(number, "body", signed=True),
            "forged": lambda number: ask(number, "body", signed=False),
            "signed aside": lambda number: ask(number, "body", signed=False, aside=True),
            "not read": lambda number: ask(number, "all", signed=False),
        },
    )


def framed(document: str, lines: list[str], body: str) -> tuple[list[str], str]:
    """The case with the document in place of `hello`, and its length in place of 5."""
    size = len(document)
    if body.startswith("\x1f\x8b"):
        packed = gzip.compress(document.encode(), mtime=0).decode("latin-1")
        return [re.sub("25", str(len(packed)), line) for line in lines], packed
    body = body.replace("3\r\nhel\r\n2\r\nlo", f"3\r\n{document[:3]}\r\n{size - 3:x}\r\n{document[3:]}")
    body = re.sub(r"5(;a=b)?(\r?\n)hello", lambda found: f"{size:x}{found[1] or ''}{found[2]}hello", body)
    return [_length(line, size) for line in lines], body.replace("hello", document)


def _length(line: str, size: int) -> str:
    name, colon, value = line.partition(":")
    if not name.endswith("ength"):
        return line
    lengths = {"0x5": f"{size:#x}", "50": str(size + 45), "5": str(size)}
    return name + colon + re.sub("0x5|50|5", lambda found: lengths[found[0]], value)


def _request_in_the_body() -> Row:
    """A refused request whose body, if it were left lying, would be a good request."""

    def make(number: int) -> Ask:
        hidden = raw_request(f"/hidden?{_signed(f'hidden-{number}')}", "all").decode("latin-1")
        return Ask(
            raw_request("/admin", "all", f"Content-Length: {len(hidden)}", method="POST", body=hidden), "all", "POST"
        )

    return Row("a request in the body", {"not read": make})


def _request_behind_the_body() -> Row:
    """A refused request and a good one, sent at once: the second one begins where the body of the first one ends."""

    def make(number: int, guard: str) -> Ask:
        next_one = f"next-{number}"
        refused = _with_document(_document(f"wire-{number}", WRONG), guard, [], frozenset())
        data = refused.data + raw_request(f"/next?{_signed(next_one)}", "all")
        return Ask(data, guard, "POST", frozenset([next_one]))

    return Row(
        "a request behind the body",
        {"forged": lambda number: make(number, "body"), "not read": lambda number: make(number, "all")},
    )


# The walks of threats.md, 1.0

_HANDSHAKE = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)

#: Each walk: the targets, and the lines that belong to it.
_WALKS: dict[str, list[tuple[str, tuple[str, ...]]]] = {
    "B1": [("/admin%0A", ())],
    "B2": [("//admin", ()), ("///admin", ()), ("/%2Fadmin", ())],
    "B3": [("http://h/admin", ()), ("http://h/health/../admin", ())],
    "B4": [("admin", ())],
    "B5": [
        ("/x/admin", ("SCRIPT_NAME: /x",)),
        ("/health/admin", ("SCRIPT_NAME: /health",)),
        ("/static/x/admin", ("SCRIPT_NAME: /static/x",)),
        ("/health/admin", ("Daphne-Root-Path: /health",)),
    ],
    "B6": [("/admin", ("Host: h/health?x=",)), ("/admin", ("X-Forwarded-Prefix: /health", "X-Original-URL: /health"))],
    "B7": [("/admin", _HANDSHAKE), ("/admin%0A", _HANDSHAKE)],
    "B8": [("/sub/b", ()), ("/static/x.txt", ()), ("/raw", ()), ("/docs", ()), ("/openapi.json", ())],
    "B9": [("/admin", ("Transfer-Encoding: chunked", ": ".join(JSON)))],
    "B10": [("/apiadmin", ()), ("/apiadmin", ("SCRIPT_NAME: /api",))],
}


def walks(prefix: str = "") -> list[Row]:
    """Each walk against every guard. Of B9 the body holds the ids, and a guard that does not read it sees none."""
    return [
        _walk_row(walk, prefix + target if target.startswith("/") else target, lines)
        for walk, requests in _WALKS.items()
        for target, lines in requests
    ]


def _walk_row(walk: str, target: str, lines: tuple[str, ...]) -> Row:
    def unsigned(guard: str) -> Maker:
        return lambda number: _walk_ask(target, guard, lines, _document(f"wire-{number}", WRONG), frozenset())

    def signed(number: int) -> Ask:
        own = f"wire-{number}"
        if walk == "B9":
            return _walk_ask(target, "body", lines, _document(own), frozenset([own]))
        aside = (*lines, f"X-Id: {own}", f"X-Sig: {hex_of(own)}")
        return _walk_ask(target, "all", aside, "", frozenset([own]))

    shown = () if walk in ("B7", "B9") else lines
    makers = {name: unsigned(guard) for name, guard in _UNSIGNED.items()}
    return Row(" ".join([walk, target, *shown]), {**makers, "forged": unsigned("body"), "signed": signed})


def _walk_ask(target: str, guard: str, lines: tuple[str, ...], document: str, signed: frozenset[str]) -> Ask:
    chunked = "Transfer-Encoding: chunked" in lines
    body = f"{len(document):x}\r\n{document}\r\n0\r\n\r\n" if chunked else ""
    data = raw_request(target, guard, *lines, method="POST" if chunked else "GET", body=body)
    return Ask(
        data,
        guard,
        "POST" if chunked else "GET",
        signed,
        document.encode() if chunked else None,
        upgrades=lines[: len(_HANDSHAKE)] == _HANDSHAKE,
    )


# Clients beside one another


def mixed(client: int, size: int) -> list[Ask]:
    """Requests whose ids no other client has, in a query, in headers and in a body that arrives in pieces; every
    fourth one forged."""
    makers = (_in_query, _in_headers, _in_body, _forged)
    return [makers[(client + index) % 4](f"client-{client}-{index}") for index in range(size)]


def _in_query(id: str) -> Ask:
    return Ask(raw_request(f"/x?{_signed(id)}", "all"), "all", signed=frozenset([id]))


def _in_headers(id: str) -> Ask:
    return _signed_aside("/x", "all", id)


def _in_body(id: str) -> Ask:
    return _with_document(_document(id) + " " * 20_000, "body", [], frozenset([id]))


def _forged(id: str) -> Ask:
    return _with_document(_document(id, WRONG), "body", [], frozenset())
