"""Reads a copied request: a URL, a curl command line, a raw HTTP request or an entry of a HAR file."""

import codecs
import re

from hmac_guard.explain.capture.curl import from_curl, is_curl
from hmac_guard.explain.capture.request import NO_REQUEST, from_har, from_raw, from_url, is_raw
from hmac_guard.explain.capture.request import Captured as Captured
from hmac_guard.explain.capture.request import CaptureError as CaptureError
from hmac_guard.explain.capture.request import as_request as as_request

# After a scheme there may be spaces or line breaks, because a URL may be copied before a browser encodes it.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?:.*|[^ ]*)|/\S*|[\w.:@\[\]-]+(?:[/?#]\S*)?")
_QUOTED = re.compile(r"""(["'])(?P<quoted>[^"']*)\1|<(?P<angled>[^<>]*)>""")


def capture(given: bytes, entry: int | None = None) -> Captured:
    """Return the request in a copied text.

    Args:
        given: A URL, a curl command line, a raw HTTP request, an entry of a HAR file, or a HAR file.
        entry: The number of the entry in a HAR file, from 0.

    Raises:
        CaptureError: The text is not a complete request.
    """
    given = given.removeprefix(codecs.BOM_UTF8)
    if is_raw(given):
        return from_raw(given)
    try:
        text = given.decode().strip()
    except UnicodeDecodeError:
        raise CaptureError("this is not text; give a URL, a curl command, a raw HTTP request or a HAR entry") from None
    if not text:
        raise CaptureError("there is no request; give a URL, a curl command, a raw HTTP request or a HAR entry")
    if is_curl(text):
        return from_curl(text)
    if text.startswith("{"):
        return from_har(text, entry)
    url = _unquoted(text)
    if not _URL.fullmatch(url):
        raise CaptureError(NO_REQUEST)
    return from_url(url)


def _unquoted(text: str) -> str:
    """Return the text without the quotes or the angle brackets around it."""
    match = _QUOTED.fullmatch(text)
    return (match["quoted"] or match["angled"] or "") if match else text
