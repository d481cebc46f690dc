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
    notes = (
        ("the URL has a '#': what stands behind it never reaches a server; write it as %23",) if parts.fragment else ()
    )
    return Captured(method, target, headers, notes=notes)
