"""Fixtures: Debian's chromium, and a server for the pages, which has its own origin."""

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SWITCHES = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="not run: playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("not run: there is no chromium")
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=SWITCHES.split())
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the page server serves."""
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="session")
def origin(pages: Path) -> Iterator[str]:
    """The origin of the pages."""
    (pages / "index.html").write_text("<!doctype html><title>a page elsewhere</title><main></main>")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(pages))) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def page(browser: Any, origin: str) -> Iterator[Any]:
    """A new page of that origin, without cached preflights."""
    context = browser.new_context()
    opened = context.new_page()
    opened.goto(origin)
    yield opened
    context.close()
