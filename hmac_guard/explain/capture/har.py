"""Reads an entry of a HAR 1.2 file. Browsers save such files in the network panel."""

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from hmac_guard.explain.capture.raw import from_sent_url
from hmac_guard.explain.capture.request import Captured, CaptureError
from hmac_guard.explain.printable import printable

_MOST_CHOICES = 50


def from_har(text: str, entry: int | None = None) -> Captured:
    """Return the request of an entry.

    Args:
        text: The JSON of an entry, or of a HAR file.
        entry: The number of the entry in a HAR file, from 0.

    Raises:
        CaptureError: The text is not JSON, is not HAR, or has several entries and `entry` is None.
    """
    try:
        document = json.loads(text)
    except RecursionError:
        raise CaptureError("this JSON is nested too deeply for a HAR entry; copy the HAR entry alone") from None
    except json.JSONDecodeError as error:
        raise CaptureError(f"this is not valid JSON ({error}); copy the whole HAR entry") from None
    except ValueError:
        raise CaptureError("this JSON has a number that is too long; copy the HAR entry alone") from None
    try:
        request = _request(document, entry)
        url = _text(request["url"]).encode("utf-8", "surrogatepass").decode("latin-1")
        captured = from_sent_url(url, _text(request.get("method", "GET")))
        headers = tuple((_text(header["name"]), _text(header["value"])) for header in request.get("headers", ()))
        body = _body(request.get("postData") or {})
    except CaptureError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError):
        raise CaptureError("this JSON is not a HAR entry; an entry has a request with a url and headers") from None
    return captured._replace(headers=tuple(pair for pair in headers if not pair[0].startswith(":")), body=body)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _request(document: Any, entry: int | None) -> Any:
    if "log" in document:
        document = _chosen(document["log"]["entries"], entry)
    return document.get("request", document)


def _chosen(entries: Any, entry: int | None) -> Any:
    if entry is not None and 0 <= entry < len(entries):
        return entries[entry]
    refused = [found for found in entries if found.get("response", {}).get("status") == 401]
    for several in (entries, refused):
        if entry is None and len(several) == 1:
            return several[0]
    choices = [f"{number}: {_line(found)}" for number, found in enumerate(entries[:_MOST_CHOICES])]
    further = [f"and {len(entries) - _MOST_CHOICES} more"] if len(entries) > _MOST_CHOICES else []
    raise CaptureError(f"there are {len(entries)} entries; choose one with --entry NUMBER:", [*choices, *further])


def _line(entry: Any) -> str:
    return printable(f"{_text(entry['request']['method'])} {_text(entry['request']['url']).partition('?')[0]}")[:60]


def _body(data: Mapping[str, Any]) -> bytes:
    text = _text(data.get("text") or "")
    if data.get("encoding") == "base64":
        return base64.b64decode(text)
    if not text and "params" in data:
        fields = [(_text(param["name"]), _text(param.get("value", ""))) for param in data["params"]]
        text = urlencode(fields, errors="surrogatepass")
    return text.encode("utf-8", "surrogatepass")
