"""One request of an operator, and the templates and files that answer it."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

from hmac_guard.console.access import Operator, make_token
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.text import escaped_lines
from hmac_guard.explain.printable import counted

if TYPE_CHECKING:
    from hmac_guard.console.console import Console


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that pages load. Its version is a part of its SHA-256 in hex."""

    content: bytes
    content_type: str
    version: str


def _asset(name: str, content_type: str) -> Asset:
    content = files("hmac_guard.console").joinpath("static", name).read_bytes()
    return Asset(content, content_type, hashlib.sha256(content).hexdigest()[:12])


ASSETS = {
    "console.css": _asset("console.css", "text/css; charset=utf-8"),
    "icon.svg": _asset("icon.svg", "image/svg+xml"),
    "console.js": _asset("console.js", "text/javascript; charset=utf-8"),
}

templates = Environment(
    loader=PackageLoader("hmac_guard.console"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


ISO = "%Y-%m-%dT%H:%M:%SZ"


def in_utc(moment: float | None) -> datetime | None:
    """Return a Unix time in UTC, or None if `datetime` cannot represent it."""
    try:
        return None if moment is None else datetime.fromtimestamp(moment, timezone.utc)
    except (OverflowError, ValueError, OSError):
        return None


def as_time(moment: float | None) -> Markup:
    """Return a Unix time as HTML, in UTC; "-" for None."""
    at = in_utc(moment)
    if at is None:
        return escape("-")
    return Markup('<time datetime="{}">{}</time>').format(at.strftime(ISO), f"{at.day} {at:%b %Y, %H:%M} UTC")


def ago(moment: float | None, now: float) -> Markup:
    """Return how long ago a Unix time was, as HTML; "never" for None. The exact time is its title."""
    at = in_utc(moment)
    if at is None or moment is None:
        return escape("never")
    seconds = now - moment
    text = f"{at.day} {at:%b %Y}"
    for limit, size, unit in ((90, 1, "s"), (5_400, 60, "min"), (129_600, 3_600, "h"), (2_592_000, 86_400, "d")):
        if abs(seconds) < limit:
            count = max(0, round(abs(seconds) / size))
            text = f"{count} {unit} ago" if seconds >= 0 else f"in {count} {unit}"
            break
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        at.strftime(ISO), f"{at.day} {at:%b %Y, %H:%M:%S} UTC", text
    )


def hex_dump(message: bytes) -> list[tuple[str, str, str]]:
    """Return the lines of a hex dump: offset, bytes, text."""
    rows = []
    for at in range(0, len(message), 16):
        part = message[at : at + 16]
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "·" for byte in part)
        rows.append((f"{at:04x}", part.hex(" "), text))
    return rows


def hour(moment: float, span: int) -> str:
    """Return the label of an hour under a plot: the time, or the date if the plot shows several days."""
    at = in_utc(moment)
    if at is None:
        return ""
    return f"{at:%H:%M}" if span <= 24 else f"{at.day} {at:%b}"


def starts_label(moment: float, span: int) -> bool:
    """Return whether an hour has a label: every third hour, or midnight if the plot shows several days."""
    at = in_utc(moment)
    return at is not None and at.hour % (3 if span <= 24 else 24) == 0


_FILTERS: dict[str, Any] = {
    "time": as_time,
    "ago": ago,
    "number": lambda number: f"{number:,}",
    "counted": counted,
    "hour": hour,
    "starts_label": starts_label,
    "visible": escaped_lines,
    "sentence": lambda text: text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else "."),
}
templates.filters.update(_FILTERS)


#: The messages after a change. An address contains only the key of a message, so no text of a client is shown.
DONE = {
    "key": "The key is active.",
    "rotated": "The new key is active.",
    "ended": "The key has ended.",
    "note": "The note is saved.",
    "mode": "The mode is set.",
}


@dataclass(frozen=True, slots=True)
class Context:
    """One request.

    Attributes:
        console: The console.
        request: The request of werkzeug. It contains what the operator typed, which may be a secret.
        operator: The sender.
        session: The name of the browser's session, from its cookie.
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
        """Return a value of the query, or "" if there is none."""
        return self.request.args.get(name, "")

    def number(self, name: str) -> int | None:
        """Return a value of the query if it can be the number of a row, otherwise None."""
        text = self.arg(name)
        return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None

    def field(self, name: str) -> str:
        """Return a field of the form, with LF at its line ends. A browser sends CRLF."""
        return self.request.form.get(name, "").replace("\r\n", "\n")

    def hidden_field(self, name: str) -> Hidden[str]:
        """Return a field that may be a secret."""
        return hide(self.request.form.get(name, ""))

    def scheme(self) -> Scheme:
        """Return the scheme that the request names, or the first one."""
        schemes = self.console.schemes
        return schemes.get(self.request.values.get("scheme", "")) or next(iter(schemes.values()))

    def audit_fields(self) -> dict[str, str]:
        """Return who makes a change, and from where, for the audit."""
        address = self.request.remote_addr or ""
        return {
            "actor": self.operator.name,
            "origin": address[:255] if address.isprintable() and address else "console",
        }

    def now(self) -> float:
        """Return the Unix time in seconds."""
        return self.console.clock()

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """Return a page. The values are escaped."""
        return html(template, status, **self._shared(), **values)

    def redirect(self, path: str, **query: str | int | None) -> Response:
        """Return a redirect to another page, so that a reload does not send the form again."""
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


def attachment(name: str) -> dict[str, str]:
    """Return the header with which a browser stores a page as a file. Some characters of its name become "_"."""
    return {"Content-Disposition": f'attachment; filename="{re.sub("[^A-Za-z0-9._-]", "_", name)}"'}


def html(template: str, status: int, /, **values: Any) -> Response:
    """Return a response with a template. The values are escaped."""
    return Response(templates.get_template(template).render(**values), status, content_type="text/html; charset=utf-8")


def url_below(request: Request, path: str) -> str:
    """Return the path of a page as a browser asks for it. It begins with one slash: two would name a host."""
    return quote("/" + f"{request.root_path.rstrip('/')}{path}".lstrip("/"), safe="/:@!$&'()*+,;=~")


def asset_url(request: Request, name: str) -> str:
    """Return the address of the script or the stylesheet; it changes with the file."""
    return f"{url_below(request, f'/static/{name}')}?v={ASSETS[name].version}"
