"""The console: what its pages do with a real database, and who may use them."""

import csv
import hashlib
import io
import json
import re
import sqlite3
import time
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

pytest.importorskip("sqlalchemy", reason="not run: sqlalchemy is not installed")
pytest.importorskip("jinja2", reason="not run: jinja2 is not installed")

from consoles import (
    ADA,
    ORIGIN,
    PREFIX,
    WHO,
    Browser,
    by_header,
    forms_of,
    secret_in,
    signature_in,
    words_of,
)
from cryptography.fernet import Fernet
from databases import Database, empty_keys, sqlite_in
from key_sources import KEY, OTHER_KEY, Clock, claim_of
from markupsafe import escape
from ports import own_port
from sqlalchemy import create_engine, text
from support import Sent, call_wsgi
from werkzeug.test import Client

from hmac_guard import Cookie, Decision, Form, Guard, Header, Json, Key, Query, Reason, Scheme, Timestamp, Verdict
from hmac_guard import Path as PathSource
from hmac_guard.console import Console, Operator
from hmac_guard.console.access import TokenProblem, check_token, make_token
from hmac_guard.console.site import COOKIE, ROUTES
from hmac_guard.core.errors import ConfigError
from hmac_guard.core.hidden import hide
from hmac_guard.keys import CachedKeys, SqlKeys, VerdictCounts
from hmac_guard.keys.sql import VerdictLedger
from hmac_guard.schemes import GITHUB, NANGO, STANDARD_WEBHOOKS, STRIPE, SUPRSEND

SCHEMES = [NANGO, SUPRSEND, GITHUB, STRIPE]
DATED = Scheme(
    name="dated",
    ids={"user_id": Query("user_id")},
    message="{user_id}.{timestamp}",
    timestamp=Timestamp(Query("timestamp")),
    signature=Query("signature"),
    tenant=Query("tenant"),
)


@pytest.fixture
def keys(tmp_path: Path) -> Any:
    return empty_keys(tmp_path)


@pytest.fixture
def console(keys: Any) -> Console:
    return Console(keys, schemes=SCHEMES, authorize=by_header)


@pytest.fixture
def ada(console: Console) -> Browser:
    return Browser(console)


@pytest.fixture
def vic(console: Console) -> Browser:
    return Browser(console, "vic")


def test_the_first_tenant_gets_to_a_verified_request(keys: Any, ada: Browser) -> None:
    """The first tenant, its key, its code, and a request that the guard verifies."""
    assert "How to get the first verified request" in ada.get("/").text

    form = forms_of(ada.get("/new").text)[-1]
    made = ada.fill(form, name="acme", source="generated")
    secret = secret_in(made)
    signature = NANGO.sign(secret, integration_id="github", connection_id="u-1")
    query = f"connection_id=u-1&public_key=acme&hmac={signature}"
    counts = VerdictCounts(keys)
    guard = Guard(NANGO, keys, on_decision=counts)

    assert made.status_code == 200
    assert keys.list("acme")[0].mode == "report"
    assert call_wsgi(guard, Sent(path="/oauth/connect/github", query=query)).status == 200
    counts.close()
    page = words_of(ada.get("/tenant", name="acme"))
    assert "1 verified 0 refused" in page
    assert secret not in ada.get("/tenant", name="acme").text


def test_a_new_tenant_does_not_change_one_that_has_no_keys(keys: Any, ada: Browser) -> None:
    keys.add("acme", KEY, key_id="k1", mode="enforce", not_before=time.time() + 3_600)
    keys.retire("acme", "k1")

    answer = ada.fill(forms_of(ada.get("/new").text)[-1], name="acme")

    assert answer.status_code == 400
    assert "The tenant 'acme' exists already" in words_of(answer)
    assert [(found.mode, found.keys) for found in keys.tenants()] == [("enforce", ())]


# Rotation, ends, notes, modes


def test_a_form_that_is_sent_twice_makes_one_key(keys: Any, ada: Browser) -> None:
    keys.add("acme", KEY)
    form = forms_of(ada.get("/tenant/key", name="acme").text)[-1]

    first, second = ada.fill(form), ada.fill(form)

    assert (first.status_code, second.status_code) == (200, 400)
    assert "This form was sent twice" in words_of(second)
    assert len(keys.list("acme")) == 2


@pytest.mark.parametrize(
    ("form", "pattern", "made_of"),
    [
        ("text", "[A-Za-z0-9_-]{43}", Key),
        ("hex", "[0-9a-f]{64}", Key.from_hex),
        ("base64", "[A-Za-z0-9+/]{43}=", Key.from_base64),
        ("whsec", "whsec_[A-Za-z0-9+/]{43}=", Key.from_whsec),
    ],
)
def test_a_generated_key_is_written_in_the_chosen_form(
    keys: Any, ada: Browser, form: str, pattern: str, made_of: Any
) -> None:
    added = secret_in(ada.fill(forms_of(ada.get("/new").text)[-1], name="acme", form=form))
    rotated = secret_in(ada.fill(forms_of(ada.get("/tenant/rotate", name="acme").text)[-1], form=form))

    for secret in (added, rotated):
        assert re.fullmatch(pattern, secret)
    newest, oldest = keys(claim_of("acme")).keys
    assert newest.digest("sha256", b"m") == made_of(rotated).digest("sha256", b"m")
    assert oldest.digest("sha256", b"m") == made_of(added).digest("sha256", b"m")


@pytest.mark.parametrize(
    ("form", "secret", "is_short"),
    [
        ("text", "123456789012345", True),
        ("text", "1234567890123456", False),
        ("hex", "0123456789abcdef0123456789abcd", True),
        ("hex", "0123456789abcdef0123456789abcdef", False),
    ],
)
def test_the_page_says_that_a_secret_of_fewer_than_sixteen_bytes_is_short(
    keys: Any, ada: Browser, form: str, secret: str, is_short: bool
) -> None:
    new = forms_of(ada.get("/new").text)[-1]
    made = ada.fill(new, name="acme", source="own", secret=secret, form=form)

    assert made.status_code == 200
    assert ("The secret is short." in words_of(made)) == is_short
    assert "The secret is short." not in words_of(ada.fill(new, name="globex"))


@pytest.mark.parametrize(
    ("path", "changed"),
    [
        ("/new", {"name": "globex"}),
        ("/tenant/key", {}),
        ("/tenant/rotate", {"end": "0"}),
        ("/tenant/rotate", {"end": "86400"}),
    ],
)
def test_a_form_that_is_sent_twice_says_where_the_secret_was(
    keys: Any, ada: Browser, path: str, changed: dict[str, str]
) -> None:
    keys.add("acme", KEY, key_id="k1")
    form = forms_of(ada.get(path, name="acme").text)[-1]
    made, key_id = ada.fill(form, **changed), form.fields["id"]
    before = stored_state(keys)

    again = ada.fill(form, **changed)

    assert (made.status_code, again.status_code) == (200, 400)
    assert stored_state(keys) == before
    assert (
        f"This form was sent twice. The key '{key_id}' exists, and its secret was in the answer to the first sending. "
        f"If you did not see it, end '{key_id}' and make another key."
    ) in words_of(again)
    assert "end the old key first" not in words_of(again)


def test_a_form_with_the_customers_secret_that_is_sent_twice_advises_to_end_no_key(keys: Any, ada: Browser) -> None:
    form = forms_of(ada.get("/new").text)[-1]
    own = {"name": "acme", "source": "own", "secret": KEY, "id": "k1"}
    ada.fill(form, **own)

    page = words_of(ada.fill(form, **own))

    assert "This form was sent twice. The key 'k1' exists. " in page
    assert "end 'k1'" not in page


def test_an_id_that_was_in_use_before_is_no_form_that_was_sent_twice(keys: Any, ada: Browser) -> None:
    keys.add("acme", KEY, key_id="k1")

    page = words_of(ada.fill(forms_of(ada.get("/tenant/key", name="acme").text)[-1], id="k1"))

    assert "The tenant 'acme' has a key 'k1' already" in page
    assert "sent twice" not in page


@pytest.mark.parametrize("path", ["/new", "/tenant/key"])
def test_an_id_that_another_operator_used_is_no_form_that_was_sent_twice(keys: Any, ada: Browser, path: str) -> None:
    keys.add("acme", KEY, key_id="k1")
    form = forms_of(ada.get(path, name="acme").text)[-1]
    keys.add("acme", OTHER_KEY, key_id="k2", actor="bob@example.com")

    page = words_of(ada.fill(form, name="acme", id="k2"))

    assert re.search("The tenant 'acme' (exists|has a key 'k2') already", page)
    assert "sent twice" not in page


def test_a_tenant_that_the_operator_added_before_is_no_form_that_was_sent_twice(keys: Any, ada: Browser) -> None:
    keys.add("acme", KEY, key_id="main", actor=ADA.name)

    page = words_of(ada.fill(forms_of(ada.get("/new").text)[-1], name="acme", id="main"))

    assert "The tenant 'acme' exists already" in page
    assert "sent twice" not in page


def test_the_customers_own_secret_is_stored_and_never_shown(keys: Any, ada: Browser) -> None:
    form = forms_of(ada.get("/new").text)[-1]
    made = ada.fill(form, name="acme", source="own", secret=KEY, form="hex", note="from <b>Bob</b>")

    assert made.status_code == 200
    assert KEY not in made.text
    assert "No page shows it" in words_of(made)
    ids = {"integration_id": "g", "connection_id": "u"}
    assert NANGO.sign(keys(claim_of("acme")).keys[0], ids) == NANGO.sign(Key.from_hex(KEY), ids)
    refused = ada.fill(form, name="globex", source="own", secret="changeme", id="k")
    assert refused.status_code == 400
    assert "changeme" not in refused.text


@pytest.mark.parametrize(("end", "seconds"), [("0", 0), ("3600", 3_600), ("86400", 86_400), ("604800", 604_800)])
def test_a_rotation_ends_the_old_key_at_the_chosen_time(tmp_path: Path, end: str, seconds: float) -> None:
    clock = Clock(1_800_000_000.0)
    keys = empty_keys(tmp_path, clock=clock)
    keys.add("acme", KEY, key_id="old")
    ada = Browser(Console(keys, schemes=[NANGO], authorize=by_header, clock=clock))

    made = ada.fill(forms_of(ada.get("/tenant/rotate", name="acme").text)[-1], end=end)

    assert made.status_code == 200
    assert {key.id: key.not_after for key in keys.list("acme")}["old"] == clock.now + seconds


def test_a_rotation_ends_the_old_key_at_a_time_in_utc(tmp_path: Path) -> None:
    clock = Clock(1_800_000_000.0)  # 2027-01-15 08:00 UTC
    keys = empty_keys(tmp_path, clock=clock)
    keys.add("acme", KEY, key_id="old")
    ada = Browser(Console(keys, schemes=[NANGO], authorize=by_header, clock=clock))
    form = forms_of(ada.get("/tenant/rotate", name="acme").text)[-1]

    assert "is in the past" in words_of(ada.fill(form, end="at", at="2027-01-15T07:59"))
    assert "in UTC" in words_of(ada.fill(form, end="at", at="tomorrow"))
    assert ada.fill(form, end="at", at="2027-01-16T08:00").status_code == 200
    assert {key.id: key.not_after for key in keys.list("acme")}["old"] == clock.now + 86_400
    assert '<time datetime="2027-01-16T08:00:00Z">16 Jan 2027, 08:00 UTC</time>' in ada.get("/tenant", name="acme").text


def test_a_rotation_is_refused_while_one_is_open_unless_the_form_allows_it(keys: Any, ada: Browser) -> None:
    keys.add("acme", KEY, key_id="first")
    ada.fill(forms_of(ada.get("/tenant/rotate", name="acme").text)[-1], end="86400")
    page = ada.get("/tenant/rotate", name="acme")

    refused = ada.fill(forms_of(page.text)[-1])
    assert refused.status_code == 400
    assert "is still open, until" in words_of(refused)
    assert "end the old key first, or rotate anyway." in words_of(refused)
    assert len(keys.list("acme")) == 2
    assert ada.fill(forms_of(page.text)[-1], while_open="yes").status_code == 200
    assert len(keys.list("acme")) == 3


def test_a_rotation_does_not_end_a_key_that_its_sender_has_not_seen(keys: Any, console: Console) -> None:
    """Two operators open the form. The rotation of the second one would end the new key of the first one at once."""
    keys.add("acme", KEY, key_id="k1")
    ada, bob = Browser(console), Browser(console)
    form, other = (forms_of(each.get("/tenant/rotate", name="acme").text)[-1] for each in (ada, bob))
    ada.fill(form, end="0", id="k2")
    before = stored_state(keys)

    refused = bob.fill(other, end="0", id="k3")

    assert refused.status_code == 400
    assert stored_state(keys) == before
    assert "k2 was added since you opened this page. If you rotate, it ends too. End it too" in words_of(refused)
    assert "since you read the keys" not in words_of(refused)
    asked = forms_of(refused.text)[-1]
    assert bob.fill(asked, end="0").status_code == 400  # Without the box.
    keys.add("acme", OTHER_KEY, key_id="later")
    asked_again = bob.fill(asked, end="0", **ticked(refused))
    assert (asked_again.status_code, keys.list("acme")[0].not_after) == (400, None)
    assert " later was added since you opened this page" in words_of(asked_again)
    assert bob.fill(forms_of(asked_again.text)[-1], end="0", **ticked(asked_again)).status_code == 200
    assert [key.id for key in keys.list("acme") if key.not_after is None] == ["k3"]


def test_a_rotation_asks_for_no_key_that_has_ended(keys: Any, ada: Browser) -> None:
    keys.add("acme", KEY, key_id="k1")
    form = forms_of(ada.get("/tenant/rotate", name="acme").text)[-1]
    keys.add("acme", OTHER_KEY, key_id="k2")
    keys.retire("acme", "k2")

    assert ada.fill(form, end="0").status_code == 200


def test_an_open_window_is_ended_early(keys: Any, ada: Browser) -> None:
    keys.add("acme", KEY, key_id="first")
    keys.rotate("acme", key_id="second")
    assert "A rotation is open: first" in words_of(ada.get("/tenant", name="acme"))

    ended = ada.fill(forms_of(ada.get("/tenant/end", name="acme", key="first").text)[-1])

    assert (ended.status_code, ended.location) == (303, "/console/tenant?name=acme&done=ended")
    assert [key.id for key in keys(claim_of("acme")).active(time.time())] == ["second"]
    assert "A rotation is open" not in ada.get("/tenant", name="acme").text


def test_a_key_that_verifies_says_how_often_before_it_ends(keys: Any, ada: Browser) -> None:
    keys.add("acme", KEY, key_id="k1")
    count(keys, "acme", verified=12)
    page = words_of(ada.get("/tenant/end", name="acme", key="k1"))

    assert "It verified 12 requests in the last 24 hours" in page
    assert "It is the only key of acme" in page


def test_the_end_of_the_only_active_key_is_warned_of(tmp_path: Path) -> None:
    clock = Clock(1_800_000_000.0)  # 2027-01-15 08:00 UTC
    keys = empty_keys(tmp_path, clock=clock)
    ada = Browser(Console(keys, schemes=[NANGO], authorize=by_header, clock=clock))
    keys.add("acme", KEY, key_id="k1")
    for number, days in enumerate((9, 7), 2):
        keys.add("acme", key_id=f"k{number}", not_before=clock.now + days * 86_400)

    page = words_of(ada.get("/tenant/end", name="acme", key="k1"))
    assert (
        "It is the only active key of acme. The key k3 begins on 22 Jan 2027, 08:00 UTC . "
        "Until then every request of this tenant is refused."
    ) in page
    assert "It is the only" not in words_of(ada.get("/tenant/end", name="acme", key="k2"))
    keys.add("acme", OTHER_KEY, key_id="k4", not_after=clock.now + 3_600)
    assert "It is the only" not in words_of(ada.get("/tenant/end", name="acme", key="k1"))
    keys.retire("acme", "k1")
    clock.pass_by(1)
    assert "It is the only active key of acme." in words_of(ada.get("/tenant/end", name="acme", key="k4"))
    assert "It is the only" not in words_of(ada.get("/tenant/end", name="acme", key="k1"))


def test_the_last_active_key_ends_only_after_the_warning(keys: Any, console: Console) -> None:
    """Two operators end the two keys. Each opened the page while the other key was active."""
    for number in (1, 2):
        keys.add("acme", key_id=f"k{number}")
    ada, bob = Browser(console), Browser(console)
    form, other = (
        forms_of(each.get("/tenant/end", name="acme", key=f"k{number}").text)[-1]
        for number, each in enumerate((ada, bob), 1)
    )
    assert ada.fill(form).status_code == 303
    before = stored_state(keys)

    refused = bob.fill(other)

    assert refused.status_code == 400
    assert stored_state(keys) == before
    assert "It is the only key of acme." in words_of(refused)
    assert bob.fill(forms_of(refused.text)[-1]).status_code == 303
    assert keys(claim_of("acme")).active(time.time()) == ()


def test_a_key_that_has_not_begun_is_deleted(keys: Any, ada: Browser) -> None:
    keys.add("acme", KEY, key_id="k1", not_before=time.time() + 3_600)
    page = ada.get("/tenant/end", name="acme", key="k1")

    assert "It is deleted, because it has not begun." in words_of(page)
    assert "are refused from now on" not in words_of(page)
    assert ada.fill(forms_of(page.text)[-1]).status_code == 303
    assert keys.list("acme") == ()


def test_a_note_is_saved(keys: Any, ada: Browser) -> None:
    keys.add("acme", KEY, key_id="k1")
    form = forms_of(ada.get("/tenant/note", name="acme", key="k1").text)[-1]

    assert ada.fill(form, note="ask Bob").status_code == 303
    assert keys.list("acme")[0].note == "ask Bob"
    assert "at most 1,000" in words_of(ada.fill(form, note="x" * 1001))


@pytest.mark.parametrize("other", ['ask Eve\n"today"', ""])
def test_a_note_is_not_saved_over_one_that_its_sender_has_not_seen(keys: Any, console: Console, other: str) -> None:
    keys.add("acme", KEY, key_id="k1", note="first\nline")
    ada, bob = Browser(console), Browser(console)
    mine, his = (forms_of(each.get("/tenant/note", name="acme", key="k1").text)[-1] for each in (ada, bob))
    assert ada.fill(mine, note=other).status_code == 303
    before = stored_state(keys)

    refused = bob.fill(his, note="ask Zoe")

    assert refused.status_code == 400
    assert stored_state(keys) == before
    says = "The note was changed since you opened this page. If you save, your text replaces "
    assert says + (f"this note: {other}" if other else "an empty note.").replace("\n", " ") in words_of(refused)
    assert ">\nask Zoe</textarea>" in refused.text
    assert bob.fill(forms_of(refused.text)[-1], note="ask Zoe").status_code == 303
    assert keys.list("acme")[0].note == "ask Zoe"


def test_a_note_that_is_sent_twice_is_saved(keys: Any, ada: Browser) -> None:
    keys.add("acme", KEY, key_id="k1")
    form = forms_of(ada.get("/tenant/note", name="acme", key="k1").text)[-1]

    assert [ada.fill(form, note="one\r\ntwo").status_code for _ in range(2)] == [303, 303]
    assert keys.list("acme")[0].note == "one\ntwo"
    again = forms_of(ada.get("/tenant/note", name="acme", key="k1").text)[-1]
    sent = {**again.fields, "old": again.fields["old"].replace("\n", "\r\n")}  # As a browser sends it.
    assert ada.post("/tenant/note", **{**sent, "note": "three"}).status_code == 303


def test_the_env_file_has_the_secret_and_nothing_else(ada: Browser) -> None:
    answer = ada.post("/tenant/env", name='a"c/me', secret=KEY)

    assert answer.text == f"HMAC_GUARD_KEY='{KEY}'\n"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="a_c_me.env"'


# Modes


def test_the_page_of_a_mode_shows_counts_and_asks_for_a_confirmation(keys: Any, ada: Browser) -> None:
    keys.add("acme", KEY, mode="report")
    count(keys, "acme", verified=1_204, missing_signature=2, invalid_signature=1)
    evidence = (
        "Of 1,207 requests in the last 24 hours 3 would have been refused: missing_signature 2, invalid_signature 1."
    )

    assert evidence in words_of(ada.get("/tenant/switch", name="acme"))
    confirm = ada.get("/tenant/switch/confirm", name="acme", mode="enforce")
    assert evidence in words_of(confirm)
    assert "Enforce for acme?" in words_of(confirm)
    done = ada.fill(forms_of(confirm.text)[-1])  # A refusal warns, and does not block.
    assert (done.status_code, keys.list("acme")[0].mode) == (303, "enforce")
    assert "The mode is set." in ada.get("/tenant", name="acme", done="mode").text


def test_a_tenant_without_counted_requests_is_not_ready(keys: Any, ada: Browser) -> None:
    keys.add("acme", KEY, mode="report")

    assert "No requests yet." in words_of(ada.get("/tenant/switch/confirm", name="acme", mode="enforce"))


def test_a_tenant_whose_requests_are_all_verified_is_ready(keys: Any, ada: Browser) -> None:
    keys.add("acme", KEY, mode="report")
    keys.add("acme-2", KEY, mode="report")
    count(keys, "acme", verified=2)
    count(keys, "acme-2", missing_signature=2)

    assert "Ready. All 2 requests" in words_of(ada.get("/tenant/switch", name="acme"))


def test_one_verified_request_is_counted_in_the_singular(keys: Any, ada: Browser) -> None:
    keys.add("acme", KEY, mode="report")
    count(keys, "acme", verified=1)

    assert "Ready. The only request in the last 24 hours had" in words_of(ada.get("/tenant/switch", name="acme"))


@pytest.mark.parametrize(
    ("mode", "counted", "says"),
    [
        (
            "report",
            {"off": 2, "verified": 3},
            "Ready. 3 of 5 requests in the last 24 hours were checked, and all of them had a valid signature. 2 were "
            "not checked because the mode was off.",
        ),
        (
            "off",
            {"off": 1, "verified": 1},
            "Ready. 1 of 2 requests in the last 24 hours was checked, and it had a valid signature. 1 was not checked "
            "because the mode is off.",
        ),
    ],
    ids=["the mode was off", "the mode is off"],
)
def test_a_tenant_with_requests_that_were_not_checked_is_ready_as_on_the_command_line(
    keys: Any, ada: Browser, mode: str, counted: dict[str, int], says: str
) -> None:
    keys.add("acme", KEY, mode=mode)
    count(keys, "acme", **counted)
    page = ada.get("/tenant/switch", name="acme")

    assert VerdictLedger(keys).readiness()[0].ready
    assert says in words_of(page)
    assert "note good" not in page.text
    assert not re.search('class="button primary" href="[^"]*/tenant/switch', ada.get("/tenant", name="acme").text)


@pytest.mark.parametrize(
    ("mode", "counted", "says"),
    [
        (
            "off",
            {"off": 5},
            "Not ready. 5 requests in the last 24 hours were not checked because the mode is off; switch to report "
            "first.",
        ),
        (
            "report",
            {"off": 1},
            "Not ready. 1 request in the last 24 hours was not checked because the mode was off.",
        ),
        (
            "report",
            {"off": 200, "verified": 1, "missing_signature": 2},
            "Of 3 requests in the last 24 hours 2 would have been refused: missing_signature 2. 200 requests in the "
            "last 24 hours were not checked because the mode was off.",
        ),
    ],
    ids=["the mode is off", "the mode was off", "some were refused later"],
)
def test_requests_that_were_not_checked_are_no_evidence(
    keys: Any, ada: Browser, mode: str, counted: dict[str, int], says: str
) -> None:
    keys.add("acme", KEY, mode=mode)
    count(keys, "acme", **counted)
    confirm = words_of(ada.get("/tenant/switch/confirm", name="acme", mode="enforce"))
    page = ada.get("/tenant", name="acme")

    assert says in confirm
    assert not re.search("No requests yet| Ready| All [0-9]", confirm)
    assert not re.search('class="button primary" href="[^"]*/tenant/switch', page.text)
    assert "No request was counted" not in words_of(page)
    if len(counted) == 1:
        assert says.removeprefix("Not ready. ") in words_of(page)


@pytest.mark.parametrize("mode", ["enforce", "guard"])
def test_a_mode_that_may_refuse_is_confirmed_with_what_is_known(keys: Any, ada: Browser, mode: str) -> None:
    keys.add("acme", KEY, key_id="k1", mode="report")
    count(keys, "acme", verified=1, missing_signature=2)
    keys.retire("acme", "k1")

    page = words_of(ada.get("/tenant/switch/confirm", name="acme", mode=mode))

    assert "Of 3 requests in the last 24 hours 2 would have been refused" in page
    assert "No key of this tenant is active, so every request would be refused" in page
    assert ("if the mode of the guard is enforce" in page) == (mode == "guard")


@pytest.mark.parametrize("to", ["report", "enforce"])
def test_a_mode_is_not_changed_if_its_sender_has_seen_another_one(keys: Any, console: Console, to: str) -> None:
    keys.add("acme", KEY, mode="off")
    ada, bob = Browser(console), Browser(console)
    form, other = (
        forms_of(each.get("/tenant/switch/confirm", name="acme", mode=mode).text)[-1]
        for each, mode in ((ada, "enforce"), (bob, to))
    )
    assert ada.fill(form).status_code == 303
    before = stored_state(keys)

    refused = bob.fill(other)

    assert refused.status_code == 400
    assert stored_state(keys) == before
    assert "The mode was changed since you opened this page." in words_of(refused)
    assert "The mode is now Enforce ." in words_of(refused)
    if to == "enforce":
        assert "The tenant is in this mode already." in words_of(refused)
        assert not any(form.action.endswith("/confirm") for form in forms_of(refused.text))
    else:
        assert bob.fill(forms_of(refused.text)[-1]).status_code == 303
        assert keys.list("acme")[0].mode == to


@pytest.mark.parametrize("mode", ["enforce", "guard"])
def test_a_mode_that_may_refuse_is_set_without_a_key_only_after_the_warning(keys: Any, ada: Browser, mode: str) -> None:
    keys.add("acme", KEY, key_id="k1", mode="report")
    form = forms_of(ada.get("/tenant/switch/confirm", name="acme", mode=mode).text)[-1]
    keys.retire("acme", "k1")
    before = stored_state(keys)

    refused = ada.fill(form)

    assert refused.status_code == 400
    assert stored_state(keys) == before
    assert "No key of this tenant is active" in words_of(refused)
    assert "since you opened this page" not in words_of(refused)
    assert ada.fill(forms_of(refused.text)[-1]).status_code == 303
    assert (keys.list("acme")[0].mode or "guard") == mode


@pytest.mark.parametrize("mode", ["report", "off"])
def test_a_mode_that_refuses_nothing_needs_no_key(keys: Any, ada: Browser, mode: str) -> None:
    keys.add("acme", KEY, key_id="k1", mode="enforce")
    form = forms_of(ada.get("/tenant/switch/confirm", name="acme", mode=mode).text)[-1]
    keys.retire("acme", "k1")

    assert ada.fill(form).status_code == 303


def test_a_less_strict_mode_of_the_guard_is_reported(keys: Any, ada: Browser) -> None:
    keys.add("acme", KEY, mode="enforce")
    count(keys, "acme", verified=2)

    assert "Nothing is enforced. The guard itself is in the mode report" in words_of(
        ada.get("/tenant/switch", name="acme")
    )


# The list


def test_the_list_is_searched_filtered_and_paged(keys: Any, ada: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hmac_guard.console.pages.tenants.PAGE", 10)
    for number in range(12):
        keys.add(f"tenant-{number:02}", mode="report" if number == 7 else "enforce")
    keys.rotate("tenant-09", grace=3_600)
    count(keys, "tenant-11", verified=1)

    first = ada.get("/")
    assert listed(first) == [f"tenant-{number:02}" for number in range(10)]
    [after] = re.findall(r'href="(/console/\?after=[^"]+)" rel="next"', first.text)
    assert listed(ada.client.get(after, headers=ada.headers)) == ["tenant-10", "tenant-11"]
    assert listed(ada.get("/", prefix="tenant-1")) == ["tenant-10", "tenant-11"]
    assert listed(ada.get("/", show="report")) == ["tenant-07"]
    assert listed(ada.get("/", show="ending")) == ["tenant-09"]
    assert "tenant-11" not in listed(ada.get("/", show="not-ready"))
    assert "tenant-11" not in listed(ada.get("/", show="unused"))
    assert "No name of this filter begins with" in words_of(ada.get("/", show="report", prefix="zzz"))


def test_the_list_has_no_numbers_of_another_day(keys: Any, ada: Browser) -> None:
    keys.add("acme", KEY)
    count(keys, "acme", verified=7, missing_signature=3)
    shown = ">{}<".format

    for days, verified, refused in ((0, 7, 3), (3, 0, 0)):
        with keys.engine.begin() as connection:
            connection.execute(text(f"UPDATE {keys.table.hours.name} SET hour = hour - {24 * days}"))
        page = ada.get("/").text
        assert shown(verified) in re.findall('data-label="Verified, 24 h"[^>]*>[^<]*<', page)[0]
        assert shown(refused) in re.findall('data-label="Refused, 24 h"[^>]*>[^<]*<', page)[0]
        assert f"{verified} verified, {refused} refused in 24 hours" in page
    assert "No request was counted in the last 24 hours." in words_of(ada.get("/tenant", name="acme"))


@pytest.mark.parametrize(
    ("refused", "verified", "hours", "says", "has_steps"),
    [
        (0, 0, "24", "24 hours", True),
        (3, 0, "24", "24 hours", True),
        (3, 0, "168", "7 days", True),
        (0, 1, "168", "7 days", False),
    ],
    ids=["none was counted", "some were refused", "some were refused, 7 days", "one was verified"],
)
def test_a_tenant_without_requests_in_the_span_has_the_first_steps_until_one_is_verified(
    keys: Any, ada: Browser, refused: int, verified: int, hours: str, says: str, has_steps: bool
) -> None:
    keys.add("acme", KEY)
    count(keys, "acme", missing_signature=refused, verified=verified)
    with keys.engine.begin() as connection:
        connection.execute(text(f"UPDATE {keys.table.hours.name} SET hour = hour - {24 * 8}"))

    page = words_of(ada.get("/tenant", name="acme", hours=hours))

    assert f"No request was counted in the last {says}." in page
    assert "counted yet" not in page
    assert ("How to get the first verified request:" in page) is has_steps


# Check


def fields(**changed: str) -> dict[str, str]:
    ids = {"id.integration_id": "github", "id.connection_id": "u-1"}
    return {"kind": "ids", "scheme": "nango", "tenant": "acme", **ids, "signature": "", **changed}


def test_ids_give_the_bytes_that_are_signed(keys: Any, vic: Browser) -> None:
    keys.add("acme", KEY)
    page = words_of(vic.post("/check", **fields()))

    assert "The bytes to sign for acme" in page
    assert "67 69 74 68 75 62 3a 75 2d 31 github:u-1" in page


@pytest.mark.parametrize("key", [KEY, OTHER_KEY])
def test_a_signature_of_each_active_key_is_right(keys: Any, vic: Browser, key: str) -> None:
    keys.add("acme", KEY, key_id="first")
    keys.rotate("acme", OTHER_KEY, key_id="second")
    signature = NANGO.sign(key, integration_id="github", connection_id="u-1")
    page = words_of(vic.post("/check", **fields(signature=signature)))

    assert "Right This signature is right for acme" in page
    assert f"Made with the key {'first' if key == KEY else 'second'}" in page


@pytest.mark.parametrize(
    ("key", "moved", "says"),
    [
        (OTHER_KEY, 0, "Right This signature is right for acme"),
        (KEY, 0, "Right This signature is right for acme"),
        (OTHER_KEY, 7_200, "Not verified: expired. Cause: the timestamp is off by -2 hours"),
        (KEY, 7_200, "(with the id first, which has ended) was used."),
    ],
)
def test_the_check_uses_the_clock_of_the_console(tmp_path: Path, key: str, moved: int, says: str) -> None:
    clock = Clock(10_000_000_000.0)
    keys = empty_keys(tmp_path, clock=clock)
    keys.add("acme", KEY, key_id="first")
    keys.rotate("acme", OTHER_KEY, grace=3_600)
    vic = Browser(Console(keys, schemes=[DATED], authorize=by_header, clock=clock), "vic")
    ids = {"id.user_id": "u-1", "id.timestamp": str(int(clock.now))}
    signature = DATED.sign(key, user_id="u-1", timestamp=int(clock.now))
    clock.pass_by(moved)

    page = words_of(vic.post("/check", kind="ids", scheme="dated", tenant="acme", signature=signature, **ids))

    assert says in page


@pytest.mark.parametrize("key", [KEY, OTHER_KEY])
def test_a_signature_of_each_active_key_is_refused_only_for_its_time(keys: Any, key: str) -> None:
    keys.add("acme", KEY)
    keys.rotate("acme", OTHER_KEY)
    sent_at = int(time.time()) - 1_000
    signature = DATED.sign(key, user_id="u-1", timestamp=sent_at)
    vic = Browser(Console(keys, schemes=[DATED], authorize=by_header), "vic")
    ids = {"id.user_id": "u-1", "id.timestamp": str(sent_at)}
    page = words_of(vic.post("/check", kind="ids", scheme="dated", tenant="acme", signature=signature, **ids))

    assert "Not verified: expired. Cause: the timestamp is" in page
    assert "Except for that, the signature is right." in page


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("public_key=globex", "the request names the tenant 'globex', not 'acme'"),
        ("public_key=nobody", "the request names the tenant 'nobody', not 'acme'"),
        ("public_key=acme&public_key=acme", "the query parameter 'public_key' is there more than once"),
        ("public_key=", "the request names no tenant; the guard answers 401"),
        ("", "the request names no tenant; the guard answers 401"),
    ],
)
def test_a_signature_of_the_typed_tenant_is_not_right_for_a_request_that_does_not_name_it(
    keys: Any, vic: Browser, query: str, says: str
) -> None:
    keys.add("acme", KEY)
    keys.add("globex", OTHER_KEY)
    signature = NANGO.sign(KEY, integration_id="github", connection_id="u-1")
    path, query = "/oauth/connect/github", f"connection_id=u-1&hmac={signature}&{query}"
    guard = Guard(NANGO, keys)
    assert call_wsgi(guard, Sent(path=path, query=query)).status == 401
    page = words_of(
        vic.post("/check", kind="request", scheme="nango", tenant="acme", request=f"https://x{path}?{query}")
    )

    assert "Not right" in page
    assert "is right for" not in page
    assert says in page
    assert "Except for that, the signature is right." in page


@pytest.mark.parametrize("signature", ["", SUPRSEND.sign(KEY, distinct_id="u")])
def test_a_typed_tenant_that_the_guard_reads_as_another_one_is_reported(
    keys: Any, vic: Browser, signature: str
) -> None:
    keys.add("pk:1", KEY)
    typed = {"kind": "ids", "scheme": "suprsend", "tenant": "pk:1", "id.distinct_id": "u"}
    page = words_of(vic.post("/check", **typed, signature=signature))

    assert "This signature is right" not in page
    assert "the request names the tenant 'pk', not 'pk:1'" in page


def test_the_tenant_in_the_path_of_a_mounted_application_is_read(keys: Any) -> None:
    scheme = Scheme(
        name="paths", ids={"id": Query("id")}, message="{id}", signature=Query("sig"), tenant=PathSource("/t/{tenant}/")
    )
    keys.add("acme", KEY)
    vic = Browser(Console(keys, schemes=[scheme], authorize=by_header), "vic")
    request = f"https://x/api/t/acme/?id=1&sig={scheme.sign(KEY, id='1')}"
    page = words_of(vic.post("/check", kind="request", scheme="paths", mount="/api", request=request))

    assert "This signature is right for acme" in page


def test_a_mistake_is_named_and_the_right_signature_is_not_shown(keys: Any, vic: Browser) -> None:
    keys.add("acme", KEY)
    wrong = NANGO.sign(KEY, integration_id="github", connection_id="u-1").upper()
    right = NANGO.sign(KEY, integration_id="github", connection_id="u-1")
    answer = vic.post("/check", **fields(signature=wrong))

    assert "Not right" in words_of(answer)
    assert "upper" in words_of(answer)
    assert right not in answer.text


def test_a_whole_request_is_explained_with_the_places_marked(keys: Any, vic: Browser) -> None:
    keys.add("acme", KEY)
    request = "curl 'https://api.example/oauth/connect/github?connection_id=u-1&public_key=acme&hmac=00'"
    answer = vic.post("/check", kind="request", scheme="nango", tenant="", request=request, entry="", mount="")

    assert '<mark>  ?connection_id=u-1</mark> <span class="tag">connection_id</span>' in answer.text
    assert "Not right This request of acme is refused" in words_of(answer)


def test_only_an_operator_sees_the_right_signature_and_it_is_audited(keys: Any, ada: Browser, vic: Browser) -> None:
    keys.add("acme", KEY)

    refused = vic.post("/check/signature", **fields())
    assert (refused.status_code, len(keys.audit(action="signature"))) == (403, 0)
    shown = ada.post("/check/signature", **fields())
    assert signature_in(shown) == NANGO.sign(KEY, integration_id="github", connection_id="u-1")
    [entry] = keys.audit(action="signature")
    assert (entry.tenant, entry.actor) == ("acme", ADA.name)
    assert entry.detail["ids"] == {"integration_id": "github", "connection_id": "u-1"}
    assert entry.detail["message_sha256"] == hashlib.sha256(b"github:u-1").hexdigest()
    assert signature_in(shown) not in ada.get("/audit").text


def test_no_signature_is_shown_for_ids_that_the_audit_would_not_name(keys: Any, ada: Browser) -> None:
    """The explanation guesses what a request means; a signature is shown only for what the guard reads."""
    keys.add("acme", KEY)
    request = "https://x/oauth/connect/github?connection_id=u-1&connection_id=u-2&public_key=acme"
    guessed = ada.post("/check/signature", kind="request", scheme="nango", request=request)
    ambiguous = ada.post("/check/signature", **fields(**{"id.integration_id": "a:b"}))

    for answer in (guessed, ambiguous):
        assert answer.status_code == 400
        assert 'id="right"' not in answer.text
    assert "the guard does not read connection_id" in words_of(guessed).replace("The guard", "the guard")
    assert keys.audit(action="signature") == ()


@pytest.mark.parametrize("swapped_id", ["integration_id", "connection_id"])
def test_a_signature_in_the_place_of_an_id_is_not_stored_in_the_audit(
    keys: Any, ada: Browser, vic: Browser, swapped_id: str
) -> None:
    keys.add("acme", KEY)
    sent = {"integration_id": "github", "connection_id": "u-1"}
    signature = NANGO.sign(KEY, **sent)
    sent["hmac"], sent[swapped_id] = sent[swapped_id], signature
    request = f"https://x/?public_key=acme&{urlencode(sent)}"
    answer = ada.post("/check/signature", kind="request", scheme="nango", request=request)

    assert answer.status_code == 400
    assert "there is no right signature" in words_of(answer)
    assert keys.audit(action="signature") == ()
    assert signature not in vic.get("/audit").text + vic.get("/audit.csv").text


@pytest.mark.without_coverage
def test_a_part_of_a_right_signature_reveals_nothing(keys: Any, vic: Browser) -> None:
    """Nothing that a viewer sees depends on fewer than 64 bits of a right signature: 16 characters of hex."""
    keys.add("acme", KEY)
    right = NANGO.sign(KEY, integration_id="github", connection_id="u-1")
    pages_by_length = {}
    for length in (1, 8, 15):
        cut, other = right[:length], "".join("0" if one != "0" else "1" for one in right[:length])
        # On a busy machine the search ends before every pair of mistakes is tried, and says so.
        busy = "but the time was too short to try all pairs"
        answers = [words_of(vic.post("/check", **fields(signature=text))) for text in (cut, other)]
        pages = [text.replace(busy, "alone or with another one") for text in answers]
        assert pages[0] == pages[1]
        pages_by_length[length] = pages[0]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"tenant": "unknown"}, "there is no tenant"),
        ({"id.connection_id": ""}, "connection_id is missing"),
        ({"id.connection_id": " u "}, "cannot be an id"),
        ({"id.integration_id": "a:b"}, "it contains ':'"),
        ({"kind": "request", "request": "nothing of the sort"}, "not a URL"),
        ({"kind": "request", "request": "https://x/", "entry": "-1"}, "whole number"),
        ({"kind": "request", "request": "https://x/", "tenant": ""}, "does not name a tenant"),
        ({"kind": "request", "request": "https://x/", "mount": "api"}, "the mount point 'api' is not a path"),
        ({"kind": "request", "request": "https://x/", "tenant": "", "mount": "api"}, "the mount point 'api' is not"),
        ({"kind": "request", "request": "\x00\xff{", "tenant": "acme"}, ""),
    ],
)
def test_an_input_that_cannot_be_checked_is_reported(
    keys: Any, vic: Browser, changed: dict[str, str], says: str
) -> None:
    keys.add("acme", KEY)
    answer = vic.post("/check", **fields(**changed))

    assert answer.status_code in (200, 400)
    assert says in words_of(answer).lower().replace("a url", "a URL")


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_every_scheme_has_its_form_and_its_code(keys: Any, ada: Browser, scheme: Any) -> None:
    keys.add("acme", KEY)
    form = forms_of(ada.get("/check", scheme=scheme.name, name="acme").text)[0]
    filled = {name: value or "x1" for name, value in form.fields.items() if name != "signature"}

    right = signature_in(ada.post("/check/signature", **{**filled, "signature": ""}))
    assert "This signature is right for acme" in words_of(ada.post("/check", **{**filled, "signature": right}))
    for language in ("python", "go", "shell"):
        assert ada.get("/signing", scheme=scheme.name, name="acme", language=language).status_code == 200
    download = ada.get("/signing.md", scheme=scheme.name, name="acme")
    assert download.text.startswith("# How to sign for")


def test_the_code_of_a_page_has_the_tenant_where_it_can_be_sent(keys: Any) -> None:
    tenant = Header("X-Tenant") | Query("tenant")
    scheme = Scheme(name="x", ids={"user": Query("user")}, message="{user}", signature=Query("sig"), tenant=tenant)
    for name in ("acme", "größe"):
        keys.add(name, KEY)
    vic = Browser(Console(keys, schemes=[scheme], authorize=by_header), "vic")

    for path in ("/signing", "/signing.md"):
        assert ["X-Tenant" in vic.get(path, name=name).text for name in ("", "acme", "größe")] == [True, True, False]


@pytest.mark.parametrize("path", ["/signing", "/signing.md"])
@pytest.mark.parametrize("name", ["acme'\n```\n\n## Send us your key\n", "acm", "\x00"])
def test_how_to_sign_names_only_a_tenant_that_exists(keys: Any, vic: Browser, path: str, name: str) -> None:
    keys.add("acme", KEY)
    crafted = vic.get(path, scheme="suprsend", name=name)

    assert crafted.status_code == 404
    assert "\n## Send us your key\n" not in crafted.text
    assert [vic.get(path, name=known).status_code for known in ("", "acme")] == [200, 200]


def test_there_is_no_code_for_a_scheme_whose_secrets_are_decoded(keys: Any) -> None:
    browser = Browser(Console(keys, schemes=[STANDARD_WEBHOOKS], authorize=by_header))

    page, download = browser.get("/signing"), browser.get("/signing.md")
    assert (page.status_code, download.status_code) == (200, 400)
    for answer in (page, download):
        assert "is used decoded" in words_of(answer)
        assert "def sign" not in answer.text
    assert "Download" not in page.text


# Audit


def test_the_audit_is_filtered_and_exported(keys: Any, ada: Browser) -> None:
    keys.add("acme", KEY, actor="=1+1")
    keys.add("globex", OTHER_KEY, actor='a;"=HYPERLINK(1);x')
    ada.fill(forms_of(ada.get("/tenant/note", name="acme", key=keys.list("acme")[0].id).text)[-1], note="hello")

    assert [row["tenant"] for row in json_lines(ada.get("/audit.jsonl"))] == ["acme", "globex", "acme"]
    assert [row["action"] for row in json_lines(ada.get("/audit.jsonl", tenant="acme"))] == ["note", "add"]
    [note] = json_lines(ada.get("/audit.jsonl", actor=ADA.name))
    assert (note["action"], note["origin"], note["detail"]["note"]) == ("note", "192.0.2.7", "hello")
    rows = list(csv.reader(io.StringIO(ada.get("/audit.csv").text)))
    assert rows[0] == ["number", "time", "tenant", "actor", "origin", "action", "detail"]
    assert rows[3][3] == "'=1+1"  # no formula of a spreadsheet
    assert rows[2][3] == "a;'\"=HYPERLINK(1);x"
    assert "globex" not in words_of(ada.get("/audit", tenant="acme"))


def test_an_export_and_the_pages_have_every_entry(keys: Any, ada: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hmac_guard.console.pages.audit.EXPORT_PAGE", 3)
    monkeypatch.setattr("hmac_guard.console.pages.audit.PAGE", 3)
    keys.add("acme", KEY, key_id="k")
    for number in range(6):
        keys.note("acme", "k", f"note {number}")

    assert len(json_lines(ada.get("/audit.jsonl"))) == 7
    assert 'rel="next"' in ada.get("/audit").text


# Permissions

FORMS = [path for path, route in ROUTES.items() if route.post]


def stored_state(keys: Any) -> Any:
    """Return everything that a form may change."""
    return keys.list(), len(keys.audit(limit=1_000))


def changing_forms(keys: Any, console: Console) -> list[tuple[str, dict[str, str]]]:
    """Return each form of the console, with values that change something."""
    keys.add("acme", KEY, key_id="k1")
    secret = {"source": "generated", "form": "text", "note": "", "id": "new"}
    return [
        ("/new", {"name": "new", "mode": "enforce", **secret}),
        ("/tenant/key", {"name": "acme", **secret}),
        ("/tenant/env", {"name": "acme", "secret": "x"}),
        ("/tenant/rotate", {"name": "acme", "end": "3600", **secret, "id": "rotated"}),
        ("/tenant/end", {"name": "acme", "key": "k1", "warned": "yes"}),
        ("/tenant/note", {"name": "acme", "key": "k1", "note": "changed"}),
        ("/tenant/switch/confirm", {"name": "acme", "mode": "off"}),
        ("/check", fields()),
        ("/check/signature", fields()),
    ]


def test_the_list_of_forms_is_complete_and_each_form_works(keys: Any, console: Console, ada: Browser) -> None:
    forms = changing_forms(keys, console)

    assert [path for path, _ in forms] == FORMS
    for path, given in forms:
        assert ada.post(path, **given).status_code in (200, 303), path
    assert [key.id for key in keys.list("new")] == ["new"]


@pytest.mark.parametrize("path", FORMS)
def test_a_form_without_the_right_to_send_it_is_refused(keys: Any, console: Console, path: str) -> None:
    """Without login, as a viewer, with a missing, other, expired or forged token, and from another origin or none."""
    clock = Clock(1_800_000_000.0)
    console.clock = clock
    given = dict(changing_forms(keys, console))[path]
    before = stored_state(keys)
    ada, other, vic, anonymous = (Browser(console, who) for who in ("ada", "ada", "vic", ""))
    tokens = {browser: browser.token() for browser in (ada, other, vic)}

    def refused(answer: Any, says: str) -> None:
        assert answer.status_code == 403
        assert says in words_of(answer)
        assert "acme" not in answer.text
        assert stored_state(keys) == before

    refused(anonymous.post(path, token=tokens[ada], **given), "You are not signed in as an operator")
    if not ROUTES[path].viewers:
        refused(vic.post(path, **given), "Your role is viewer")
    refused(ada.post(path, token="", **given), "Nothing was changed: the form has no token")
    refused(ada.post(path, token=tokens[other], **given), "belongs to another session")
    refused(ada.post(path, token=tokens[vic], **given), "belongs to another session")
    refused(ada.post(path, token=tokens[ada][:-1] + "x", **given), "belongs to another session")
    refused(ada.post(path, token="é.é", **given), "has no token")
    for origin in ("https://evil.example", "null", "http://localhost:1", None):
        refused(ada.post(path, token=tokens[ada], origin=origin, **given), "sent from another origin")
    ada.client.delete_cookie(COOKIE, path=f"{PREFIX}/")
    refused(
        ada.client.post(PREFIX + path, data={"token": tokens[ada], **given}, headers={**ada.headers, "Origin": ORIGIN}),
        "has no token",
    )
    clock.pass_by(12 * 3_600 + 1)
    refused(other.post(path, token=tokens[other], **given), "older than 12 hours")
    assert other.client.put(PREFIX + path, headers=other.headers).status_code == 405


@pytest.mark.parametrize(
    ("seconds", "problem"),
    [(0, None), (-299, None), (-301, TokenProblem.EXPIRED), (43_200, None), (43_201, TokenProblem.EXPIRED)],
)
def test_a_token_is_valid_for_twelve_hours_on_every_worker(seconds: float, problem: TokenProblem | None) -> None:
    secret, now = hide("s" * 32), 1_800_000_000.0
    token = make_token(secret, "session", "ada", now)

    assert check_token(secret, token, "session", "ada", now + seconds) is problem
    assert check_token(hide("t" * 32), token, "session", "ada", now) is TokenProblem.OTHER_SESSION
    assert check_token(secret, token, "sessiona", "da", now) is TokenProblem.OTHER_SESSION


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.without_coverage
def test_no_page_is_public_cached_or_framed(console: Console, keys: Any, path: str) -> None:
    keys.add("acme", KEY, key_id="k1")
    anonymous, vic = Browser(console, ""), Browser(console, "vic")
    query = {"name": "acme", "key": "k1", "mode": "enforce"}

    refused = anonymous.get(path, **query)
    assert refused.status_code == 403
    assert "acme" not in refused.text
    for answer in (refused, vic.get(path, **query), Browser(console).get(path, **query)):
        assert answer.headers["Cache-Control"] == "no-store"
        policy = answer.headers["Content-Security-Policy"]
        assert {"default-src 'none'", "frame-ancestors 'none'"} <= set(policy.split("; "))
        assert "unsafe" not in policy
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert not re.search(r"<script(?![^>]*src=)|\sstyle=|\son[a-z]+=|javascript:", answer.text)


def test_a_viewer_sees_no_button_that_changes_anything(keys: Any, vic: Browser) -> None:
    keys.add("acme", KEY, key_id="k1")
    for path in ("/", "/tenant", "/tenant/switch", "/check", "/signing", "/audit"):
        for form in forms_of(vic.get(path, name="acme").text):
            changes = form.method == "post" and form.action != "/console/check"
            assert not changes, form
            assert "/console/check/signature" not in form.buttons
        for link in ("/new", "/tenant/key", "/tenant/rotate", "/tenant/end", "/tenant/note"):
            assert f'href="/console{link}' not in vic.get(path, name="acme").text


def test_an_error_or_another_value_of_authorize_is_a_403(keys: Any, caplog: Any) -> None:
    def fails(request: Any) -> Any:
        raise RuntimeError(KEY)

    for authorize in (fails, lambda request: True, lambda request: "ada", lambda request: Operator("", "operator")):
        answer = Browser(Console(keys, schemes=[NANGO], authorize=authorize)).get("/")
        assert answer.status_code == 403
    assert "authorize failed" in caplog.text
    assert "returned a bool" in caplog.text
    assert KEY not in caplog.text


def test_authorize_is_called_for_every_request(keys: Any) -> None:
    asked = []

    def authorize(request: Any) -> Operator:
        asked.append(request.path)
        return ADA

    browser = Browser(Console(keys, schemes=[NANGO], authorize=authorize))
    browser.get("/")
    browser.get("/audit")
    assert asked == ["/", "/audit"]


def test_an_origin_behind_a_proxy_has_to_be_named(keys: Any) -> None:
    keys.add("acme", KEY, key_id="k1")
    console = Console(keys, schemes=[NANGO], authorize=by_header, origins=["https://admin.example"])
    ada = Browser(console)
    ada.get("/")

    cookie = ada.client.get_cookie(COOKIE, path=f"{PREFIX}/")
    assert cookie is None or cookie.secure
    headers = {WHO: "ada", "Origin": "https://admin.example"}
    secure = {"base_url": "https://localhost"}
    token = forms_of(ada.client.get(f"{PREFIX}/check", headers=headers, **secure).text)[0].fields["token"]
    data = {"token": token, "name": "acme", "key": "k1", "note": "new"}
    refused = ada.client.post(
        f"{PREFIX}/tenant/note", data=data, headers={**headers, "Origin": "http://localhost:8080"}
    )
    assert refused.status_code == 403
    assert "a proxy that changes Host or its port, name the address" in words_of(refused)
    answer = ada.client.post(f"{PREFIX}/tenant/note", data=data, headers=headers, **secure)
    assert answer.status_code == 303


@pytest.mark.parametrize(
    "origins",
    [
        [["https://admin.example"]],
        ["https://"],
        ["https://Admin.example"],
        ["https://admin.example:443"],
        ["http://admin.example:80"],
        ["https://ada@admin.example"],
        ["ftp://admin.example"],
    ],
)
def test_origins_that_no_browser_sends_are_refused(keys: Any, origins: Any) -> None:
    with pytest.raises(ConfigError, match="is not an origin as browsers send it"):
        Console(keys, schemes=[NANGO], authorize=by_header, origins=origins)


@pytest.mark.parametrize("origin", ["http://localhost:8000", "https://[::1]:8443", "https://a-b.example:80"])
def test_origins_that_browsers_send_are_accepted(keys: Any, origin: str) -> None:
    Console(keys, schemes=[NANGO], authorize=by_header, origins=[origin])


def test_the_cookie_is_http_only_and_a_link_of_another_site_sends_it(ada: Browser) -> None:
    cookie = ada.get("/").headers["Set-Cookie"]

    assert re.fullmatch(r"hmac_guard_console=[\w-]{43}; HttpOnly; Path=/console/; SameSite=Lax", cookie)
    assert "Set-Cookie" not in ada.get("/").headers


@pytest.mark.parametrize(("path", "status"), [("/tenant/end", 403), ("/check", 403), ("/nothing", 404), ("/", 405)])
def test_a_form_of_another_site_begins_no_new_session(ada: Browser, path: str, status: int) -> None:
    headers = {**ada.headers, "Origin": "https://evil.example"}
    answer = ada.client.post(PREFIX + path, data={}, headers=headers)

    assert answer.status_code == status
    assert "Set-Cookie" not in answer.headers


# Hostile values

MARKUP = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}"


def test_every_value_on_a_page_is_hostile(keys: Any) -> None:
    """Names of tenants, ids of keys, notes, actors, origins, ids of a request, and what a query says."""
    console = Console(keys, schemes=SCHEMES, authorize=lambda request: Operator(MARKUP, "operator"), title=MARKUP)
    keys.add(MARKUP, KEY, key_id=MARKUP, note=MARKUP, actor=MARKUP, origin=MARKUP, mode="report")
    keys.rotate(MARKUP, OTHER_KEY, key_id=f"{MARKUP}2", actor=MARKUP, note=MARKUP)
    count(keys, MARKUP, verified=2, missing_signature=1)
    ada = Browser(console)
    query = {"name": MARKUP, "key": MARKUP, "mode": "enforce", "tenant": MARKUP, "prefix": MARKUP, "actor": MARKUP}
    answers = [ada.get(path, **query) for path, route in ROUTES.items() if route.get]
    answers += [ada.get(path, **{**query, "name": f"{MARKUP}none", "mode": MARKUP}) for path in ROUTES]
    typed = {"id.integration_id": MARKUP.replace(":", ""), "id.connection_id": MARKUP, "tenant": MARKUP}
    answers.append(ada.post("/check/signature", **fields(**typed)))
    pasted = f"GET /oauth/connect/{MARKUP}?connection_id={MARKUP}&public_key=x HTTP/1.1\r\n{MARKUP}: x\r\n\r\n"
    answers.append(ada.post("/check", kind="request", scheme="nango", tenant=MARKUP, request=pasted))
    answers.append(ada.post("/new", name=MARKUP, mode=MARKUP, source=MARKUP, form=MARKUP, note=MARKUP, id=MARKUP))
    answers.append(ada.post("/tenant/rotate", name=MARKUP, end=MARKUP, at=MARKUP, id=MARKUP, form=MARKUP, note=MARKUP))

    assert sum(answer.status_code == 200 for answer in answers) > 12
    for answer in answers:
        if answer.mimetype == "text/html":
            assert "<script>" not in answer.text
            assert "<img" not in answer.text
            assert "\"'>" not in answer.text
        assert "\n" not in str(answer.headers.get("Location", ""))


@pytest.mark.parametrize("name", ["\u202egnp.exe", "a/b?c#d&e=f%41", "日本語 é", "..", "x" * 1024])
def test_a_tenant_of_any_name_has_its_pages(keys: Any, ada: Browser, name: str) -> None:
    keys.add(name, KEY, key_id="k1")
    [href] = re.findall(r'class="cover" href="([^"]+)"', ada.get("/").text)
    page = ada.client.get(unescape(href), headers=ada.headers)

    assert page.status_code == 200
    assert "k1" in page.text
    assert "\u202e" not in page.text
    assert ada.fill(forms_of(ada.get("/tenant/end", name=name, key="k1").text)[-1]).status_code == 303
    assert keys.list(name)[0].not_after is not None


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/", {"after": "\x00", "prefix": "\x00"}),
        ("/", {"show": "no such filter"}),
        ("/audit", {"before": "9" * 30, "tenant": "\x00"}),
        ("/audit", {"before": "-1"}),
        ("/tenant", {"name": "acme", "hours": "1e9"}),
        ("/signing", {"language": "../../x", "scheme": "nope", "name": "acme"}),
    ],
)
def test_an_unusual_query_causes_no_error(keys: Any, ada: Browser, path: str, query: dict[str, str]) -> None:
    keys.add("acme", KEY)

    assert ada.get(path, **query).status_code == 200


def test_a_form_larger_than_a_mebibyte_is_refused(ada: Browser) -> None:
    answer = ada.post("/check", request="x" * 1_100_000)

    assert answer.status_code == 413
    assert "The form is larger than 1 MiB. Send less: of a HAR file, paste only the entry of one" in words_of(answer)


# The database, several workers


def test_a_database_error_is_reported_and_nothing_is_changed_in_part(keys: Any, console: Console, caplog: Any) -> None:
    keys.add("acme", KEY, key_id="k1")
    ada = Browser(console)
    form = forms_of(ada.get("/tenant/rotate", name="acme").text)[-1]
    rename(keys, keys.table.audit.name, "elsewhere")

    answer = ada.fill(form)

    assert answer.status_code == 503
    assert "Look whether your change was made" in words_of(answer)
    assert [key.id for key in keys.list("acme")] == ["k1"]
    assert keys.list("acme")[0].not_after is None
    assert "console: POST '/tenant/rotate' failed" in caplog.text


def test_a_database_that_cannot_be_reached_is_reported(caplog: Any) -> None:
    with own_port() as port:  # Nothing listens there.
        engine = create_engine(f"postgresql+psycopg://console:{KEY}@127.0.0.1:{port}/keys")
        ada = Browser(Console(SqlKeys(engine), schemes=[NANGO], authorize=by_header, secret="s" * 32))
        answers = [ada.get("/"), ada.get("/tenant", name="acme"), ada.get("/audit.csv"), ada.post("/new", name="acme")]

    assert [answer.status_code for answer in answers] == [503] * 4
    assert all("database cannot be reached" in words_of(answer) for answer in answers)
    # A GET request changes nothing.
    assert ["Look whether your change was made" in words_of(answer) for answer in answers] == [False] * 3 + [True]
    assert KEY not in caplog.text + "".join(answer.text for answer in answers)


def test_several_workers_serve_one_session(keys: Any) -> None:
    keys.add("acme", KEY, key_id="k1")
    first, second = (Browser(Console(keys, schemes=[NANGO], authorize=by_header)) for _ in range(2))
    form = forms_of(first.get("/tenant/note", name="acme", key="k1").text)[-1]
    second.client = Client(second.client.application)
    second.client._cookies = first.client._cookies

    assert second.fill(form, note="x").status_code == 303


def test_a_given_secret_needs_no_table(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keys = SqlKeys(sqlite_in(tmp_path))
    console = Console(keys, schemes=[NANGO], authorize=by_header, secret="s" * 32)

    assert Browser(console).get("/signing").status_code == 200
    ada = Browser(Console(keys, schemes=[NANGO], authorize=by_header))
    missing = ada.get("/signing")
    assert missing.status_code == 503
    assert "A table does not exist: call create_table() of the SqlKeys. Try again." in words_of(missing)
    assert "a table does not exist; call create_table()" in caplog.text


def test_every_page_warns_of_unencrypted_keys(keys: Any, ada: Browser, tmp_path: Path) -> None:
    keys.add("acme", KEY, key_id="k1")
    query = {"name": "acme", "key": "k1", "mode": "enforce"}
    pages = [path for path, route in ROUTES.items() if route.get and "." not in path]
    (tmp_path / "sealed").mkdir()
    sealed = SqlKeys(sqlite_in(tmp_path / "sealed"), master_keys=Fernet.generate_key())
    sealed.create_table()
    sealed.add("acme", KEY, key_id="k1")
    other = Browser(Console(sealed, schemes=[NANGO], authorize=by_header))

    for path in pages:
        assert "Keys are stored unencrypted" in words_of(ada.get(path, **query)), path
        assert "stored unencrypted" not in other.get(path, **query).text


def test_each_change_is_announced_to_other_workers(tmp_path: Path) -> None:
    announced: list[str] = []
    keys = empty_keys(tmp_path, on_change=announced.append)
    ada = Browser(Console(CachedKeys(keys), schemes=[NANGO], authorize=by_header))
    made = {"form": "text", "source": "generated"}

    ada.post("/new", name="acme", id="k1", mode="report", **made)
    ada.post("/tenant/key", name="acme", id="k2", **made)
    ada.post("/tenant/rotate", name="acme", id="k3", end="0", **made)
    ada.post("/tenant/switch/confirm", name="acme", mode="enforce")
    ada.post("/tenant/end", name="acme", key="k3", warned="yes")
    assert announced == ["acme"] * 5


def test_a_change_reaches_the_cache_of_the_guard(keys: Any) -> None:
    cached = CachedKeys(keys)
    ada = Browser(Console(cached, schemes=[NANGO], authorize=by_header))
    keys.add("acme", KEY, key_id="k1", mode="enforce")
    guard = Guard(NANGO, cached)
    query = f"connection_id=u&public_key=acme&hmac={NANGO.sign(KEY, integration_id='g', connection_id='u')}"
    sent = Sent(path="/oauth/connect/g", query=query)

    assert call_wsgi(guard, sent).status == 200
    ada.fill(forms_of(ada.get("/tenant/end", name="acme", key="k1").text)[-1])
    time.sleep(0.01)
    assert call_wsgi(guard, sent).status == 401
    assert "(60 seconds)" in words_of(ada.get("/tenant", name="acme"))


@pytest.mark.parametrize(
    ("path", "changed"),
    [
        ("/tenant/end", {"key": "k1", "warned": "yes"}),
        ("/tenant/rotate", {"end": "0", "form": "text"}),
        ("/tenant/key", {"form": "text"}),
        ("/tenant/switch/confirm", {"mode": "enforce"}),
    ],
)
def test_a_change_reaches_the_cache_of_the_guard_if_the_answer_to_its_commit_is_lost(
    keys: Any, monkeypatch: pytest.MonkeyPatch, path: str, changed: dict[str, str]
) -> None:
    cached = CachedKeys(keys)
    ada = Browser(Console(cached, schemes=[NANGO], authorize=by_header))
    keys.add("acme", KEY, key_id="k1", mode="report")
    token, commit = ada.token(), keys.engine.dialect.do_commit

    def seen(source: Any) -> Any:
        ring = source(claim_of("acme"))
        return ring.mode, [(key.id, key.not_after) for key in ring.keys]

    before = seen(cached)

    def lose_the_answer(connection: Any) -> None:
        was_needed = connection.in_transaction
        commit(connection)
        if was_needed:
            raise sqlite3.OperationalError("the server closed the connection")

    monkeypatch.setattr(keys.engine.dialect, "do_commit", lose_the_answer)
    assert ada.post(path, token=token, name="acme", **changed).status_code == 503
    monkeypatch.undo()

    assert before != seen(keys) == seen(cached)


# Wrong arguments


async def authorize_later(request: Any) -> Operator:
    return Operator("ada", "operator")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"keys": {"acme": KEY}}, "must be a SqlKeys"),
        ({"schemes": []}, "at least one Scheme"),
        ({"schemes": NANGO}, "as a list"),
        ({"schemes": [NANGO, NANGO]}, "same name"),
        ({"authorize": None}, "Console: authorize must be a sync function"),
        ({"authorize": Browser}, r"Console: authorize is the class Browser; make .*: authorize=Browser\(…\)$"),
        ({"authorize": authorize_later}, "Console: authorize must be a sync function"),
        ({"authorize": lambda: None}, r"Console: authorize must be callable as authorize\(request\)"),
        ({"counts": 1}, "VerdictCounts"),
        ({"title": " "}, "title"),
        ({"secret": "short"}, "at least 32"),
        ({"origins": "https://x.example"}, "as a list"),
        ({"origins": ["x.example"]}, "not an origin"),
        ({"origins": ["https://x.example/"]}, "not an origin"),
        ({"clock": 1}, "clock"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_argument_is_reported_by_the_constructor(keys: Any, changed: dict[str, Any], says: str) -> None:
    given: dict[str, Any] = {"keys": keys, "schemes": [NANGO], "authorize": by_header, **changed}
    with pytest.raises(ConfigError, match=says):
        Console(given.pop("keys"), **given)


def test_an_async_engine_is_refused(tmp_path: Path) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine

    keys = SqlKeys(create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'keys.db'}"))
    with pytest.raises(ConfigError, match="sync engine"):
        Console(keys, schemes=[NANGO], authorize=by_header)


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 256, 1])
def test_an_operator_has_a_name_that_can_be_written(name: Any) -> None:
    with pytest.raises(ConfigError, match="name"):
        Operator(name, "operator")
    with pytest.raises(ConfigError, match="role"):
        Operator("ada", "admin")  # type: ignore[arg-type]


def count(keys: Any, tenant: str, **reasons: int) -> None:
    """Count requests of a guard in the mode report, by reason."""
    counts = VerdictCounts(keys)
    stored = keys.list(tenant)
    for name, number in reasons.items():
        reason = Reason(name)
        key_id = stored[0].id if reason is Reason.VERIFIED and stored else None
        for _ in range(number):
            counts(Decision(Verdict(reason, "nango", key_id=key_id), claim_of(tenant), "report", False, 0.0))
    counts.close()


def ticked(page: Any) -> dict[str, Any]:
    """The fields of the box "End it too": the hidden one has the same name."""
    return {"newest": re.findall(r'name="newest" value="([^"]+)"', page.text)}


def listed(answer: Any) -> list[str]:
    return re.findall(r'class="cover" href="[^"]+">([^<]+)<', answer.text)


def json_lines(answer: Any) -> list[Any]:
    return [json.loads(line) for line in answer.text.splitlines()]


def rename(keys: Any, table: str, other: str) -> None:
    with keys.engine.begin() as connection:
        connection.execute(text(f"ALTER TABLE {table} RENAME TO {other}"))


def test_the_console_runs_on_each_database(sync_database: Database) -> None:
    keys = sync_database.keys()
    ada = Browser(Console(keys, schemes=[NANGO], authorize=by_header))
    ada.fill(forms_of(ada.get("/new").text)[-1], name="acmé")
    count(keys, "acmé", verified=3, missing_signature=1)
    ada.fill(forms_of(ada.get("/tenant/rotate", name="acmé").text)[-1])

    for path, route in ROUTES.items():
        if route.get:
            key = keys.list("acmé")[0].id
            assert ada.get(path, name="acmé", key=key, mode="report").status_code == 200, path
    assert [entry.action for entry in keys.audit()] == ["rotate", "add"]


@pytest.mark.parametrize(
    ("path", "given", "status", "says"),
    [
        ("/tenant/env", {"name": "acme", "secret": "two\nlines"}, 400, "a quote or a line end"),
        ("/tenant/rotate", {"name": "acme", "end": "never", "form": "text"}, 400, "Choose when the old key ends"),
        ("/tenant/rotate", {"name": "acme", "end": "0", "form": "rot13"}, 400, "Choose the form of the secret"),
        *(
            ("/tenant/rotate", {"name": "acme", "end": "0", "form": "text", "newest": newest}, 400, "Newest must be")
            for newest in ("nan", "inf", "k1")
        ),
        ("/tenant/switch/confirm", {"name": "acme", "mode": "strict"}, 400, "The mode is missing"),
        (
            "/tenant/end",
            {"name": "acme", "key": "no such key"},
            400,
            "has no key 'no such key'; look at the list of its keys.",
        ),
        ("/tenant/note", {"name": "unknown", "key": "k1"}, 404, "There is no tenant"),
        ("/new", {"name": "acme", "form": "text", "mode": "report"}, 400, "The tenant 'acme' exists already"),
        ("/new", {"name": " x ", "form": "text", "mode": "report"}, 400, "is none that a request could name"),
    ],
)
def test_a_form_with_an_impossible_value_names_the_problem(
    keys: Any, ada: Browser, path: str, given: dict[str, str], status: int, says: str
) -> None:
    keys.add("acme", KEY, key_id="k1")
    before = stored_state(keys)
    answer = ada.post(path, **given)

    assert answer.status_code == status
    assert says in words_of(answer)
    assert stored_state(keys) == before


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"secret": ""}, "The customer's secret is empty; enter it, or choose to generate one."),
        ({"secret": " \t"}, "The customer's secret is empty; enter it, or choose to generate one."),
        ({"secret": "xyz", "form": "hex"}, ": the secret is not an even number of hex digits; "),
        ({"secret": "x!", "form": "base64"}, ": the secret is not base64; "),
        ({"secret": KEY, "form": "whsec"}, '; correct it, or choose another form at "Written as".'),
        ({"id": "a\tb"}, "A key's id must be printable text; choose another id."),
        ({"id": "é" * 128}, "The key's id is too long; it may have at most 255 bytes."),
        ({"id": " "}, "A key's id must be printable text; choose another id."),
    ],
)
@pytest.mark.parametrize("path", ["/new", "/tenant/key", "/tenant/rotate"])
def test_a_form_for_a_key_says_what_is_wrong_and_what_to_do(
    keys: Any, ada: Browser, path: str, changed: dict[str, str], says: str
) -> None:
    keys.add("acme", OTHER_KEY, key_id="k1")
    before = stored_state(keys)
    form = forms_of(ada.get(path, name="acme").text)[-1]
    given = {"source": "own", "secret": KEY, **({"name": "globex"} if path == "/new" else {}), **changed}
    answer = ada.fill(form, **given)

    assert answer.status_code == 400
    assert says in words_of(answer)
    assert not re.search(r"Key\.|Key:|None|variable", words_of(answer))
    assert stored_state(keys) == before


def test_the_id_of_a_key_may_have_255_bytes(keys: Any, ada: Browser) -> None:
    made = ada.fill(forms_of(ada.get("/new").text)[-1], name="acme", id="x" * 255)

    assert made.status_code == 200
    assert keys.list("acme")[0].id == "x" * 255


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("", "The value of integration_id is missing; enter it."),
        (" u", "The value of integration_id cannot be an id: an id has"),
    ],
)
def test_the_check_keeps_the_name_of_an_id_as_it_is(keys: Any, vic: Browser, value: str, says: str) -> None:
    keys.add("acme", KEY)

    assert says in words_of(vic.post("/check", **fields(**{"id.integration_id": value})))


def test_an_unknown_page_is_404(keys: Any, ada: Browser) -> None:
    keys.add("acme", KEY, key_id="k1")

    assert ada.get("/nothing").status_code == 404
    assert ada.get("/static/../console.py").status_code == 404
    assert ada.get("/static/nothing").status_code == 404
    assert "has no key 'k2'" in words_of(ada.get("/tenant/end", name="acme", key="k2"))
    assert ada.get("/tenant", name="unknown").status_code == 404


def test_a_page_that_fails_does_not_show_the_error(
    keys: Any, ada: Browser, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    def fails(*_: Any) -> None:
        raise KeyError(OTHER_KEY)

    monkeypatch.setattr("hmac_guard.console.pages.tenants.by_tenant", fails)
    keys.add("acme", KEY)
    answer = ada.get("/")

    assert answer.status_code == 500
    assert "The log says where" in words_of(answer)
    assert "KeyError" in caplog.text
    assert OTHER_KEY not in caplog.text + answer.text


def test_ended_and_scheduled_keys_are_shown(tmp_path: Path) -> None:
    now = time.time()
    keys = empty_keys(tmp_path)
    keys.add("acme", KEY, key_id="over", not_after=now + 1, not_before=now - 5)
    keys.add("acme", OTHER_KEY, key_id="scheduled", not_before=now + 86_400 * 40)
    clock = Clock(now + 10)
    ada = Browser(Console(keys, schemes=[NANGO], authorize=by_header, clock=clock))
    page = words_of(ada.get("/tenant", name="acme"))

    assert "over Ended" in page
    assert "scheduled Scheduled from" in page
    assert "No key of the tenant 'acme' is active" in words_of(ada.post("/check", **fields()))
    assert "No key of this tenant is active" in words_of(ada.get("/tenant/switch/confirm", name="acme", mode="enforce"))


def test_places_in_headers_cookies_and_bodies_are_marked(keys: Any) -> None:
    scheme = Scheme(
        name="mixed",
        ids={"a": Header("X-A"), "b": Cookie("b"), "c": Json("/c")},
        message="{a}:{b}:{c}",
        signature=Header("X-Sig"),
    )
    keys.add("acme", KEY)
    vic = Browser(Console(keys, schemes=[scheme], authorize=by_header), "vic")
    raw = (
        "POST /x HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nCookie: b=2\r\nX-Sig: 00\r\nContent-Type: application/json\r\n\r\n"
        '{"c": "3"}'
    )
    answer = vic.post("/check", kind="request", scheme="mixed", tenant="acme", request=raw)

    for line, name in (("X-A: 1", "a"), ("Cookie: b=2", "b"), ("X-Sig: 00", "signature"), ('{"c": "3"}', "c")):
        assert f'<mark>{escape(line)}</mark> <span class="tag">{name}</span>' in answer.text


def test_a_body_of_several_lines_is_checked_as_it_was_sent(keys: Any) -> None:
    """A browser sends the line ends of a text as CRLF."""
    body = '{\n  "id": 1\n}'
    keys.add("acme", KEY)
    vic = Browser(Console(keys, schemes=[GITHUB], authorize=by_header), "vic")
    signature = GITHUB.sign(KEY, body=body.encode())
    raw = f"POST /x HTTP/1.1\nHost: h\nX-Hub-Signature-256: {signature}\n\n{body}".replace("\n", "\r\n")

    pasted = vic.post("/check", kind="request", scheme="github", tenant="acme", request=raw)
    assert "This signature is right for acme" in words_of(pasted)
    typed = {"kind": "ids", "scheme": "github", "tenant": "acme", "body": body.replace("\n", "\r\n")}
    assert "This signature is right for acme" in words_of(vic.post("/check", **typed, signature=signature))


@pytest.mark.parametrize(
    ("source", "bodies"),
    [
        (Json("/id") | Form("id"), ['{"id": "u-1"}', "id=u-1"]),
        (Form("id") | Json("/id"), ['{"id": "u-1"}', "id=u-1"]),
        (Header("X-Id"), ["", "hello", '{"a": 1}']),
        (Header("X-Id") | Form("id"), ["", "hello", "<x/>", "a=1&b=2", "[1]", '{"a": 1}']),
        (Header("X-Id") | Json("/id"), ["", '"hello"', "[1]", '{"a": 1}', "1"]),
        (Header("X-Id") | Form("id") | Json("/id"), ["", "hello", "<x/>", "a=1&b=2", "[1]", ' {"a": 1}']),
    ],
)
def test_a_typed_body_may_be_json_or_a_form(keys: Any, source: Any, bodies: list[str]) -> None:
    scheme = Scheme(name="either", ids={"id": source}, message="{id}.{@body}", signature=Header("X-Sig"))
    keys.add("acme", KEY)
    vic = Browser(Console(keys, schemes=[scheme], authorize=by_header), "vic")

    for body in bodies:
        signature = scheme.sign(KEY, id="u-1", body=body.encode())
        typed = {"kind": "ids", "scheme": "either", "tenant": "acme", "id.id": "u-1", "body": body}
        assert "This signature is right for acme" in words_of(vic.post("/check", **typed, signature=signature)), body


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (Header("X-Id") | Query("id"), "größe"),
        (Header("X-Id", before=":") | Query("id"), "a:b"),
        (Cookie("id") | Json("/id"), "a b"),
        (PathSource("/of/{id}") | Form("id"), "a/b"),
        (Header("X-Ids").item("id", separators=(";", "=")) | Query("id"), "a;b"),
    ],
    ids=repr,
)
def test_a_typed_value_is_in_a_place_that_can_carry_it(keys: Any, source: Any, text: str) -> None:
    scheme = Scheme(name="either", ids={"id": source}, message="{id}", signature=Header("X-Sig"))
    of_tenant = Scheme(
        name="tenant",
        ids={"user": Query("user")},
        message="{user}",
        signature=Header("X-Sig"),
        tenant=Header("X-Tenant") | Query("tenant"),
    )
    keys.add("größe", KEY)
    vic = Browser(Console(keys, schemes=[scheme, of_tenant], authorize=by_header), "vic")

    for signed, name in ((scheme, "id"), (of_tenant, "user")):
        typed = {"kind": "ids", "scheme": signed.name, "tenant": "größe", f"id.{name}": text}
        answer = vic.post("/check", **typed, signature=signed.sign(KEY, {name: text}))
        assert "This signature is right for größe" in words_of(answer)


@pytest.mark.parametrize(
    ("scheme", "written"),
    [
        (STANDARD_WEBHOOKS, "v1,{}"),
        (STANDARD_WEBHOOKS, "v1a,AAAA v1,{} v1,AAAA"),
        (STANDARD_WEBHOOKS, "v1,AAAA v1,{}"),
        (STRIPE, "t={now},v1={}"),
        (STRIPE, "v1={}"),
        (STRIPE, "v1=00,t={now},v1={},v0=00"),
    ],
    ids=lambda given: getattr(given, "name", given),
)
@pytest.mark.without_coverage
def test_a_signature_may_be_typed_with_its_key_or_as_the_whole_header(keys: Any, scheme: Scheme, written: str) -> None:
    secret, form = ("whsec_" + "AQID" * 8, "whsec") if scheme is STANDARD_WEBHOOKS else (KEY, "text")
    keys.add("acme", secret, form=form)
    vic, now = Browser(Console(keys, schemes=[scheme], authorize=by_header), "vic"), int(time.time())
    ids = {"message_id": "m"} if scheme is STANDARD_WEBHOOKS else {}
    signature = scheme.sign(keys(claim_of("acme")).keys[0], ids, timestamp=now, body=b"{}")
    times_and_ids = {"id.timestamp": str(now), **{f"id.{name}": value for name, value in ids.items()}}
    typed = {"kind": "ids", "scheme": scheme.name, "tenant": "acme", "body": "{}", **times_and_ids}

    for given in (signature, written.format(signature, now=now)):
        assert "This signature is right for acme" in words_of(vic.post("/check", **typed, signature=given)), given
    for given in (written.format("00", now=now), f"v2={signature}", f"v2,{signature}"):
        assert "This signature is right" not in words_of(vic.post("/check", **typed, signature=given)), given


def test_a_typed_header_with_another_time_than_the_typed_one_is_reported(keys: Any, vic: Browser) -> None:
    keys.add("acme", KEY)
    typed = {"kind": "ids", "scheme": "stripe", "tenant": "acme", "body": "{}", "id.timestamp": "1700000000"}
    answer = vic.post("/check", **typed, signature="t=1700000001,v1=00")

    assert answer.status_code == 400
    assert "The typed header has another timestamp, '1700000001'; type it there too" in words_of(answer)


@pytest.mark.parametrize(
    ("text", "body"), [("^", ""), ('x^"', ""), ("u", "@hello"), ("u", "@a\r\nb\n"), ("u", "^'\"^\n^")]
)
def test_no_typed_character_is_read_as_syntax_of_a_shell(keys: Any, text: str, body: str) -> None:
    in_json = Scheme(name="in_json", ids={"id": Json("/id")}, message="{id}", signature=Json("/sig"))
    signed = Scheme(name="signed", ids={"id": Header("X-Id")}, message="{id}.{@body}", signature=Header("X-Sig"))
    scheme = signed if body else in_json
    keys.add("acme", KEY)
    vic = Browser(Console(keys, schemes=[scheme], authorize=by_header), "vic")
    sent = body.replace("\r\n", "\n")
    signature = scheme.sign(KEY, id=text, **({"body": sent.encode()} if body else {}))
    typed = {"kind": "ids", "scheme": scheme.name, "tenant": "acme", "id.id": text, "body": body}

    assert "This signature is right for acme" in words_of(vic.post("/check", **typed, signature=signature))


def test_a_har_file_is_checked_by_its_entry(keys: Any, vic: Browser) -> None:
    keys.add("acme", KEY)
    signature = NANGO.sign(KEY, integration_id="github", connection_id="u-1")
    address = "https://api.example/oauth/connect/github?connection_id=u-1&public_key=acme&hmac="
    entries = [
        {"request": {"method": "GET", "url": url, "headers": []}}
        for url in ("https://api.example/", address + signature)
    ]
    given = {"kind": "request", "scheme": "nango", "request": json.dumps({"log": {"entries": entries}})}

    assert "This signature is right for acme" in words_of(vic.post("/check", **given, entry="1"))
    assert vic.post("/check", **given, entry="7").status_code == 400
    assert vic.post("/check", **given).status_code in (200, 400)


def test_the_check_of_a_refused_request_has_its_method_and_no_other_time(keys: Any) -> None:
    scheme = Scheme(
        name="timed",
        ids={"a": Query("a")},
        message="{@method} {a} {timestamp} {@body}",
        timestamp=Timestamp(Query("timestamp")),
        signature=Query("sig"),
        tenant=Query("tenant"),
    )
    keys.add("acme", KEY)
    counts, sent_at = VerdictCounts(keys, refusals=24), int(time.time()) - 3_600
    signature = scheme.sign(KEY, {"a": "1"}, timestamp=sent_at, method="GET", body=b"")
    query = f"a=1&timestamp={sent_at}&sig={signature}&tenant=acme"
    assert call_wsgi(Guard(scheme, keys, on_decision=counts), Sent(method="GET", path="/x", query=query)).status == 401
    counts.close()
    ada = Browser(Console(keys, schemes=[scheme], authorize=by_header, counts=counts))
    [refused] = counts.refusals("acme")

    page = ada.get("/check", refusal=str(refused.id))
    form = forms_of(page.text)[0]

    assert (refused.reason, form.fields["method"], form.fields["id.timestamp"]) == ("expired", "GET", "")
    assert (
        "Its signature is not stored: paste it. Its time is not stored: type the time of the request, not the time "
        "now. Its body is not stored: paste it."
    ) in words_of(page)
    assert ada.fill(form, signature=signature).status_code == 400
    typed = ada.fill(form, signature=signature, **{"id.timestamp": str(sent_at)})
    assert "Except for that, the signature is right." in words_of(typed)
    [now] = [each for name, each in forms_of(ada.get("/check").text)[0].fields.items() if name == "id.timestamp"]
    assert abs(int(now) - time.time()) < 60


def test_a_scheme_that_signs_the_method(keys: Any) -> None:
    scheme = Scheme(name="m", ids={"a": Query("a")}, message="{@method} {a}", signature=Query("sig"))
    keys.add("acme", KEY)
    ada = Browser(Console(keys, schemes=[scheme], authorize=by_header))
    given = {"kind": "ids", "scheme": "m", "tenant": "acme", "id.a": "1", "method": "PATCH"}

    right = signature_in(ada.post("/check/signature", **given))
    assert right == scheme.sign(KEY, a="1", method="PATCH")
    assert "is right for acme" in words_of(ada.post("/check", **given, signature=right))
    assert "is right for acme" not in words_of(ada.post("/check", **{**given, "method": "PUT"}, signature=right))
    assert ada.post("/check", **{**given, "method": "\x00"}).status_code in (200, 400)
