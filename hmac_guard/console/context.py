"""One request of an operator, and what a page needs to answer it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

from hmac_guard.console.access import Operator
from hmac_guard.console.rendering import ASSETS, templates
from hmac_guard.console.tokens import make_token
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.scheme import Scheme

if TYPE_CHECKING:
    from hmac_guard.console.console import Console

#: What a page says after a change. The address names the sentence, so no text of a client is shown.
DONE = {
    "key": "The key is in force.",
    "rotated": "The new key is in force.",
    "ended": "The key has ended.",
    "note": "The note is saved.",
    "mode": "The mode is set.",
}


@dataclass(frozen=True, slots=True)
class Context:
    """One request.

    Attributes:
        console: The console.
        request: The request of werkzeug. It holds what an operator has typed, a secret perhaps.
        operator: Who has sent it.
        session: The name of the browser's session, out of its cookie.
    """

    console: "Console"
    request: Request
    operator: Operator
    session: str

    def url(self, path: str, **query: str | int | None) -> str:
        """Return the address of a page, below the mount point."""
        given = {name: value for name, value in query.items() if value not in (None, "")}
        return url_below(self.request, path) + (f"?{urlencode(given, quote_via=quote)}" if given else "")

    def arg(self, name: str) -> str:
        """Return a value of the query, "" where there is none."""
        return self.request.args.get(name, "")

    def field(self, name: str) -> str:
        """Return a field of the form, with the line ends of text that was typed elsewhere."""
        return self.request.form.get(name, "").replace("\r\n", "\n")

    def hidden_field(self, name: str) -> Hidden[str]:
        """Return a field that may be a secret."""
        return hide(self.request.form.get(name, ""))

    def scheme(self) -> Scheme:
        """Return the scheme that the request names, or the first one."""
        schemes = self.console.schemes
        return schemes.get(self.request.values.get("scheme", "")) or next(iter(schemes.values()))

    def by(self) -> dict[str, str]:
        """Return who makes a change, and from where, for the audit."""
        address = self.request.remote_addr or ""
        return {
            "actor": self.operator.name,
            "origin": address[:255] if address.isprintable() and address else "console",
        }

    def now(self) -> float:
        return self.console.clock()

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """Return a page. The values are escaped."""
        return html(template, status, **self._shared(), **values)

    def moved(self, path: str, **query: str | int | None) -> Response:
        """Send the browser to another page with GET, so that to reload it sends no form again."""
        return redirect(self.url(path, **query), 303)

    def _shared(self) -> Mapping[str, Any]:
        console = self.console
        token = make_token(console.secret(), self.session, self.operator.name, self.now())
        return {
            "console_title": console.title,
            "operator": self.operator,
            "token": token,
            "url": self.url,
            "asset": lambda name: asset_url(self.request, name),
            "here": self.request.path,
            "now": self.now(),
            "is_clear": console.is_clear,
            "schemes": list(console.schemes),
            "done": DONE.get(self.arg("done"), ""),
            "logout": self.request.environ.get("hmac_guard.console.logout", ""),
        }


def html(template: str, status: int, /, **values: Any) -> Response:
    return Response(templates.get_template(template).render(**values), status, content_type="text/html; charset=utf-8")


def url_below(request: Request, path: str) -> str:
    """Return the path of a page as a browser asks for it."""
    return quote(request.root_path.rstrip("/") + path, safe="/:@!$&'()*+,;=~")


def asset_url(request: Request, name: str) -> str:
    """Return the address of the script or the stylesheet; it changes with the file."""
    return f"{url_below(request, f'/static/{name}')}?v={ASSETS[name].version}"
