"""A curl command line: what curl would send for it. Files that it names are not read, and nothing is expanded."""

import re

from werkzeug.datastructures import Headers
from werkzeug.sansio.multipart import Data, Epilogue, Field, MultipartEncoder, Preamble

from hmac_guard.explain.capture.curl_options import Command, latin, read_options
from hmac_guard.explain.capture.request import Captured, CaptureError
from hmac_guard.explain.capture.shell import first_command
from hmac_guard.explain.capture.url import from_sent_url

_BOUNDARY = "------------------------0123456789abcdef"
_FORM = "application/x-www-form-urlencoded"


def is_curl(text: str) -> bool:
    """Whether this is a curl command line, with the shell's prompt before it or not."""
    return re.match(r"\s*(?:\$ +)?curl\s", text) is not None


def from_curl(text: str) -> Captured:
    """The request that a command line makes, of curl in a POSIX shell. Raises `CaptureError`."""
    if re.search(r'\^"|\^\s*\n', text):
        raise CaptureError("this is curl for Windows' cmd; choose 'Copy as cURL (bash)' in the browser")
    words, end = first_command(re.sub(r"^\s*\$ +", "", text))
    command = read_options(words[1:])
    if not command.urls:
        raise CaptureError("the curl command has no URL; copy the whole command")
    captured = _sent(command)
    cut = "the URL is not quoted: the shell ends the command at '&', and what follows is not sent"
    return captured._replace(notes=(*captured.notes, cut)) if end == "&" else captured


def _sent(command: Command) -> Captured:
    body, content_type = (b"", "") if command.data_in_query else _body(command)
    captured = from_sent_url(_url(command), command.method or _method(command, content_type))
    implied = [*captured.headers, ("User-Agent", "curl"), ("Accept", "application/json" if command.json else "*/*")]
    if command.cookies:
        implied.append(("Cookie", ";".join(command.cookies)))
    if content_type:
        implied.append(("Content-Type", content_type))
    return captured._replace(headers=_headers(implied, command.headers), body=body)


def _url(command: Command) -> str:
    url, hash_sign, fragment = latin(command.urls[0]).partition("#")
    path, question_mark, query = url.partition("?")
    # Of what is not ASCII curl encodes the path alone.
    url = re.sub("[^\0-\x7f]", lambda octet: f"%{ord(octet[0]):02x}", path) + question_mark + query
    data = [latin("&".join(command.data))] if command.data_in_query and command.data else []
    for part in [*command.query, *data]:
        url += ("&" if "?" in url else "?") + part
    return url + hash_sign + fragment


def _method(command: Command, content_type: str) -> str:
    return "HEAD" if command.head else "POST" if content_type else "GET"


def _body(command: Command) -> tuple[bytes, str]:
    """The body and its media type; both empty where there is none."""
    if command.form:
        return _multipart(command.form), f"multipart/form-data; boundary={_BOUNDARY}"
    if command.json:
        return "".join(command.json).encode(), "application/json"
    return "&".join(command.data).encode(), _FORM if command.data else ""


def _headers(implied: list[tuple[str, str]], given: list[str]) -> tuple[tuple[str, str], ...]:
    """Curl's own headers and those of -H, which take their place; `Name:` leaves one out, `Name;` sends it empty."""
    sent: list[tuple[str, str]] = []
    replaced = set()
    for line in given:
        name, colon, value = line.partition(":")
        if not colon:
            name, colon = line.rstrip(";"), ";" if line.endswith(";") else ""
        replaced.add(name.strip().lower())
        if value.strip() or colon == ";":
            sent.append((name.strip(), value.strip()))
    return (*((name, value) for name, value in implied if name.lower() not in replaced), *sent)


def _multipart(fields: list[tuple[str, str, str]]) -> bytes:
    encoder = MultipartEncoder(_BOUNDARY.encode())
    pieces = [encoder.send_event(Preamble(data=b""))]
    for name, text, media_type in fields:
        headers = Headers([("Content-Type", media_type)] if media_type else [])
        pieces.append(encoder.send_event(Field(name=name.replace('"', "%22"), headers=headers)))
        pieces.append(encoder.send_event(Data(data=text.encode(), more_data=False)))
    return b"".join([*pieces, encoder.send_event(Epilogue(data=b""))]).lstrip()
