"""The templates, their filters, and the files of the pages."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that pages load."""

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


_ISO = "%Y-%m-%dT%H:%M:%SZ"


def in_utc(moment: float | None) -> datetime | None:
    """Return a time in UTC; None for one that no calendar has."""
    try:
        return None if moment is None else datetime.fromtimestamp(moment, timezone.utc)
    except (OverflowError, ValueError, OSError):
        return None


def as_time(moment: float | None, missing: str = "-") -> Markup:
    """Return a time as HTML, in UTC."""
    at = in_utc(moment)
    if at is None:
        return escape(missing)
    return Markup('<time datetime="{}">{}</time>').format(at.strftime(_ISO), f"{at.day} {at:%b %Y, %H:%M} UTC")


def ago(moment: float | None, now: float, missing: str = "never") -> Markup:
    """Return how long ago a time was, as HTML; the exact time is its title."""
    at = in_utc(moment)
    if at is None or moment is None:
        return escape(missing)
    seconds = now - moment
    text = f"{at.day} {at:%b %Y}"
    for most, size, unit in ((90, 1, "s"), (5_400, 60, "min"), (129_600, 3_600, "h"), (2_592_000, 86_400, "d")):
        if abs(seconds) < most:
            count = max(0, round(abs(seconds) / size))
            text = f"{count} {unit} ago" if seconds >= 0 else f"in {count} {unit}"
            break
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        at.strftime(_ISO), f"{at.day} {at:%b %Y, %H:%M:%S} UTC", text
    )


def in_bytes(message: bytes) -> list[tuple[str, str, str]]:
    """Return the lines of a hex dump: offset, bytes, text."""
    rows = []
    for at in range(0, len(message), 16):
        part = message[at : at + 16]
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "·" for byte in part)
        rows.append((f"{at:04x}", part.hex(" "), text))
    return rows


def counted(number: int, word: str, words: str = "") -> str:
    return f"{number:,} {word if number == 1 else words or word + 's'}"


def visible(text: str) -> str:
    """Return a text with escapes for what is not printable: what turns the direction of writing, say."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one == "\n" else ascii(one)[1:-1] for one in text)


def hour(moment: float, span: int) -> str:
    """Return the label of an hour under a plot: a time of day, or a day where a plot has many."""
    at = in_utc(moment)
    if at is None:
        return ""
    return f"{at:%H:%M}" if span <= 24 else f"{at.day} {at:%b}"


def starts_label(moment: float, span: int) -> bool:
    """Whether the label of an hour stands under a plot: each third hour of a day, midnight of many days."""
    at = in_utc(moment)
    return at is not None and at.hour % (3 if span <= 24 else 24) == 0


_FILTERS: dict[str, Any] = {
    "time": as_time,
    "ago": ago,
    "number": lambda number: f"{number:,}",
    "counted": counted,
    "hour": hour,
    "starts_label": starts_label,
    "visible": visible,
    "sentence": lambda text: text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else "."),
}
templates.filters.update(_FILTERS)
