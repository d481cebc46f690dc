"""The console in a real browser: every page and flow, wide and narrow, by keyboard alone, and without a script."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="not run: sqlalchemy is not installed")
pytest.importorskip("playwright.sync_api", reason="not run: playwright is not installed")

from consoles import PREFIX, WHO
from key_sources import KEY
from playwright.sync_api import Error, expect
from servers import SERVERS, serving
from sqlalchemy import create_engine
from waiting import TIMEOUT

from acceptance.browser.bundles import axe
from acceptance.browser.console_pages import ACME, PAGES, Local, local_console
from hmac_guard.keys import SqlKeys
from hmac_guard.schemes import NANGO

pytestmark = pytest.mark.browser

WIDE, NARROW = {"width": 1280, "height": 860}, {"width": 375, "height": 812}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    with local_console(tmp_path_factory.mktemp("console")) as local:
        yield local


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Local]:
    with local_console(tmp_path, filled=False) as local:
        yield local


class Seen:
    """A page, and the errors that the browser reported on it."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))


@contextmanager
def opened(browser: Any, **options: Any) -> Iterator[Seen]:
    context = browser.new_context(**options)
    try:
        yield Seen(context.new_page())
    finally:
        context.close()


def log_in(page: Any, local: Local) -> None:
    page.goto(local.link())
    page.wait_for_url(f"**{local.app.prefix}/")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_every_page_is_correct_and_accessible(browser: Any, filled: Local, size: Any, theme: str) -> None:
    """Nothing is cut off, the policy forbids nothing that the page needs, and axe finds nothing serious."""
    script = axe()
    with opened(browser, viewport=size, color_scheme=theme) as seen:
        log_in(seen.page, filled)
        for name, go in PAGES.items():
            go(seen.page, filled)
            complaints = [text for text in seen.complaints if "404" not in text or name != "problem"]
            assert not complaints, (name, complaints)
            seen.complaints.clear()
            seen.page.wait_for_load_state()
            assert seen.page.evaluate("document.documentElement.scrollWidth") <= size["width"], name
            seen.page.evaluate(script)
            found = seen.page.evaluate("axe.run().then(result => result.violations)")
            serious = [each for each in found if each["impact"] in ("serious", "critical")]
            details = [(each["id"], [node["html"] for node in each["nodes"]][:3]) for each in serious]
            assert not details, (name, details)
        seen.page.goto(f"{filled.origin}/login")
        seen.page.evaluate(script)
        found = seen.page.evaluate("axe.run().then(result => result.violations)")
        assert not [each["id"] for each in found if each["impact"] in ("serious", "critical")]


Press = Callable[[Any, Any], None]


def click(page: Any, target: Any) -> None:
    target.click()


def by_keyboard(page: Any, target: Any) -> None:
    """Move to a link, a button or a box with Tab alone, and press it."""
    is_box = target.evaluate("e => e.type === 'checkbox' || e.type === 'radio'")
    for _ in range(120):
        page.keyboard.press("Tab")
        if target.evaluate("e => e === document.activeElement"):
            page.keyboard.press("Space" if is_box else "Enter")
            return
    raise AssertionError(f"{target} cannot be reached by Tab")


def type_into(page: Any, name: str, text: str, press: Press) -> None:
    field = page.locator(f'main [name="{name}"]:visible').first
    if press is click:
        field.fill(text)
        return
    for _ in range(120):
        page.keyboard.press("Tab")
        if field.evaluate("e => e === document.activeElement"):
            page.keyboard.press("Control+A")
            page.keyboard.type(text)
            return
    raise AssertionError(f"{name} cannot be reached by Tab")


def choose(page: Any, radio: Any, press: Press) -> None:
    """Tab leads to a group of radio buttons, and the arrow keys lead through it."""
    if press is click:
        radio.check()
        return
    for _ in range(120):
        page.keyboard.press("Tab")
        if radio.evaluate("e => document.activeElement.name === e.name"):
            break
    for _ in range(5):
        if radio.is_checked():
            return
        page.keyboard.press("ArrowDown")
    raise AssertionError(f"{radio} cannot be chosen with the arrow keys")


def flow(page: Any, keys: Any, home: str, press: Press) -> None:
    """Add a tenant, set it to enforce, rotate its key, end the old key, and check a signature."""

    def go(label: str) -> None:
        main = page.locator("main")
        link = main.get_by_role("link", name=label, exact=True).or_(main.get_by_role("button", name=label, exact=True))
        press(page, link.first)

    def says(text: str) -> None:
        expect(page.locator("main")).to_contain_text(text, timeout=TIMEOUT * 1_000)

    page.goto(home)
    go("Create the first tenant")
    says("A tenant has its own keys and its own mode.")
    if press is by_keyboard:
        page.evaluate("document.activeElement.blur()")  # It has the focus already.
    type_into(page, "name", "acme", press)
    go("Create the tenant and its key")
    says("The secret is shown once.")
    secret = page.locator("#new-secret").input_value()
    assert len(secret) == 43
    go("Continue")
    says("The secret is shown once.")  # It stays until "I have stored it".
    press(page, page.get_by_role("checkbox", name="I have stored it"))
    go("Continue")
    says("The key is active.")

    go("Change the mode")
    says("Mode of acme")
    choose(page, page.get_by_role("radio", name=re.compile("^Enforce")), press)
    go("Continue")
    says("No requests yet.")
    go("Enforce for acme")
    says("The mode is set.")
    assert keys.list("acme")[0].mode == "enforce"

    go("Rotate")
    says("Rotate the key of acme")
    go("Rotate")
    says("The secret is shown once.")
    press(page, page.get_by_role("checkbox", name="I have stored it"))
    go("Continue")
    says("A rotation is open")
    old = keys.list("acme")[1].id
    press(page, page.get_by_role("link", name=f"End {old}"))
    says("Requests that are signed with it are refused from now on.")
    go("End this key now")
    says("The key has ended.")

    go("Check a signature")
    says("Is this signature right?")
    type_into(page, "id.integration_id", "github", press)
    type_into(page, "id.connection_id", "u-1", press)
    type_into(page, "signature", NANGO.sign(secret, integration_id="github", connection_id="u-1"), press)
    go("Check")
    says("Not right")
    says(f"with the id {old}")


@pytest.mark.parametrize(
    ("size", "script", "press"),
    [
        (WIDE, True, click),
        (NARROW, True, click),
        (WIDE, True, by_keyboard),
        (NARROW, True, by_keyboard),
        (WIDE, False, click),
        (NARROW, False, click),
    ],
    ids=["wide", "narrow", "wide, keyboard", "narrow, keyboard", "wide, no script", "narrow, no script"],
)
def test_the_flow_of_an_operator(browser: Any, empty: Local, size: Any, script: bool, press: Press) -> None:
    with opened(browser, viewport=size, java_script_enabled=script) as seen:
        if script:
            log_in(seen.page, empty)
        else:
            seen.page.goto(f"{empty.origin}/login")
            seen.page.locator("[name=token]").fill(empty.app.link.make().get())
            seen.page.get_by_role("button", name="Log in").click()
        flow(seen.page, empty.keys, empty.url("/"), press)
        assert not seen.complaints


@pytest.mark.parametrize(("application", "server"), [("flask", "waitress"), ("starlette", "uvicorn-h11")])
def test_the_flow_below_a_prefix_of_another_application(
    browser: Any, tmp_path: Path, application: str, server: str
) -> None:
    pytest.importorskip(application, reason=f"not run: {application} is not installed")
    from console_apps import DB

    url = f"sqlite:///{tmp_path / 'keys.db'}"
    engine = create_engine(url)
    keys = SqlKeys(engine)
    keys.create_table()
    [found] = [each for each in SERVERS if each.name == server]
    with (
        serving(found, f"console_apps:{application}", tmp_path, {DB: url}) as running,
        opened(browser, viewport=WIDE, extra_http_headers={WHO: "ada"}) as seen,
    ):
        flow(seen.page, keys, f"http://127.0.0.1:{running.port}{PREFIX}/", click)
        assert not seen.complaints
    engine.dispose()


def test_a_link_on_another_site_leaves_open_forms_usable(browser: Any, tmp_path: Path, origin: str) -> None:
    pytest.importorskip("flask", reason="not run: flask is not installed")
    from console_apps import DB

    url = f"sqlite:///{tmp_path / 'keys.db'}"
    engine = create_engine(url)
    keys = SqlKeys(engine)
    keys.create_table()
    keys.add("acme", KEY, key_id="k1")
    [found] = [each for each in SERVERS if each.name == "waitress"]
    with (
        serving(found, "console_apps:flask", tmp_path, {DB: url}) as running,
        opened(browser, viewport=WIDE, extra_http_headers={WHO: "ada"}) as seen,
    ):
        home = f"http://127.0.0.1:{running.port}{PREFIX}"
        seen.page.goto(f"{home}/tenant/note?name=acme&key=k1")
        seen.page.locator("[name=note]").fill("ask Bob")
        other = seen.page.context.new_page()
        other.goto(origin.replace("127.0.0.1", "localhost"))
        other.set_content(f'<a href="{home}/">the console</a>')
        other.get_by_role("link").click()
        other.wait_for_url(f"{home}/")
        seen.page.get_by_role("button", name="Save").click()
        expect(seen.page.locator("main")).to_contain_text("The note is saved.", timeout=TIMEOUT * 1_000)
    engine.dispose()


@pytest.mark.parametrize(
    ("path", "button"),
    [
        ("/tenant/rotate?name=twice", "Rotate"),
        ("/tenant/key?name=twice", "Add the key"),
        ("/tenant/end?name=twice&key=k1", "End this key now"),
        ("/tenant/switch/confirm?name=twice&mode=report", "Report for twice"),
        ("/new?name=new", "Create the tenant and its key"),
    ],
)
def test_a_second_click_does_not_send_a_form_again(browser: Any, empty: Local, path: str, button: str) -> None:
    empty.keys.add("twice", KEY, key_id="k1")
    sent: list[Any] = []
    with opened(browser, viewport=WIDE) as seen:
        page = seen.page
        log_in(page, empty)
        page.goto(empty.url(path))
        found = page.get_by_role("button", name=button, exact=True)
        found.scroll_into_view_if_needed()
        # As after "Back", with a button that was disabled before.
        found.evaluate("button => { button.disabled = true; dispatchEvent(new PageTransitionEvent('pageshow')); }")
        expect(found).to_be_enabled()
        box = found.bounding_box()
        page.route("**" + path.partition("?")[0], lambda route: sent.append(route))  # A slow answer.
        for _ in range(2):
            page.mouse.click(box["x"] + 5, box["y"] + 5)
            page.wait_for_timeout(300)
        assert len(sent) == 1
        sent[0].continue_()
        expect(page.locator("main")).to_contain_text(
            re.compile("is shown once|has ended|is set"), timeout=TIMEOUT * 1_000
        )
        assert not seen.complaints
    assert len(empty.keys.audit()) == 2


def test_a_form_that_was_stopped_can_be_sent_again(browser: Any, empty: Local) -> None:
    with opened(browser, viewport=WIDE) as seen:
        page = seen.page
        log_in(page, empty)
        page.clock.install()
        page.goto(empty.url("/new?name=stopped"))
        button = page.get_by_role("button", name="Create the tenant and its key")
        page.route("**/new", lambda route: None)  # No answer.
        button.evaluate("button => { button.click(); setTimeout(() => window.stop(), 500); }")
        page.wait_for_timeout(1_000)
        expect(button).to_be_disabled()
        page.clock.fast_forward(11_000)
        expect(button).to_be_enabled()
        page.unroute("**/new")
        button.click()
        expect(page.locator("main")).to_contain_text("is shown once", timeout=TIMEOUT * 1_000)


def test_the_token_of_the_link_stays_in_no_address_or_history(browser: Any, filled: Local) -> None:
    link = filled.link()
    token = link.partition("#")[2]
    asked = []
    with opened(browser, viewport=WIDE) as seen:
        seen.page.on("request", lambda request: asked.append(request.url))
        log_in(seen.page, filled)
        seen.page.go_back()
        assert token not in seen.page.url
        assert token not in seen.page.content()
        for field in seen.page.locator("[name=token]").all():
            assert field.input_value() != token
    assert not [url for url in asked if token in url.partition("#")[0]]


def test_a_secret_is_removed_when_its_page_is_left(browser: Any, filled: Local) -> None:
    with opened(browser, viewport=WIDE) as seen:
        page = seen.page
        log_in(page, filled)
        PAGES["new-secret"](page, filled)
        secret = page.locator("#new-secret").input_value()
        made = len(filled.keys.list())
        page.get_by_role("checkbox").check()
        page.get_by_role("button", name="Continue").click()
        assert secret not in page.content() + page.url
        left = page.url
        # Chromium asks before it sends the form once more, and shows its own page until then.
        with suppress(Error):
            page.go_back(wait_until="commit")
        page.wait_for_timeout(300)
        assert secret not in page.content()
        assert not page.locator("#new-secret").count() or page.locator("#new-secret").input_value() == ""
        assert len(filled.keys.list()) == made
        again = page.context.new_page()
        again.goto(left)
        assert secret not in again.content()


def test_the_env_file_is_downloaded(browser: Any, filled: Local) -> None:
    for script in (True, False):
        with opened(browser, viewport=WIDE, java_script_enabled=script) as seen:
            seen.page.goto(f"{filled.origin}/login")
            seen.page.locator("[name=token]").fill(filled.app.link.make().get())
            seen.page.get_by_role("button", name="Log in").click()
            PAGES["new-secret"](seen.page, filled)
            secret = seen.page.locator("#new-secret").input_value()
            with seen.page.expect_download() as download:
                seen.page.get_by_role("button", name="Download as .env").click()
            assert re.fullmatch(r"pk_test_\d{3}\.env", download.value.suggested_filename)
            assert Path(download.value.path()).read_text() == f"HMAC_GUARD_KEY='{secret}'\n"


def test_copy(browser: Any, filled: Local) -> None:
    with opened(browser, viewport=WIDE, permissions=["clipboard-read", "clipboard-write"]) as seen:
        log_in(seen.page, filled)
        PAGES["new-secret"](seen.page, filled)
        seen.page.get_by_role("button", name="Copy").click()
        seen.page.get_by_role("button", name="Copied").wait_for()
        assert seen.page.evaluate("navigator.clipboard.readText()") == seen.page.locator("#new-secret").input_value()


def test_another_site_cannot_frame_it_or_send_its_forms(browser: Any, filled: Local, origin: str) -> None:
    """The page of the other site is on another port of this host, where `SameSite` alone does not help."""
    before = filled.keys.list(), len(filled.keys.audit())
    with opened(browser, viewport=WIDE) as seen:
        log_in(seen.page, filled)
        token = seen.page.evaluate("document.querySelector('[name=token]').value")
        seen.page.goto(origin)
        address = filled.url(f"/tenant?name={ACME}")
        seen.page.set_content(f'<iframe src="{address}"></iframe>')
        seen.page.wait_for_timeout(500)
        assert ACME not in seen.page.frames[-1].content()
        assert any("frame-ancestors" in text for text in seen.complaints)
        fields = {"name": ACME, "mode": "off", "token": token}
        inputs = "".join(f'<input name="{name}" value="{value}">' for name, value in fields.items())
        action = filled.url("/tenant/switch/confirm")
        seen.page.goto(origin)
        seen.page.set_content(f'<form method="post" action="{action}">{inputs}<button>send</button></form>')
        seen.page.get_by_role("button").click()
        assert "sent from another origin" in seen.page.locator("body").inner_text()
    assert (filled.keys.list(), len(filled.keys.audit())) == before


def test_log_out_ends_the_session(browser: Any, filled: Local) -> None:
    with opened(browser, viewport=NARROW) as seen:
        log_in(seen.page, filled)
        seen.page.get_by_role("button", name="Log out").click()
        seen.page.goto(filled.url(f"/tenant?name={ACME}"))
        assert seen.page.url == f"{filled.origin}/login"
        seen.page.go_back()
        assert ACME not in seen.page.content()


def test_typed_text_is_never_run_as_a_script(browser: Any, filled: Local) -> None:
    hostile = "<img src=x onerror=\"document.title='taken'\">"
    filled.keys.add(hostile, KEY, key_id=hostile, note=hostile)
    with opened(browser, viewport=WIDE) as seen:
        log_in(seen.page, filled)
        seen.page.goto(filled.url("/"))
        seen.page.get_by_role("link", name="<img").first.click()
        seen.page.wait_for_timeout(200)
        assert hostile in seen.page.locator("main").inner_text()
        assert "taken" not in seen.page.title().partition("·")[2]
        assert not seen.page.locator("img").count()


def test_a_signature_is_checked_while_the_user_types(browser: Any, filled: Local) -> None:
    filled.keys.add("typed", KEY, key_id="k1")
    right = NANGO.sign(KEY, integration_id="github", connection_id="u-1")
    with opened(browser, viewport=WIDE) as seen:
        log_in(seen.page, filled)
        seen.page.goto(filled.url("/check?name=typed"))
        result = seen.page.locator(".live")
        seen.page.locator("[name='id.integration_id']").press_sequentially("github")
        seen.page.locator("[name='id.connection_id']").press_sequentially("u-1")
        expect(result).to_contain_text("The bytes to sign for typed", timeout=TIMEOUT * 1_000)
        seen.page.locator("[name=signature]").fill(right[:-1])
        expect(result).to_contain_text("Not right", timeout=TIMEOUT * 1_000)
        seen.page.locator("[name=signature]").fill(right)
        expect(result).to_contain_text("This signature is right for typed", timeout=TIMEOUT * 1_000)
        assert seen.page.locator("[name=signature]").input_value() == right
        assert not seen.complaints


def test_a_result_of_other_input_does_not_stay_while_the_user_types(browser: Any, filled: Local) -> None:
    filled.keys.add("retyped", KEY, key_id="k1")
    with opened(browser, viewport=WIDE) as seen:
        log_in(seen.page, filled)
        seen.page.goto(filled.url("/check?name=retyped"))
        result, alert = seen.page.locator(".live"), seen.page.get_by_role("alert")
        integration, connection = seen.page.locator("[name^='id.']").all()
        integration.fill("github")
        wait = {"timeout": TIMEOUT * 1_000}

        def show_a_result() -> None:
            connection.fill("u-1")
            expect(result).to_contain_text("The bytes to sign for retyped", **wait)
            expect(alert).to_have_count(0, **wait)

        show_a_result()
        connection.fill("u-1 ")
        expect(result).to_have_text(re.compile(r"^\s*The value of connection_id cannot be an id: [^.]+\.\s*$"), **wait)
        show_a_result()
        connection.fill("")
        expect(result).to_have_text("", **wait)
        seen.page.goto(filled.url("/check?name=retyped"))
        integration.fill("github")
        connection.fill("u-1 ")
        seen.page.get_by_role("button", name="Check", exact=True).click()
        expect(alert).to_have_count(1, **wait)
        show_a_result()
        for answered in ({"status": 403, "body": "<p role=alert>No</p>"}, None):
            refused = partial(_answer, answered)
            seen.page.route("**/check", refused)
            connection.fill("u-2")
            expect(result).to_have_text("", **wait)
            seen.page.unroute("**/check", refused)
            show_a_result()


def test_a_result_is_removed_with_the_first_changed_character(browser: Any, filled: Local) -> None:
    filled.keys.add("changed", KEY, key_id="k1")
    asked: list[Any] = []
    with opened(browser, viewport=WIDE) as seen:
        log_in(seen.page, filled)
        seen.page.goto(filled.url("/check?name=changed"))
        result, connection = seen.page.locator(".live"), seen.page.locator("[name='id.connection_id']")
        seen.page.locator("[name='id.integration_id']").fill("github")
        connection.fill("u-1")
        expect(result).to_contain_text("The bytes to sign for changed", timeout=TIMEOUT * 1_000)
        seen.page.route("**/check", lambda route: asked.append(route))

        with seen.page.expect_request("**/check"):
            connection.fill("u-2")
            assert result.inner_text() == ""
        connection.fill("u-3")
        asked[0].continue_()  # A late answer, to "u-2".
        seen.page.wait_for_timeout(300)
        assert result.inner_text() == ""


def _answer(answered: Any, route: Any) -> None:
    if answered is None:
        route.abort()
    else:
        route.fulfill(content_type="text/html", **answered)


def test_a_typed_text_that_begins_with_a_line_end_stays_as_it_is(browser: Any, filled: Local) -> None:
    """HTML ignores a line end at the start of a text of several lines."""
    filled.keys.add("lines", KEY, key_id="k1", note="\nsecond line")
    with opened(browser, viewport=WIDE) as seen:
        log_in(seen.page, filled)
        seen.page.goto(filled.url("/check?scheme=stripe&name=lines"))
        body = seen.page.locator("[name=body]")
        body.fill('\n{"a":1}')
        for _ in range(2):
            with seen.page.expect_navigation():
                seen.page.get_by_role("button", name="Check", exact=True).click()
            assert body.input_value() == '\n{"a":1}'
        seen.page.goto(filled.url("/tenant/note?name=lines&key=k1"))
        assert seen.page.locator("#note").input_value() == "\nsecond line"
