"""The browser packages of the vendors with a guarded application: verified requests, and how they show refusals."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="not run: FastAPI is not installed")

from orders import KEY, hex_of
from servers import SERVERS, serving

from acceptance.browser.apps import PAGE, RECORD
from acceptance.browser.bundles import bundle, suprsend_with_host

pytestmark = pytest.mark.browser

NEW, OLD = "nango-new", "nango-old"
MISMATCH, UNSIGNED = "The signature does not match the request.", "The request is not signed."
VERIFIED = "verified {'integration_id': 'github', 'connection_id': 'user-42'}"


class Served:
    """The guarded application: its address, and its decisions since the last call."""

    def __init__(self, host: str, record: Path) -> None:
        self.host = host
        self._record = record

    def decided(self) -> list[str]:
        lines = self._record.read_text().splitlines()
        self._record.write_text("")
        return lines


Serve = Callable[[str], Served]


@pytest.fixture(scope="module")
def serve(origin: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Serve the application. Its refusals have the default body ("") or a body of `acceptance.browser.vendors`."""
    [uvicorn] = [server for server in SERVERS if server.name == "uvicorn-h11"]
    assert uvicorn.version
    with ExitStack() as stack:

        @cache
        def start(body: str) -> Served:
            folder = tmp_path_factory.mktemp("vendors")
            (folder / "record").touch()
            environ = {PAGE: origin, RECORD: str(folder / "record"), "HMAC_GUARD_TEST_BODY": body}
            running = stack.enter_context(serving(uvicorn, "acceptance.browser.vendors:app", folder, environ))
            return Served(f"http://127.0.0.1:{running.port}", folder / "record")

        yield start


@pytest.fixture
def nango(page: Any, pages: Path, origin: str) -> Callable[[str], Any]:
    """The page with one release of the package."""

    def load(release: str) -> Any:
        if not (pages / f"{release}.js").exists():
            bundle("nango.js", pages / f"{release}.js", nango=release)
        page.add_script_tag(url=f"{origin}/{release}.js")
        return page

    return load


def authorize(page: Any, host: str, connection: str, signature: str | None, call: str = "authorize") -> Any:
    return page.evaluate(f"([...given]) => window.{call}(...given)", [host, "github", connection, signature])


@pytest.mark.parametrize("call", ["authorize", "create"])
@pytest.mark.parametrize("release", [NEW, OLD])
def test_nango_gets_its_answer_for_a_signed_call(nango: Any, serve: Serve, release: str, call: str) -> None:
    served = serve("")
    shown = authorize(nango(release), served.host, "user-42", hex_of("github", "user-42"), call)

    assert shown == {"answer": {"providerConfigKey": "github", "connectionId": "user-42"}}
    assert served.decided() == [VERIFIED]


TAMPERED = {
    "a tampered id": ("user-43", hex_of("github", "user-42"), MISMATCH, "invalid_signature"),
    "a tampered signature": ("user-42", hex_of("github", "user-42")[:-1] + "x", MISMATCH, "invalid_signature"),
    "no signature": ("user-42", None, UNSIGNED, "missing_signature"),
}


@pytest.mark.parametrize("call", ["authorize", "create"])
@pytest.mark.parametrize("case", list(TAMPERED))
def test_the_new_nango_shows_message_and_code_of_the_refusal(nango: Any, serve: Serve, case: str, call: str) -> None:
    connection, signature, message, code = TAMPERED[case]
    served = serve("")
    shown = authorize(nango(NEW), served.host, connection, signature, call)

    assert shown == {"error": "AuthError", "message": message, "type": code}
    assert served.decided() == [f"{code} {{}}"]


@pytest.mark.parametrize("case", list(TAMPERED))
def test_the_old_nango_shows_a_message_only_with_its_custom_body(nango: Any, serve: Serve, case: str) -> None:
    connection, signature, message, code = TAMPERED[case]
    page = nango(OLD)

    shown = authorize(page, serve("").host, connection, signature)
    assert (shown["error"], shown["message"], shown.get("type")) == ("AuthError", "[object Object]", None)
    shown = authorize(page, serve("old nango").host, connection, signature)
    assert shown == {"error": "AuthError", "message": message, "type": code}


@pytest.mark.parametrize("release", [NEW, OLD])
def test_the_popup_of_nango_connects_with_a_signature(nango: Any, serve: Serve, release: str) -> None:
    page, served = nango(release), serve("")
    served.decided()
    with page.expect_popup():
        authorize(page, served.host, "user-42", hex_of("github", "user-42"), "popup")
    outcome = page.evaluate("window.outcome")

    assert outcome["answer"]["connectionId"] == "user-42"
    assert served.decided() == [VERIFIED]


@pytest.mark.parametrize("release", [NEW, OLD])
def test_the_popup_of_nango_shows_the_refusal_itself(nango: Any, serve: Serve, release: str) -> None:
    page, served = nango(release), serve("")
    with page.expect_popup() as popup:
        authorize(page, served.host, "user-43", hex_of("github", "user-42"), "popup")
    popup.value.wait_for_url(f"{served.host}/oauth/connect/**")
    popup.value.wait_for_load_state()

    assert MISMATCH in popup.value.content()


def subscriber_id(distinct_id: str) -> str:
    digest = hmac.new(KEY.encode(), distinct_id.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@pytest.fixture
def with_inbox(page: Any, pages: Path, origin: str, tmp_path: Path) -> Callable[[Served], Any]:
    """The page with the script of the inbox."""

    def load(served: Served) -> Any:
        name = f"inbox-{served.host.rpartition(':')[2]}.js"
        if not (pages / name).exists():
            package = suprsend_with_host(served.host, tmp_path)
            bundle("suprsend.jsx", pages / name, **{"@suprsend/react-headless": str(package)})
        served.decided()
        page.add_script_tag(url=f"{origin}/{name}")
        return page

    return load


@pytest.fixture
def inbox(with_inbox: Callable[[Served], Any]) -> Callable[[Served, str, str], Any]:
    """The page with an inbox, opened for a distinct id and its signature."""

    def load(served: Served, distinct_id: str, signature: str) -> Any:
        page = with_inbox(served)
        with page.expect_response(f"{served.host}/fetch/**"):
            page.evaluate("([...given]) => window.inbox(...given)", [distinct_id, signature])
        return page

    return load


@pytest.mark.parametrize("distinct_id", ["user-42", "größe-日本-🚀"])
def test_the_suprsend_inbox_lists_the_notifications_of_a_signed_user(
    inbox: Any, serve: Serve, distinct_id: str
) -> None:
    served = serve("")
    page = inbox(served, distinct_id, subscriber_id(distinct_id))
    page.wait_for_selector("li")

    assert (page.inner_text("li"), page.inner_text("#count")) == (f"Hello {distinct_id}", "1")
    page.evaluate("window.markAllSeen()")
    assert page.inner_text("#count") == "0"
    assert served.decided() == [f"verified {{'distinct_id': '{distinct_id}'}}"] * 2


FORGED = {
    "a tampered id": ("user-43", subscriber_id("user-42")),
    "a tampered signature": ("user-42", subscriber_id("user-42")[:-1] + "_"),
}


@pytest.mark.parametrize("case", list(FORGED))
def test_the_suprsend_inbox_throws_with_the_default_body(inbox: Any, serve: Serve, case: str) -> None:
    page = inbox(serve(""), *FORGED[case])
    page.wait_for_selector("#crashed")
    assert "TypeError" in page.inner_text("#crashed")


@pytest.mark.parametrize("case", list(FORGED))
def test_the_suprsend_inbox_is_empty_with_its_custom_body(inbox: Any, serve: Serve, case: str) -> None:
    served = serve("suprsend")
    page = inbox(served, *FORGED[case])

    assert (page.query_selector_all("li"), page.inner_text("#count")) == ([], "0")
    page.evaluate("window.markAllSeen()")
    assert served.decided() == ["invalid_signature {}"] * 2


def test_the_suprsend_inbox_sends_only_the_bell_request_without_a_signature(with_inbox: Any, serve: Serve) -> None:
    served = serve("suprsend")
    page = with_inbox(served)
    page.evaluate("([...given]) => window.inbox(...given)", ["user-42", ""])
    # The package knows the user once it has read its storage. Then it renders the inbox again.
    page.wait_for_function("window.renders >= 2")
    with page.expect_response(f"{served.host}/bell-clicked/"):
        page.evaluate("window.markAllSeen()")

    assert served.decided() == ["missing_signature {}"]
