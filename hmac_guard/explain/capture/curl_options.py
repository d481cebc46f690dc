"""The options of a curl command line, and what they come to. Files that they name are not read."""

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote_plus

from hmac_guard.explain.capture.request import CaptureError
from hmac_guard.explain.printable import excerpt

# The options that take a value and change nothing of what is looked at here. Any further one is a switch.
_OTHER_VALUES = frozenset(
    """
    abstract-unix-socket alt-svc aws-sigv4 cacert capath cert cert-type ciphers config connect-timeout connect-to
    continue-at cookie-jar create-file-mode crlfile curves delegation dns-interface dns-ipv4-addr dns-ipv6-addr
    dns-servers doh-url dump-header egd-file engine etag-compare etag-save expect100-timeout ftp-account
    ftp-alternative-to-user ftp-method ftp-port ftp-ssl-ccc-mode happy-eyeballs-timeout-ms help hostpubmd5
    hostpubsha256 hsts interface keepalive-time key key-type krb libcurl limit-rate local-port login-options mail-auth
    mail-from mail-rcpt max-filesize max-redirs max-time netrc-file noproxy output output-dir parallel-max pass
    pinnedpubkey proto proto-default proto-redir proxy proxy-cacert proxy-capath proxy-cert proxy-cert-type
    proxy-ciphers proxy-crlfile proxy-header proxy-key proxy-key-type proxy-pass proxy-pinnedpubkey proxy-service-name
    proxy-tls13-ciphers proxy-tlsauthtype proxy-tlspassword proxy-tlsuser proxy-user proxy1.0 pubkey quote random-file
    range rate request-target resolve retry retry-delay retry-max-time sasl-authzid service-name socks4 socks4a socks5
    socks5-gssapi-service socks5-hostname speed-limit speed-time stderr telnet-option tftp-blksize time-cond tls-max
    tls13-ciphers tlsauthtype tlspassword tlsuser trace trace-ascii unix-socket write-out
    """.split()  # noqa: SIM905 a hundred names read better without quotes
)
_OTHER_SHORT_VALUES = "CDEKPQUYchmoqrtwxyz"


@dataclass
class Command:
    """What the options of a command line come to."""

    urls: list[str] = field(default_factory=list)
    method: str = ""
    headers: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    json: list[str] = field(default_factory=list)
    form: list[tuple[str, str, str]] = field(default_factory=list)
    query: list[str] = field(default_factory=list)
    cookies: list[str] = field(default_factory=list)
    data_in_query: bool = False
    head: bool = False


def read_options(words: list[str]) -> Command:
    """What the words behind `curl` say. Raises `CaptureError`."""
    command = Command()
    for option, value in _options(words):
        if option in _VALUED:
            _VALUED[option](command, value)
        elif option in _SWITCHES:
            setattr(command, _SWITCHES[option], True)
    return command


def _options(words: list[str]) -> Iterator[tuple[str, str]]:
    """Each option by its long name, with its value."""
    rest = iter(words)
    for word in rest:
        if word.startswith("--"):
            name = word[2:]
            yield name, next(rest, "") if name in _VALUED or name in _OTHER_VALUES else ""
        elif word.startswith("-") and len(word) > 1:
            yield from _short_options(word[1:], rest)
        else:
            yield "url", word


def _short_options(letters: str, rest: Iterator[str]) -> Iterator[tuple[str, str]]:
    for position, letter in enumerate(letters):
        name = _SHORT.get(letter, "")
        if name in _VALUED or letter in _OTHER_SHORT_VALUES:
            yield name, letters[position + 1 :] or next(rest, "")
            return
        yield name, ""


def octets(text: str) -> bytes:
    """The bytes of a word: UTF-8, and what an escape in the command named."""
    return text.encode("utf-8", "surrogateescape")


def latin(text: str) -> str:
    """The same, one character for each byte."""
    return octets(text).decode("latin-1")


def _no_file(what: str, value: str, marks: str = "@") -> str:
    if value[:1] and value[0] in marks:
        raise CaptureError(
            f"{what} comes from the file {excerpt(value[1:])}, which is not read; put its text into the command"
        )
    return value


def _form_field(value: str) -> tuple[str, str, str]:
    name, _, content = value.partition("=")
    text, _, media_type = _no_file(f"the form field {excerpt(name)}", content, "@<").partition(";type=")
    return name, text, media_type


def _form_string(value: str) -> tuple[str, str, str]:
    name, _, text = value.partition("=")
    return name, text, ""


def _encoded(value: str) -> str:
    """An argument of --data-urlencode: `text`, `=text` or `name=text`."""
    name, equals, text = value.partition("=")
    if not equals and "@" in name:
        _no_file("the data", name[name.index("@") :])
    if not equals:
        return quote_plus(octets(name))
    return (name + "=" if name else "") + quote_plus(octets(text))


def _query_part(value: str) -> str:
    return value[1:] if value.startswith("+") else _encoded(value)


def _cookie(value: str) -> str:
    if "=" not in value:
        raise CaptureError(f"the cookies come from the file {excerpt(value)}, which is not read; write -b 'name=value'")
    return value


def _upload(value: str) -> str:
    raise CaptureError(
        f"the body comes from the file {excerpt(value)}, which is not read; write it behind --data-binary"
    )


_VALUED: Mapping[str, Callable[[Command, str], object]] = {
    "url": lambda command, value: command.urls.append(value),
    "request": lambda command, value: setattr(command, "method", latin(value)),
    "header": lambda command, value: command.headers.append(latin(_no_file("a header", value))),
    "data": lambda command, value: command.data.append(_no_file("the data", value)),
    "data-ascii": lambda command, value: command.data.append(_no_file("the data", value)),
    "data-binary": lambda command, value: command.data.append(_no_file("the data", value)),
    "data-raw": lambda command, value: command.data.append(value),
    "data-urlencode": lambda command, value: command.data.append(_encoded(value)),
    "json": lambda command, value: command.json.append(_no_file("the JSON", value)),
    "form": lambda command, value: command.form.append(_form_field(value)),
    "form-string": lambda command, value: command.form.append(_form_string(value)),
    "cookie": lambda command, value: command.cookies.append(latin(_cookie(value))),
    "url-query": lambda command, value: command.query.append(_query_part(value)),
    "user": lambda command, value: command.headers.append(
        "Authorization: Basic " + base64.b64encode(octets(value)).decode()
    ),
    "oauth2-bearer": lambda command, value: command.headers.append(f"Authorization: Bearer {latin(value)}"),
    "user-agent": lambda command, value: command.headers.append(f"User-Agent: {latin(value)}"),
    "referer": lambda command, value: command.headers.append(f"Referer: {latin(value)}"),
    "upload-file": lambda _, value: _upload(value),
}
_SWITCHES = {"get": "data_in_query", "head": "head"}
_SHORT = {
    "A": "user-agent",
    "F": "form",
    "G": "get",
    "H": "header",
    "I": "head",
    "T": "upload-file",
    "X": "request",
    "b": "cookie",
    "d": "data",
    "e": "referer",
    "u": "user",
}
