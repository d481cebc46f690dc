"""docs/signing-for-your-page.md in a real browser: the page gets its signature from each endpoint, and renews it."""

from pathlib import Path
from typing import Any

import pytest
from documented import blocks
from servers import SERVERS, serving

pytestmark = pytest.mark.browser

PAGE = "docs/signing-for-your-page.md"
FILES = {block.name: block for language in ("python", "javascript") for block in blocks(PAGE, language)}
#: What a site has beside the endpoints: the page, its script and a login.
SITES = {
    "flask": """
from flask import send_file, session
from flask_app import app

app.add_url_rule("/", "page", lambda: "<!doctype html><title>page</title>")
app.add_url_rule("/page.js", "script", lambda: send_file("{folder}/inbox.js", mimetype="text/javascript"))
app.add_url_rule("/login", "login", lambda: session.update(user_id="u1") or "")
""",
    "fastapi": """
from fastapi import Request
from fastapi.responses import FileResponse, HTMLResponse
from fastapi_app import app

app.add_api_route("/", lambda: HTMLResponse("<!doctype html><title>page</title>"))
app.add_api_route("/page.js", lambda: FileResponse("{folder}/inbox.js", media_type="text/javascript"))


@app.get("/login")
def login(request: Request):
    request.session["user_id"] = "u1"
""",
    "django": """
from pathlib import Path
from types import SimpleNamespace

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path


def with_user(get_response):
    def middleware(request):
        user = request.session.get("user")
        request.user = SimpleNamespace(is_authenticated=user is not None, pk=user)
        return get_response(request)

    return middleware


def login(request):
    request.session["user"] = "u1"
    return HttpResponse()


settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["127.0.0.1"],
    SECRET_KEY="of the sessions",
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware", "site_app.with_user"],
)
import views

script = Path("{folder}/inbox.js").read_text()
urlpatterns = [
    path("", lambda request: HttpResponse("<!doctype html><title>page</title>")),
    path("page.js", lambda request: HttpResponse(script, content_type="text/javascript")),
    path("login", login),
    path("signed", views.signed),
    path("inbox", views.inbox),
]
app = get_wsgi_application()
""",
}
CALL = """
async () => {
  const { fetchInbox } = await import("/page.js")
  try {
    const answer = await fetchInbox("/inbox")
    return [answer.status, (await answer.text()).replaceAll('"', "")]
  } catch (error) {
    return String(error)
  }
}
"""


@pytest.mark.parametrize("framework", list(SITES))
def test_the_page_signs_for_the_user_who_is_logged_in_and_renews(framework: str, browser: Any, tmp_path: Path) -> None:
    pytest.importorskip(framework, reason=f"not run: {framework} is not installed")
    for name, block in FILES.items():
        # The signature ends after two seconds instead of ten minutes.
        (tmp_path / name).write_text(block.code.replace("max_lifetime=1_200", "max_lifetime=4"))
    (tmp_path / "site_app.py").write_text(SITES[framework].replace("{folder}", str(tmp_path)))
    wanted = "uvicorn-h11" if framework == "fastapi" else "waitress"
    [server] = [server for server in SERVERS if server.name == wanted]
    context = browser.new_context()
    page, signed = context.new_page(), []
    page.on("request", lambda request: signed.append(request.url) if request.url.endswith("/signed") else None)
    with serving(server, "site_app:app", tmp_path) as running:
        page.goto(f"http://127.0.0.1:{running.port}/")
        assert page.evaluate(CALL) == "Error: log in again"
        page.evaluate("() => fetch('/login')")
        signed.clear()
        assert [page.evaluate(CALL), page.evaluate(CALL)] == [[200, "messages of u1"]] * 2
        assert len(signed) == 1
        page.wait_for_timeout(3_500)
        assert page.evaluate(CALL) == [200, "messages of u1"]
        assert len(signed) == 2
    context.close()


def test_the_page_has_the_files() -> None:
    assert set(FILES) == {"inbox.py", "flask_app.py", "fastapi_app.py", "views.py", "inbox.js"}
