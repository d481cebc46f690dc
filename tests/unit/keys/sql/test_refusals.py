"""The last refused requests: what is kept of them, for how long, and how many."""

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="not run: sqlalchemy is not installed")

from consoles import Browser, by_header, forms_of, words_of
from databases import Database, database_of, empty_keys
from key_sources import KEY, Clock
from sqlalchemy.exc import DataError
from support import Sent, call_wsgi

from hmac_guard import Claim, Decision, Guard, Reason, Verdict
from hmac_guard.console import Console
from hmac_guard.core.errors import ConfigError
from hmac_guard.keys import VerdictCounts
from hmac_guard.keys.sql import refusals
from hmac_guard.schemes import NANGO

SIGNATURE = hashlib.sha256(b"of no key").hexdigest()


@pytest.fixture
def clock() -> Clock:
    return Clock(1_800_000_000.0)


@pytest.fixture
def keys(tmp_path: Path, clock: Clock) -> Any:
    keys = empty_keys(tmp_path, clock=clock)
    keys.add("acme", KEY, mode="report")
    return keys


def refuse(
    counts: VerdictCounts,
    tenant: str | None = "acme",
    reason: Reason = Reason.MISSING_SIGNATURE,
    path: str = "/oauth/connect/github",
    **ids: str,
) -> None:
    claim = Claim("nango", ids, tenant, None, "the signature is missing", "GET", path)
    counts(Decision(Verdict(reason, "nango"), claim, "report", False, 0.0))


def test_no_refused_request_is_kept_by_default(keys: Any) -> None:
    counts = VerdictCounts(keys)
    refuse(counts)
    counts.close()

    assert counts.refusals("acme") == ()
    assert "Ids may be personal data, so nothing is stored by default" in page_of(keys, counts)


def test_a_guard_keeps_what_a_request_states_and_never_its_signature(sync_database: Database) -> None:
    keys = sync_database.keys()
    keys.add("acmé", KEY, mode="report")
    counts = VerdictCounts(keys, refusals=24)
    guard = Guard(NANGO, keys, on_decision=counts)
    wrong = hashlib.sha256(b"of no key either").hexdigest()
    tenant = "public_key=acm%C3%A9"
    for query in (f"connection_id=u%201&{tenant}&hmac={wrong}", f"connection_id={SIGNATURE}&{tenant}"):
        assert call_wsgi(guard, Sent(path="/oauth/connect/github", query=query)).status == 200
    assert call_wsgi(guard, Sent(path=f"/oauth/connect/{SIGNATURE}", query=tenant)).status == 200
    counts.close()

    newest, second, first = counts.refusals("acmé")
    assert (first.method, first.path, first.reason) == ("GET", "/oauth/connect/github", "invalid_signature")
    assert first.ids == {"integration_id": "github", "connection_id": "u 1"}
    assert (second.reason, second.ids["connection_id"]) == ("missing_signature", "looks like a signature")
    assert newest.path == "/oauth/connect/looks like a signature"
    stored = repr(sync_database.sql("SELECT * FROM {refusals}"))
    assert SIGNATURE not in stored
    assert wrong not in stored
    assert counts.refusal(first.id) == first
    assert counts.refusals("acmé", before=newest.id, limit=1) == (second,)


@pytest.mark.parametrize(
    "text",
    [
        SIGNATURE,
        f"sha256={SIGNATURE}",
        SIGNATURE.upper(),
        base64.b64encode(bytes.fromhex(SIGNATURE)).decode(),
        base64.urlsafe_b64encode(bytes.fromhex(SIGNATURE)).decode().rstrip("="),
        base64.b64encode(b"\xff\xef\xbe?" * 8).decode(),
        base64.b64encode(bytes(range(60, 124))).decode(),
        f"v1={base64.b64encode(bytes.fromhex(SIGNATURE)).decode()}",
    ],
)
def test_what_has_the_form_of_a_signature_is_not_kept(keys: Any, text: str) -> None:
    counts = VerdictCounts(keys, refusals=24)
    refuse(counts, path=f"/a/{text}/b", connection_id=text)
    counts.close()

    [found] = counts.refusals("acme")
    assert text not in repr(found)
    assert found.path.startswith("/a/looks like a signature")
    assert found.path.endswith("/b")
    assert found.ids == {"connection_id": "looks like a signature"}


@pytest.mark.parametrize("text", ["github", "u-1", "0b6d3f6e-7e0c-4e54-9a53-3a4ad6a21f1e", "a" * 42, "日本語" * 20])
def test_an_id_is_kept_as_it_is(keys: Any, text: str) -> None:
    counts = VerdictCounts(keys, refusals=24)
    refuse(counts, path=f"/api/v1/oauth/connect/{text}/and/further/on", connection_id=text)
    counts.close()

    [found] = counts.refusals("acme")
    assert found.ids == {"connection_id": text}
    assert found.path == f"/api/v1/oauth/connect/{text}/and/further/on"


def test_a_flood_pushes_out_rows_of_its_own_tenant_alone(keys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "MAX_STORED", 30)
    keys.add("globex", mode="report")
    counts = VerdictCounts(keys, refusals=24)
    refuse(counts, "globex", connection_id="globex")
    counts.flush()
    for _ in range(3):
        for number in range(500):
            refuse(counts, "acme", connection_id=f"u-{number}")
            refuse(counts, f"unknown-{number}")
            refuse(counts, None)
        refuse(counts, "globex", Reason.INVALID_SIGNATURE)
        counts.flush()
    counts.close()

    assert [row.ids for row in counts.refusals("acme", limit=2)] == [{"connection_id": "u-499"}] * 1 + [
        {"connection_id": "u-498"}
    ]
    assert len(counts.refusals("acme", limit=1_000)) == 30
    assert len(counts.refusals("", limit=1_000)) == 30
    assert len(counts.refusals("globex")) == 4
    assert not counts.refusals("unknown-1")


def test_the_table_is_bounded_in_all(keys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "MAX_IN_TOTAL", 5)
    counts = VerdictCounts(keys, refusals=24)
    for tenant in ("acme", "a", "b"):
        if tenant != "acme":
            keys.add(tenant, mode="report")
        for _ in range(4):
            refuse(counts, tenant)
        counts.flush()
    counts.close()

    assert [len(counts.refusals(tenant)) for tenant in ("acme", "a", "b")] == [0, 1, 4]


def test_refusals_are_forgotten_after_their_hours(keys: Any, clock: Clock) -> None:
    counts = VerdictCounts(keys, refusals=2)
    refuse(counts)
    counts.flush()
    clock.pass_by(2 * 3_600 - 1)
    counts.flush()
    assert len(counts.refusals("acme")) == 1
    clock.pass_by(2)
    counts.flush()
    assert counts.refusals("acme") == ()
    counts.close()


def test_purge_deletes_refusals_that_no_worker_deletes(
    sync_database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker without the option deletes none: another application may store them in the same tables."""
    monkeypatch.setattr(refusals, "BATCH", 2)
    keys = sync_database.keys(clock=clock)
    keys.add("acme", mode="report")
    counts = VerdictCounts(keys, every=3_600, refusals=240)
    for number in range(5):
        refuse(counts, connection_id=f"c{number}")
    counts.flush()
    clock.pass_by(2 * 86_400)
    refuse(counts, connection_id="new")
    counts.close()

    without = VerdictCounts(keys, every=3_600)
    refuse(without)
    without.close()
    keys.purge(older_than=3 * 86_400)
    assert len(without.refusals("acme")) == 6
    assert keys.purge(older_than=86_400) == 0
    assert [row.ids for row in without.refusals("acme")] == [{"connection_id": "new"}]


def test_purge_deletes_refusals_last_when_no_tenant_is_locked(sync_database: Database, clock: Clock) -> None:
    keys = sync_database.keys(clock=clock)
    keys.retire("acme", keys.add("acme", mode="report").id)
    counts = VerdictCounts(keys, every=3_600, refusals=240)
    refuse(counts)
    counts.close()
    clock.pass_by(2 * 86_400)
    left: list[int] = []

    assert keys.purge(older_than=86_400, progress=lambda *_: left.append(len(counts.refusals("acme")))) == 1
    assert left == [1]
    assert counts.refusals("acme") == ()


@pytest.mark.parametrize("table", ["hours", "refusals"])
def test_refusals_that_the_database_does_not_take_are_written_later(sync_database: Database, table: str) -> None:
    keys = sync_database.keys()
    keys.add("acme", mode="report")
    counts = VerdictCounts(keys, every=3_600, refusals=24)
    for number in range(2):
        refuse(counts, connection_id=f"c{number}")
    sync_database.sql(f"ALTER TABLE {{{table}}} RENAME TO {{{table}}}_away")
    with pytest.raises(Exception, match=f"_{table}"):
        counts.flush()
    refuse(counts, connection_id="c2")

    sync_database.sql(f"ALTER TABLE {{{table}}}_away RENAME TO {{{table}}}")
    counts.close()

    assert [row.ids["connection_id"] for row in counts.refusals("acme")] == ["c2", "c1", "c0"]


def test_a_refusal_that_can_never_be_stored_keeps_back_no_later_one(tmp_path: Path) -> None:
    with database_of("mariadb+pymysql", tmp_path) as database:
        keys = database.keys()
        keys.add("acme")
        counts = VerdictCounts(keys, every=3_600, refusals=24)
        # A TEXT of MariaDB holds 65,535 bytes, and an id of 1,024 bytes takes up to 3,072 of them.
        ids: dict[str, Any] = {f"id{number}": "\N{LATIN SMALL LETTER E WITH ACUTE}" * 512 for number in range(22)}
        refuse(counts, **ids)
        refuse(counts, connection_id="c0")
        with pytest.raises(DataError):
            counts.flush()
        refuse(counts, connection_id="c1")
        counts.close()

        assert [dict(row.ids) for row in counts.refusals("acme")] == [{"connection_id": "c1"}]
        assert counts.readiness()[0].refused == {"missing_signature": 3}


def test_refusals_that_are_put_back_replace_no_later_ones(keys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "MAX_HELD", 2)
    counts = VerdictCounts(keys, every=3_600, refusals=24)
    for number in range(2):
        refuse(counts, connection_id=f"c{number}")
    taken = counts._recent.take()
    refuse(counts, connection_id="c2")
    counts._recent.put_back(taken, counts._tally.is_known)
    counts.close()

    assert [row.ids["connection_id"] for row in counts.refusals("acme")] == ["c2", "c1"]


def test_a_verified_and_a_skipped_request_is_no_refusal(keys: Any) -> None:
    counts = VerdictCounts(keys, refusals=2)
    for reason in (Reason.VERIFIED, Reason.OFF, Reason.EXEMPT, Reason.PREFLIGHT):
        refuse(counts, reason=reason)
    counts(Decision(Verdict(Reason.EXEMPT, "nango"), None, "enforce", False, 0.0))
    counts.close()

    assert counts.refusals("acme") == ()


@pytest.mark.parametrize("hours", [0, -1, float("nan"), "24", True])
def test_the_hours_are_a_number(keys: Any, hours: Any) -> None:
    with pytest.raises(ConfigError, match="refusals"):
        VerdictCounts(keys, refusals=hours)


def test_the_page_links_to_the_check_by_the_number_of_the_row(keys: Any) -> None:
    counts = VerdictCounts(keys, refusals=24)
    refuse(counts, integration_id="github", connection_id="<b>u&1")
    refuse(counts, None)
    counts.close()
    ada = Browser(Console(keys, schemes=[NANGO], authorize=by_header, counts=counts, clock=keys.clock))
    page = ada.get("/refusals", name="acme")
    [number] = [row.id for row in counts.refusals("acme")]

    assert "not verified" in words_of(page)
    assert "Stored for 24 hours" in words_of(page)
    assert f'href="/console/check?refusal={number}"' in page.text
    check = ada.get("/check", refusal=str(number))
    assert not re.search("Its (time|body) is not stored", words_of(check))
    form = forms_of(check.text)[0]
    assert form.fields["id.connection_id"] == "<b>u&1"
    assert form.fields["tenant"] == "acme"
    answer = ada.fill(form, signature=NANGO.sign(KEY, integration_id="github", connection_id="<b>u&1"))
    assert "This signature is right for acme" in words_of(answer)
    assert "Refused requests without a known tenant" in words_of(ada.get("/refusals"))
    assert ada.get("/check", refusal="999").status_code == 404
    assert ada.get("/check", refusal="9" * 30).status_code == 200
    other = Browser(Console(keys, schemes=[NANGO.replace(name="other")], authorize=by_header, counts=counts))
    assert other.get("/check", refusal=str(number)).status_code == 404


def page_of(keys: Any, counts: VerdictCounts) -> str:
    return words_of(
        Browser(Console(keys, schemes=[NANGO], authorize=by_header, counts=counts)).get("/refusals", name="acme")
    )
