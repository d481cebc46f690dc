"""A URL, as it stands in a browser's address bar, a log or a program."""

import re
from urllib.parse import quote, urlsplit

from hmac_guard.explain.capture.request import Captured, CaptureError

# A browser leaves these alone and percent-encodes what a URL cannot hold: white space, quotes, non-ASCII.
_LEFT_ALONE = "%/?:@!$&'()*+,;=~[]{}|^`\\#"


def from_url(text: str) -> Captured:
    """What a browser sends for this URL, which may begin with the path. Raises `CaptureError`."""
    return from_sent_url(quote(re.sub(r"[\t\r\n]", "", text.strip()), safe=_LEFT_ALONE))


def from_sent_url(url: str, method: str = "GET") -> Captured:
    """A request for a URL that goes out as it stands, one character for each byte. Raises `CaptureError`."""
    try:
        parts = urlsplit(url if "://" in url or url.startswith("/") else "//" + url)
    except ValueError as error:
        raise CaptureError(f"the URL cannot be read ({error}); copy it once more") from None
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    headers = (("Host", parts.netloc),) if parts.netloc else ()
    return Captured(method, target, headers, notes=_notes(parts.fragment))


def from_sent_target(target: str, method: str) -> Captured:
    """A request whose first line has this target: path and query, or a whole URL. Raises `CaptureError`."""
    if not target.startswith("/"):
        return from_sent_url(target, method)
    # No URL is read out of it: two slashes at its start are no host here.
    sent, _, fragment = target.partition("#")
    return Captured(method, sent, notes=_notes(fragment))


def _notes(fragment: str) -> tuple[str, ...]:
    return ("the URL has a '#': what stands behind it never reaches a server; write it as %23",) if fragment else ()
