"""The plugin for pytest, as an installed package brings it: what it imports, and its fixtures in a test of a user."""

import re
from pathlib import Path

import pytest
from installed import install, run_pytest

import hmac_guard.pytest_plugin

TESTS = """
from hmac_guard import Expires, Guard, Query, verdict_from
from hmac_guard.schemes import signed_ids
from flask import Flask, request
import pytest

INBOX = signed_ids(ids={"user": Query("user")}, expires=Expires(Query("expires"), max_lifetime=60))


@pytest.fixture
def guarded(guard_clock):
    app = Flask("inbox")
    app.add_url_rule("/inbox", "inbox", lambda: verdict_from(request).ids["user"])
    guard = Guard(INBOX, keys="8f1c6f0f5b1f4b6d9f6a2d7e4c3b2a19", clock=guard_clock)
    app.wsgi_app = guard.wsgi(app.wsgi_app)
    return app, guard


def test_inbox(guarded, signed_client):
    app, guard = guarded
    assert signed_client(app.test_client(), guard, user="u1").get("/inbox").text == "u1"
    assert app.test_client().get("/inbox").status_code == 401


def test_expired(guarded, guard_clock, sign_request):
    app, guard = guarded
    fields = sign_request(guard, user="u1")
    guard_clock.move(61)
    assert app.test_client().get("/inbox", query_string=fields.query, headers=fields.headers).status_code == 401
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    return install(tmp_path / "installed")


def test_the_fixtures_are_there_without_an_import(installed: Path, tmp_path: Path) -> None:
    pytest.importorskip("flask", reason="not run: Flask is not installed")
    (tmp_path / "test_user.py").write_text(TESTS)

    assert re.search(r"^2 passed in", run_pytest(tmp_path, installed, "test_user.py"), re.MULTILINE)


def test_nothing_of_the_package_is_imported_until_a_fixture_is_used(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "test_user.py").write_text(
        "import sys\n\n\ndef test_modules():\n"
        "    assert {name for name in sys.modules if name.startswith('hmac_guard')} == "
        "{'hmac_guard', 'hmac_guard.pytest_plugin'}\n"
    )

    assert "1 passed" in run_pytest(tmp_path, installed, "test_user.py")


def test_the_plugin_has_three_fixtures_and_no_hooks() -> None:
    names = {name for name in vars(hmac_guard.pytest_plugin) if not name.startswith("_")}

    assert names == {"TYPE_CHECKING", "pytest", "signed_client", "sign_request", "guard_clock"}
