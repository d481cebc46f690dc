"""One suite for every application on every server: the same requests get the same verdicts, and the application behind
reads the same bytes."""

import gzip
import hashlib
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from orders import CASES, GOOD, GOOD_JSON, JSON, KEY, UNSIGNED, hex_of, json_of, query_of
from support import Sent

from acceptance.conformance.client import Answer, chunked, head
from acceptance.conformance.conftest import WITH_WEBSOCKETS, Site
from acceptance.conformance.guards import HOOK, LIMIT, MAX_HOOK_BYTES, ORDERS_GUARD
from hmac_guard.decider import decider_of

pytestmark = pytest.mark.conformance

#: These lie about their length: a server waits for the rest, or answers for itself. `test_a_client_that_hangs_up…` and
#: the tests of the handles have them.
LYING = {"a body shorter than it says", "a length that is no number"}


#: What a server does to a request before an application sees it, so that the guard finds another reason to refuse it.
DONE_BY_SERVERS = {("cheroot", "a header twice"): "invalid_signature"}  # It keeps the last of two lines.


def document_of(answer: Answer) -> Any:
    assert answer.status == 200, answer
    return json.loads(answer.body)


def assert_read(answer: Answer, body: bytes, **ids: str) -> None:
    """The application got these bytes and these ids."""
    assert document_of(answer) == {"ids": ids, "size": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def assert_refused(answer: Answer, reason: str, method: str = "GET") -> None:
    refusal = {reason.value: refusal for reason, refusal in decider_of("test", ORDERS_GUARD).refusals.items()}[reason]
    assert answer.status == refusal.status.value, answer
    assert answer.body == (b"" if method == "HEAD" else refusal.body)
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("case", [name for name in CASES if name not in LYING])
def test_a_request_gets_its_verdict(site: Site, case: str) -> None:
    sent, expected = CASES[case]
    reason = DONE_BY_SERVERS.get((site.running.server.name, case), expected.value)
    answer = site.ask(sent)

    assert site.reasons() == [reason]
    if reason == "verified":
        ids = document_of(answer)["ids"]
        assert_read(answer, sent.body, **ids)
        assert ids["order_id"] == "42"
    else:
        assert_refused(answer, reason)


@pytest.mark.parametrize("missing", [1, 0, -1], ids=["one under the limit", "at the limit", "one over the limit"])
@pytest.mark.parametrize("in_chunks", [False, True], ids=["with a length", "in chunks"])
def test_a_body_near_the_limit(site: Site, missing: int, in_chunks: bool) -> None:
    body = json_of().ljust(LIMIT - missing)
    if in_chunks:
        answer = send_chunks(site, Sent("POST", "/orders", headers=[JSON]), [body[:100], body[100:]])
    else:
        answer = site.ask(Sent("POST", "/orders", headers=[JSON], body=body))

    if missing < 0:
        assert_refused(answer, "body_too_large")
    else:
        assert_read(answer, body, tenant_id="acme", order_id="42")


def send_chunks(site: Site, sent: Sent, pieces: list[bytes]) -> Answer:
    with site.connect() as connection:
        connection.send(head(sent, ("Transfer-Encoding", "chunked")))
        for chunk in chunked(pieces):
            connection.send(chunk)
        return connection.answer(sent.method)


def test_a_body_in_many_chunks(site: Site) -> None:
    body = json_of()
    answer = send_chunks(site, Sent("POST", "/orders", headers=[JSON]), [bytes([byte]) for byte in body])

    assert_read(answer, body, tenant_id="acme", order_id="42")


def test_a_tampered_body_in_chunks(site: Site) -> None:
    answer = send_chunks(site, Sent("POST", "/orders", headers=[JSON]), [json_of(signature="0" * 64)])

    assert_refused(answer, "invalid_signature")


def test_a_head_request_is_verified_like_a_get(site: Site) -> None:
    good, bad = site.ask(Sent("HEAD", "/orders", query_of())), site.ask(Sent("HEAD", "/orders"))

    assert (good.status, good.body) == (200, b"")
    assert_refused(bad, "missing_id", "HEAD")


def test_a_preflight_is_not_refused_and_reaches_no_endpoint(site: Site) -> None:
    headers = [("Origin", "https://app.example"), ("Access-Control-Request-Method", "POST")]
    answer = site.ask(Sent("OPTIONS", "/orders", headers=headers))

    # Without a CORS middleware the framework answers for itself: it lists the methods, or knows no OPTIONS.
    # A Django view is run for any method; it has no ids then.
    assert answer.status in (200, 204, 405)
    assert b"sha256" not in answer.body or (site.application.startswith("Django") and document_of(answer)["ids"] == {})
    assert site.reasons() == []


def test_options_requests_that_are_no_preflight_are_verified(site: Site) -> None:
    answer = site.ask(Sent("OPTIONS", "/orders"))

    # A dependency belongs to a route, and FastAPI finds none for OPTIONS.
    assert answer.status == (405 if site.application == "FastAPI" else 401)


def test_a_client_that_hangs_up_in_mid_body_reaches_nothing(site: Site) -> None:
    with site.connect() as connection:
        connection.send(head(Sent("POST", "/orders", headers=[JSON, ("Content-Length", "400")])) + json_of())
    still_there = site.ask(GOOD)

    assert site.reasons().count("verified") == 1
    assert_read(still_there, b"", tenant_id="acme", order_id="42")


@pytest.mark.parametrize("good", [True, False], ids=["signed", "tampered"])
def test_a_client_that_waits_for_100_continue(site: Site, good: bool) -> None:
    sent = GOOD_JSON if good else Sent("POST", "/orders", headers=[JSON], body=json_of(signature="0" * 64))
    with site.connect() as connection:
        connection.send(head(sent, ("Expect", "100-continue")))
        assert connection.interim() == 100
        connection.send(sent.body)
        answer = connection.answer()

    if good:
        assert_read(answer, sent.body, tenant_id="acme", order_id="42")
    else:
        assert_refused(answer, "invalid_signature")


@pytest.mark.parametrize(
    "refused",
    [
        UNSIGNED,
        Sent("POST", "/orders", headers=[JSON], body=json_of(signature="0" * 64)),
        Sent("POST", "/orders", headers=[JSON], body=b" " * (LIMIT + 1)),
    ],
    ids=["without a body", "with a body that was read", "with a body that was not read"],
)
def test_a_connection_is_of_use_after_a_refusal_or_closed(site: Site, refused: Sent) -> None:
    with site.connect() as connection:
        connection.ask(refused)
        try:
            second = connection.ask(GOOD_JSON)
        except (EOFError, OSError):
            second = site.ask(GOOD_JSON)

    assert_read(second, GOOD_JSON.body, tenant_id="acme", order_id="42")


def test_two_hundred_clients_at_once_each_get_their_own_ids(site: Site) -> None:
    def ask(number: int) -> tuple[int, Answer]:
        tenant = f"tenant-{number}"
        if number % 4 == 3:
            return number, site.ask(Sent("POST", "/orders", headers=[JSON], body=json_of(tenant, signature="0" * 64)))
        if number % 2:
            return number, site.ask(Sent("POST", "/orders", headers=[JSON], body=json_of(tenant)))
        return number, site.ask(Sent("GET", "/orders", query_of(tenant)))

    with ThreadPoolExecutor(200) as clients:
        answers = list(clients.map(ask, range(200)))
    for number, answer in answers:
        if number % 4 == 3:
            assert_refused(answer, "invalid_signature")
        else:
            assert document_of(answer)["ids"]["tenant_id"] == f"tenant-{number}"
    assert sorted(set(site.reasons())) == ["invalid_signature", "verified"]


UPLOAD = 50 * 2**20
PIECE = bytes(range(256)) * 256


def upload(site: Site, path: str, query: str = "") -> Answer:
    with site.connect() as connection:
        connection.send(head(Sent("POST", path, query, [("Content-Length", str(UPLOAD))])))
        for _ in range(UPLOAD // len(PIECE)):
            connection.send(PIECE)
        return connection.answer()


def test_an_upload_of_50_mb_is_the_same_with_and_without_a_guard_and_takes_no_more_memory(site: Site) -> None:
    signed = f"upload=7&sig={hex_of('7')}"
    # Once each without measuring: servers and allocators keep what they have needed once.
    upload(site, "/bare"), upload(site, "/upload", signed)
    bare, bare_peak = measured(site, "/bare")
    guarded, guarded_peak = measured(site, "/upload", signed)

    assert (document_of(bare)["size"], document_of(bare)["ids"]) == (UPLOAD, None)
    assert document_of(guarded) == {**document_of(bare), "ids": {"upload": "7"}}
    assert guarded_peak < bare_peak + 8 * 2**20


BOUNDARY = "multipart/form-data; boundary=b"
#: Raw bodies, each with its headers.
BODIES: dict[str, tuple[list[tuple[str, str]], bytes]] = {
    "empty": ([], b""),
    "JSON": ([JSON], b'{"a": "\\u00e9",  "a": 1}\n'),
    "a form": ([("Content-Type", "application/x-www-form-urlencoded")], b"a=1&a=%ff&;b"),
    "multipart": (
        [("Content-Type", BOUNDARY)],
        b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--b--\r\n',
    ),
    "compressed": ([JSON, ("Content-Encoding", "gzip")], gzip.compress(b"{}" * 1_000, mtime=0)),
    "no type": ([], bytes(range(256)) * 300),
}


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("in_chunks", [False, True], ids=["with a length", "in chunks"])
def test_the_application_reads_the_bytes_of_a_raw_body_that_were_verified(
    site: Site, kind: str, in_chunks: bool
) -> None:
    headers, body = BODIES[kind]

    for signed, reads_it in ((body, True), (body + b" ", False)):
        query = f"hook=7&sig={HOOK.sign(KEY, hook='7', body=signed)}"
        if in_chunks:
            pieces = [body[:1], body[1:70], body[70:]]
            answer = send_chunks(site, Sent("POST", "/hook", query, headers), [piece for piece in pieces if piece])
        else:
            answer = site.ask(Sent("POST", "/hook", query, headers, body))
        if reads_it:
            assert_read(answer, body, hook="7")
        else:
            assert_refused(answer, "invalid_signature")


def test_a_raw_body_of_25_mb(site: Site) -> None:
    body = PIECE * (MAX_HOOK_BYTES // len(PIECE))
    query = f"hook=7&sig={HOOK.sign(KEY, hook='7', body=body)}"

    assert_read(site.ask(Sent("POST", "/hook", query, body=body)), body, hook="7")


def measured(site: Site, path: str, query: str = "") -> tuple[Answer, int]:
    """The answer, and the peak memory of the server's processes during the request, in bytes."""
    processes = [path for path in Path("/proc").iterdir() if path.name.isdigit() and group_of(path) == site.running.pid]
    for process in processes:
        (process / "clear_refs").write_text("5")
    answer = upload(site, path, query)
    return answer, max(peak_of(process) for process in processes)


def group_of(process: Path) -> int:
    try:
        return os.getpgid(int(process.name))
    except ProcessLookupError:
        return 0


def peak_of(process: Path) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", (process / "status").read_text())
    return int(found[1]) * 1024 if found else 0


#: Servers that can answer a websocket with a status of the application's; others close it, which is a 403.
DENYING = {"uvicorn-h11", "uvicorn-httptools", "hypercorn", "hypercorn, trio", "granian"}
HANDSHAKE = [
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
]


def test_a_websocket_is_refused_before_it_is_accepted_and_knows_its_ids_after(site: Site) -> None:
    if site.application not in WITH_WEBSOCKETS:
        pytest.skip("not run: this application has no websocket")
    if (site.application, site.running.server.name) == ("Quart", "daphne"):
        pytest.skip("not run: daphne leaves out of a websocket's scope what Quart asks of it, with or without a guard")
    with site.connect() as connection:
        connection.send(head(Sent("GET", "/live", query_of(signature="0" * 64), HANDSHAKE)))
        assert connection.interim() == (401 if site.running.server.name in DENYING else 403)
    with site.connect() as connection:
        connection.send(head(Sent("GET", "/live", query_of(), HANDSHAKE)))
        assert connection.interim() == 101
        assert json.loads(connection.text_frame()) == {"tenant_id": "acme", "order_id": "42"}


def test_the_server_has_nothing_to_complain_about(site: Site) -> None:
    """Last: no exception of the guard, no secret in what the server printed."""
    printed = site.running.printed()

    assert "the guard itself failed" not in printed
    assert not re.search(r'File ".*hmac_guard/', printed)
    assert "a key of more than sixteen bytes" not in printed
