"""A curl command line: what curl would send for it. Files that it names are not read, and nothing is expanded."""

import re

from hmac_guard.explain.capture.curl_options import Command, latin, octets, read_options
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
    if re.search(r'\^"|\^[ \t\r]*\n', text):
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
        return octets("".join(command.json)), "application/json"
    return octets("&".join(command.data)), _FORM if command.data else ""


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


# As a browser writes a field's name (WHATWG HTML, "multipart form data"), and curl since 7.81.
_IN_NAMES = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})


def _multipart(fields: list[tuple[str, str, str]]) -> bytes:
    pieces = []
    for name, text, media_type in fields:
        typed = f"Content-Type: {media_type}\r\n" if media_type else ""
        heading = f'Content-Disposition: form-data; name="{name.translate(_IN_NAMES)}"\r\n{typed}'
        pieces.append(f"--{_BOUNDARY}\r\n{heading}\r\n{text}\r\n")
    return octets("".join([*pieces, f"--{_BOUNDARY}--\r\n"]))
