"""A console in a test: its database, its operators, and a client that fills in forms as a browser does."""

import re
from html import unescape
from html.parser import HTMLParser
from typing import Any, NamedTuple

from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client, TestResponse

from hmac_guard.console import Console, Operator

ADA = Operator("ada@example.com", "operator")
VIC = Operator("vic@example.com", "viewer")
WHO = "X-Test-Operator"
OPERATORS = {"ada": ADA, "vic": VIC}
ORIGIN = "http://localhost"
PREFIX = "/console"


def by_header(request: Any) -> Operator | None:
    """Return the operator that a header names, or None without the header."""
    return OPERATORS.get(request.headers.get(WHO, ""))


class Form(NamedTuple):
    """A form of a page: its method, its address and its fields."""

    method: str
    action: str
    fields: dict[str, str]
    buttons: tuple[str, ...]


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._select = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        given = dict(attrs)
        if tag == "form":
            self.forms.append(Form(given.get("method", "get"), given["action"], {}, ()))
        elif self.forms and tag in ("input", "textarea", "select") and given.get("name"):
            chosen = given.get("type") not in ("radio", "checkbox") or "checked" in given
            if chosen:
                self.forms[-1].fields[given["name"]] = given.get("value") or ""
            self._select = given["name"] if tag == "select" else ""
        elif tag == "option" and self._select and "selected" in given:
            self.forms[-1].fields[self._select] = given.get("value") or ""
        elif tag == "button" and given.get("formaction"):
            form = self.forms.pop()
            self.forms.append(form._replace(buttons=(*form.buttons, given["formaction"])))


def forms_of(text: str) -> list[Form]:
    parser = _Forms()
    parser.feed(text)
    return parser.forms


class Browser:
    """A client of one session, below a mount point."""

    def __init__(self, console: Console, who: str = "ada") -> None:
        self.client = Client(DispatcherMiddleware(_nothing, {PREFIX: console.wsgi}))
        self.headers = {WHO: who} if who else {}

    def get(self, path: str, **query: str) -> TestResponse:
        return self.client.get(PREFIX + path, query_string=query, headers=self.headers)

    def token(self) -> str:
        """The token of the forms of this session."""
        return dict(forms_of(self.get("/check").text)[0].fields)["token"]

    def post(self, path: str, *, origin: str | None = ORIGIN, token: str | None = None, **fields: str) -> TestResponse:
        headers = {**self.headers, **({"Origin": origin} if origin else {})}
        data = {"token": self.token() if token is None else token, **fields}
        return self.client.post(PREFIX + path, data=data, headers=headers, environ_base={"REMOTE_ADDR": "192.0.2.7"})

    def fill(self, form: Form, /, **fields: str) -> TestResponse:
        """Send a form of a page with these fields."""
        return self.post(form.action.removeprefix(PREFIX), **{**form.fields, **fields})


def _nothing(environ: Any, start_response: Any) -> list[bytes]:
    start_response("404 Not Found", [])
    return []


def secret_in(response: TestResponse) -> str:
    found = re.search(r'id="new-secret"[^>]*value="([^"]+)"', response.text)
    assert found, response.text
    return unescape(found[1])


def signature_in(response: TestResponse) -> str:
    found = re.search(r'id="right"[^>]*value="([^"]+)"', response.text)
    assert found, response.text
    return unescape(found[1])


def words_of(response: TestResponse) -> str:
    """The text of a page, without its tags."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", response.text)))
