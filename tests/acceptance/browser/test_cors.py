"""A page on another origin calls a guarded API, in a real browser."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from orders import json_of
from servers import SERVERS, serving

from acceptance.browser.apps import APPLICATIONS, NO_PREFLIGHT, PAGE, RECORD

pytestmark = pytest.mark.browser

CALL = """
async ([url, body, headers]) => {
  try {
    const answer = await fetch(url, {method: "POST", headers: {"content-type": "application/json", ...headers}, body})
    return {status: answer.status, json: await answer.json()}
  } catch (error) {
    return {error: String(error)}
  }
}
"""
GOOD, BAD = json_of().decode(), json_of(signature="0" * 64).decode()
UNREADABLE = {"error": "TypeError: Failed to fetch"}


class Api:
    """The served application: its address, and its log."""

    def __init__(self, page: Any, port: int, record: Path) -> None:
        self._page = page
        self._url = f"http://127.0.0.1:{port}/orders"
        self._record = record

    def call(self, body: str, **headers: str) -> Any:
        return self._page.evaluate(CALL, [self._url, body, headers])

    def log(self) -> list[str]:
        lines = self._record.read_text().splitlines()
        self._record.write_text("")
        return lines


@contextmanager
def api(page: Any, origin: str, folder: Path, name: str, **environ: str) -> Iterator[Api]:
    application, order = name.split()
    pytest.importorskip(application, reason=f"not run: {application} is not installed")
    for needed in {"flask": ["flask_cors"], "django": ["corsheaders"]}.get(application, []):
        pytest.importorskip(needed, reason=f"not run: {needed} is not installed")
    wanted = "waitress" if APPLICATIONS[application] == "wsgi" else "uvicorn-h11"
    [server] = [server for server in SERVERS if server.name == wanted]
    assert server.version
    record = folder / "record"
    record.touch()
    with serving(
        server, f"acceptance.browser.apps:{application}_{order}", folder, {PAGE: origin, RECORD: str(record), **environ}
    ) as running:
        yield Api(page, running.port, record)


@pytest.mark.parametrize("application", list(APPLICATIONS))
def test_with_cors_outside_the_page_reads_the_answer_and_the_refusal(
    page: Any, origin: str, tmp_path: Path, application: str
) -> None:
    with api(page, origin, tmp_path, f"{application} right") as called:
        good = called.call(GOOD)
        assert called.log() == ["OPTIONS 200" if application not in NO_CONTENT else "OPTIONS 204", "POST 200"]
        bad = called.call(BAD)

    assert good == {"status": 200, "json": {"tenant_id": "acme", "order_id": "42"}}
    assert (bad["status"], bad["json"]["error"]["code"]) == (401, "invalid_signature")


#: These answer a preflight with 204.
NO_CONTENT = {"litestar"}


@pytest.mark.parametrize("application", list(APPLICATIONS))
def test_with_cors_inside_the_guard_the_page_cannot_read_the_refusal(
    page: Any, origin: str, tmp_path: Path, application: str
) -> None:
    with api(page, origin, tmp_path, f"{application} wrong") as called:
        good, _ = called.call(GOOD), called.log()
        bad = called.call(BAD)
        log = called.log()

    assert good["status"] == 200
    assert bad == UNREADABLE
    # As in the docs: the status of the request is 401, but the page cannot read it.
    assert log[-1] == "POST 401"


def test_a_header_that_cors_does_not_allow_fails_before_the_guard(page: Any, origin: str, tmp_path: Path) -> None:
    with api(page, origin, tmp_path, "starlette right") as called:
        assert called.call(GOOD, **{"x-other": "1"}) == UNREADABLE
        assert called.log() == ["OPTIONS 400"]
        assert called.call(GOOD, **{"x-note": "1"})["status"] == 200


def test_an_outer_guard_with_preflight_false_answers_a_preflight_with_401(
    page: Any, origin: str, tmp_path: Path
) -> None:
    with api(page, origin, tmp_path, "starlette wrong", **{NO_PREFLIGHT: "1"}) as called:
        assert called.call(GOOD) == UNREADABLE
        assert called.log() == ["OPTIONS 401"]
