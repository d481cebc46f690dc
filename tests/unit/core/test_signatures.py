"""Only the exact signature is verified, and no text that differs in a character or a bit."""

import hashlib
import hmac
from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import pytest
from support import Sent, environ_for, request_of, scope_for

from hmac_guard import Guard, Header, Key, Keyring, Query, Reason, Scheme
from hmac_guard.asgi.request import HeaderNames, read_scope
from hmac_guard.core.encodings import Encoding
from hmac_guard.core.judge import judge
from hmac_guard.core.reader import Reader
from hmac_guard.core.request import Request

KEY = b"k" * 32
IDS = {"a": "int-1", "b": "conn-1"}
ENCODINGS: list[Encoding] = ["hex", "base64", "base64url"]


def scheme(encoding: Encoding, prefix: str = "") -> Scheme:
    return Scheme(
        name="edits",
        ids={"a": Query("a"), "b": Query("b")},
        message="{a}:{b}",
        signature=Query("sig"),
        encoding=encoding,
        prefix=prefix,
    )


def signature(encoding: Encoding, message: bytes = b"int-1:conn-1") -> str:
    """Sign with the standard library."""
    import base64

    digest = hmac.new(KEY, message, hashlib.sha256).digest()
    if encoding == "hex":
        return digest.hex()
    if encoding == "base64":
        return base64.b64encode(digest).decode()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


@lru_cache(maxsize=1)
def reader_of(scheme: Scheme) -> Reader:
    return Reader(scheme, with_tenant=False)


def reasons(guard: Guard, ring: Keyring, query: str) -> tuple[Reason, Reason]:
    reader = reader_of(guard.scheme)
    sent = Sent(query=query)
    requests: list[Request] = [
        request_of(environ_for(sent), reader),
        read_scope(scope_for(sent), HeaderNames(reader.names), with_body=False),
    ]
    first, second = (
        judge(guard.scheme, reader.read(request), ring, 0.0, by_tenant=False).reason for request in requests
    )
    return first, second


def edits(text: str) -> Iterator[str]:
    characters = [chr(code) for code in range(256)]
    for at in range(len(text)):
        yield text[:at] + text[at + 1 :]
        yield from (text[:at] + c + text[at + 1 :] for c in characters if c != text[at])
    for at in range(len(text) + 1):
        yield from (text[:at] + c + text[at:] for c in characters)


@pytest.mark.without_coverage
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_no_single_edit_of_a_signature_verifies(encoding: Encoding) -> None:
    guard = Guard(scheme(encoding), KEY)
    ring = Keyring(KEY)
    good = signature(encoding)
    tried = 0
    assert reasons(guard, ring, f"a=int-1&b=conn-1&sig={quote(good, safe='')}") == (Reason.VERIFIED, Reason.VERIFIED)
    for edited in edits(good):
        verdicts = reasons(guard, ring, f"a=int-1&b=conn-1&sig={quote(edited, safe='')}")
        assert Reason.VERIFIED not in verdicts, edited
        assert verdicts[0] == verdicts[1]
        tried += 1

    assert tried > 20_000


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", ["a", "b"])
def test_no_single_bit_change_of_an_id_verifies(encoding: Encoding, name: str) -> None:
    guard = Guard(scheme(encoding), KEY)
    ring = Keyring(KEY)
    raw = IDS[name].encode()
    for bit in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        ids = {**{key: value.encode() for key, value in IDS.items()}, name: bytes(changed)}
        query = f"a={quote(ids['a'], safe='')}&b={quote(ids['b'], safe='')}&sig={quote(signature(encoding), safe='')}"
        assert Reason.VERIFIED not in reasons(guard, ring, query), changed


def test_a_prefix_is_part_of_the_one_spelling() -> None:
    guard = Guard(scheme("hex", "sha256="), KEY)
    ring = Keyring(KEY)
    good = signature("hex")

    for text, expected in {
        f"sha256={good}": Reason.VERIFIED,
        good: Reason.INVALID_SIGNATURE,
        f"SHA256={good}": Reason.INVALID_SIGNATURE,
        f"sha256={good.upper()}": Reason.INVALID_SIGNATURE,
        f"sha256=sha256={good}": Reason.INVALID_SIGNATURE,
    }.items():
        assert reasons(guard, ring, f"a=int-1&b=conn-1&sig={text}") == (expected, expected)


ITEM = Header("X-Sig").item("v1", separators=(",", "="))
SENT = signature("hex").encode()


@pytest.mark.parametrize(
    ("place", "sent"),
    [(Query("sig"), SENT), (ITEM, SENT), (ITEM, (b"x", SENT))],
    ids=["in a query", "in an item", "in two items"],
)
def test_compare_digest_alone_decides_whether_a_signature_is_right(
    place: Any, sent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T020: the time of any other comparison shows how much of a signature is right."""
    key = Key(KEY)
    assert scheme("hex").replace(signature=place).verifying_key([key], b"int-1:conn-1", sent) is key

    monkeypatch.setattr(hmac, "compare_digest", lambda *_: False)
    assert scheme("hex").replace(signature=place).verifying_key([key], b"int-1:conn-1", sent) is None


def test_no_two_pairs_of_ids_share_a_message() -> None:
    """T001: all pairs of up to three of three symbols. The accepted pairs have different messages."""
    from itertools import product

    from hmac_guard.core.message import compose

    texts = ["".join(letters) for length in (1, 2, 3) for letters in product("a:b", repeat=length)]
    for message in ("{a}:{b}", "{a}::{b}", "x:{a}:{b}:y", "{a}b:{b}"):
        parts = Scheme(
            name="pairs", ids={"a": Query("a"), "b": Query("b")}, message=message, signature=Query("s"), optional={"b"}
        ).parts
        pairs = [{"a": a, "b": b} for a in texts for b in texts] + [{"a": a} for a in texts]
        messages = [signed for pair in pairs if (signed := compose(parts, pair)) is not None]
        assert len(messages) == len(set(messages)) > 500
