"""Reads the request that a curl command line sends. It reads no files and expands no variables."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import NamedTuple
from urllib.parse import quote_plus

from hmac_guard.explain.capture.request import (
    Captured,
    CaptureError,
    basic,
    cut,
    from_sent_url,
    without_dot_segments,
)
from hmac_guard.explain.printable import excerpt

# The expressions for quotes find an unclosed quote in one pass. This avoids quadratic time.
_PIECE = re.compile(
    r"""
      (?P<blank>[ \t\r]+)
    | (?P<redirection>
        (?:(?<!\S)[0-9]+|&)?(?:>>?|<)
        (?:&(?:[0-9]+|-)|[ \t]*(?:'[^']*'|"[^"\\]*(?:\\.[^"\\]*)*"|\\.|[^\s;|&<>()'"\\])+)
      )
    | (?P<operator>[;|&<>()]+|\n)
    | \\(?P<continued>\r?\n|\Z)
    | \\(?P<escaped>.)
    | '(?P<single>[^']*)'
    | \$?"(?P<double>[^"\\]*(?:\\.[^"\\]*)*)"
    | \$'(?P<ansi>[^'\\]*(?:\\.[^'\\]*)*)'
    | (?P<plain>[^ \t\r\n;|&<>()\\'"$]+|\$(?!['"]))
    """,
    re.DOTALL | re.VERBOSE,
)
_DOUBLE_ESCAPE = re.compile(r'\\(?:([$`"\\])|\r?\n)')
_ANSI_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{1,4}|U[0-9a-fA-F]{1,8}|[0-7]{1,3}|.)", re.DOTALL)
# In cmd of Windows, ^ escapes a quote, an operator and the end of a line. Between quotes of a POSIX shell it is a plain
# character.
_CMD = re.compile(r'\^(?:["&|<>]|[ \t\r]*\n)')
# What a POSIX shell replaces outside of single quotes.
_REPLACED = re.compile(r"\\.|(?P<replaced>\$[\w({]|`)", re.ASCII | re.DOTALL)
_NAMED = dict(zip("abeEfnrtv\\'\"?", "\a\b\x1b\x1b\f\n\r\t\v\\'\"?", strict=True))


def first_command(text: str) -> tuple[list[str], str]:
    """Return the words of the first command, and the text from the operator or the line end on that ends it.

    Variables are not expanded. A byte from an escape that is not UTF-8 is decoded with `surrogateescape`.

    Raises:
        CaptureError: A quote is not closed, an escape names no character, or the command is for cmd of Windows.
    """
    words: list[str] = []
    word: list[str] = []
    started = False
    position = 0
    while position < len(text):
        piece = _PIECE.match(text, position)
        if piece is None:
            raise CaptureError("a quote in the command is not closed; copy the whole command")
        kind = piece.lastgroup or ""
        if kind == "operator":
            break
        position = piece.end()
        if kind == "plain" and _CMD.match(text, position - 1):
            raise CaptureError("this is curl for cmd of Windows; choose 'Copy as cURL (bash)' in the browser")
        if kind in _MEANINGS:
            word.append(_MEANINGS[kind](piece[kind]))
            started = True
        elif kind != "continued" and started:
            words.append("".join(word))
            word, started = [], False
    return ([*words, "".join(word)] if started else words), text[position:]


def _has_replaced(text: str) -> bool:
    """Return whether the first command has a variable or another command, which a shell replaces by a text."""
    for piece in takewhile(lambda piece: piece.lastgroup != "operator", _PIECE.finditer(text)):
        # The '(' of an unquoted $( is the next piece, an operator.
        end = piece.end() + (piece.lastgroup == "plain")
        if piece.lastgroup in ("plain", "double") and any(
            match["replaced"] for match in _REPLACED.finditer(text, piece.start(), end)
        ):
            return True
    return False


def _in_double_quotes(text: str) -> str:
    return _DOUBLE_ESCAPE.sub(lambda escape: escape[1] or "", text)


def _in_ansi_quotes(text: str) -> str:
    return _ANSI_ESCAPE.sub(_unescaped, text)


def _unescaped(escape: re.Match[str]) -> str:
    code = escape[1]
    if code[0] in "uU" and len(code) > 1:
        return _character(int(code[1:], 16))
    if code[0] == "x" and len(code) > 1:
        return _byte(int(code[1:], 16))
    if code[0] in "01234567":
        return _byte(int(code, 8) % 256)
    return _NAMED.get(code, escape[0])


def _character(number: int) -> str:
    if number > 0x10FFFF:
        raise CaptureError(f"the command has an escape for {number:X}, which is not a character; correct it")
    return chr(number).encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")


def _byte(number: int) -> str:
    return bytes([number]).decode("utf-8", "surrogateescape")


_MEANINGS: Mapping[str, Callable[[str], str]] = {
    "escaped": str,
    "single": str,
    "double": _in_double_quotes,
    "ansi": _in_ansi_quotes,
    "plain": str,
}


# The options that take a value and change nothing that is signed. Some add a header of curl's own, such as Range.
_OTHER_VALUES = frozenset(
    """
    abstract-unix-socket alt-svc cacert capath cert cert-type ciphers connect-timeout connect-to continue-at
    cookie-jar create-file-mode crlfile curves delegation dns-interface dns-ipv4-addr dns-ipv6-addr dns-servers doh-url
    dump-header ech egd-file engine etag-compare etag-save expect100-timeout ftp-account ftp-alternative-to-user
    ftp-method ftp-port ftp-ssl-ccc-mode happy-eyeballs-timeout-ms haproxy-clientip help hostpubmd5 hostpubsha256 hsts
    interface ip-tos ipfs-gateway keepalive-cnt keepalive-time key key-type knownhosts krb krb4 libcurl limit-rate
    local-port login-options mail-auth mail-from mail-rcpt max-filesize max-redirs max-time netrc-file noproxy output
    output-dir parallel-max parallel-max-host pass pinnedpubkey preproxy proto proto-default proto-redir proxy
    proxy-cacert proxy-capath proxy-cert proxy-cert-type proxy-ciphers proxy-crlfile proxy-header proxy-key
    proxy-key-type proxy-pass proxy-pinnedpubkey proxy-service-name proxy-tls13-ciphers proxy-tlsauthtype
    proxy-tlspassword proxy-tlsuser proxy-user proxy1.0 pubkey quote random-file range rate resolve retry retry-delay
    retry-max-time sasl-authzid service-name sigalgs socks4 socks4a socks5 socks5-gssapi-service socks5-hostname
    speed-limit speed-time ssl-sessions stderr telnet-option tftp-blksize time-cond tls-max tls13-ciphers tlsauthtype
    tlspassword tlsuser trace trace-ascii trace-config unix-socket upload-flags variable vlan-priority write-out
    """.split()  # noqa: SIM905 a hundred names read better without quotes
)
_OTHER_SHORT_VALUES = "CDEPQUYchmortwxyz"
# The options without a value that change nothing that is signed. --digest and other options for another Authorization
# than the Basic one of -u are not known. Each may have `no-` before it.
_OTHER_SWITCHES = frozenset(
    """
    alpn append basic buffer ca-native cert-status clobber compressed compressed-ssh create-dirs crlf
    disable disable-eprt disable-epsv disallow-username-in-url doh-cert-status doh-insecure dump-ca-embed eprt epsv fail
    fail-early fail-with-body false-start follow form-escape ftp-create-dirs ftp-pasv ftp-pret ftp-skip-pasv-ip ftp-ssl
    ftp-ssl-ccc ftp-ssl-control ftp-ssl-reqd haproxy-protocol http0.9 http1.0 http1.1 http2 http2-prior-knowledge http3
    http3-only ignore-content-length include insecure ipv4 ipv6 junk-session-cookies keepalive list-only location
    location-trusted mail-rcpt-allowfails manual metalink mptcp netrc netrc-optional npn out-null
    parallel parallel-immediate post301 post302 post303 progress-bar progress-meter proxy-anyauth proxy-basic
    proxy-ca-native proxy-digest proxy-http2 proxy-insecure proxy-negotiate proxy-ntlm proxy-ssl-allow-beast
    proxy-ssl-auto-client-cert proxy-tlsv1 proxytunnel raw remote-header-name remote-name remote-name-all remote-time
    remove-on-error retry-all-errors retry-connrefused sasl-ir sessionid show-error show-headers silent skip-existing
    socks5-basic socks5-gssapi socks5-gssapi-nec ssl ssl-allow-beast ssl-auto-client-cert ssl-no-revoke ssl-reqd
    ssl-revoke-best-effort sslv2 sslv3 styled-output suppress-connect-headers tcp-fastopen tcp-nodelay tftp-no-options
    tls-earlydata tlsv1 tlsv1.0 tlsv1.1 tlsv1.2 tlsv1.3 tr-encoding trace-ids trace-time use-ascii verbose version xattr
    """.split()  # noqa: SIM905 the same
)
_OTHER_SHORT_SWITCHES = "#012346BJLMNORSVZafijklnpqsv"


class FormField(NamedTuple):
    """A field of a multipart form. A field with a file name is a file for the server."""

    name: str
    text: str
    media_type: str = ""
    file_name: str = ""


@dataclass
class Command:
    """The options of a command line, combined."""

    urls: list[str] = field(default_factory=list)
    method: str = ""
    headers: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    json: list[str] = field(default_factory=list)
    form: list[FormField] = field(default_factory=list)
    query: list[str] = field(default_factory=list)
    cookies: list[str] = field(default_factory=list)
    user: str | None = None
    bearer: str = ""
    user_agent: str = "curl"
    referer: str = ""
    target: str = ""
    data_in_query: bool = False
    head: bool = False
    path_as_is: bool = False
    globoff: bool = False


def read_options(words: list[str]) -> Command:
    """Return the options in the words after `curl`.

    Raises:
        CaptureError: The value of an option comes from a file, an option is not known, or the command sends several
            requests.
    """
    command = Command()
    for option, value in _options(words):
        switch = option.removeprefix("no-")
        if option in _VALUED:
            _VALUED[option](command, value)
        elif switch in _SWITCHES:
            setattr(command, _SWITCHES[switch], switch == option)
        elif option == "next":
            raise CaptureError("the command sends several requests (--next); copy the part of one request")
    return command


def _options(words: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the long name and the value of each option."""
    rest = iter(words)
    for word in rest:
        if word == "--":
            yield from (("url", url) for url in rest)
        elif word.startswith("--"):
            name = word[2:]
            yield name, next(rest, "") if _takes_value(name) else ""
        elif word.startswith("-") and len(word) > 1:
            yield from _short_options(word[1:], rest)
        else:
            yield "url", word


def _takes_value(name: str) -> bool:
    """Return whether a long option takes a value. If it is not known, its value could be taken for the URL."""
    if name in _VALUED or name in _OTHER_VALUES:
        return True
    switch = name.removeprefix("no-")
    if name == "next" or switch in _SWITCHES or switch in _OTHER_SWITCHES:
        return False
    option, equals, _ = name.partition("=")
    raise _unknown(f"--{option}{equals}")


def _short_options(letters: str, rest: Iterator[str]) -> Iterator[tuple[str, str]]:
    for position, letter in enumerate(letters):
        name = _SHORT.get(letter, "")
        if name in _VALUED or letter in _OTHER_SHORT_VALUES:
            yield name, letters[position + 1 :] or next(rest, "")
            return
        if not name and letter not in _OTHER_SHORT_SWITCHES:
            raise _unknown(f"-{letter}")
        yield name, ""


def _unknown(option: str) -> CaptureError:
    return CaptureError(
        f"explain does not know the option {excerpt(option)} of curl; leave it out if it does not change the request, "
        "or give the request as raw HTTP (curl -v prints its headers)"
    )


def octets(text: str) -> bytes:
    """Return the bytes of a word: UTF-8, and bytes that an escape names."""
    return text.encode("utf-8", "surrogateescape")


def latin(text: str) -> str:
    """Return the bytes of a word as a text with one character per byte."""
    return octets(text).decode("latin-1")


def _no_file(what: str, value: str, marks: str = "@") -> str:
    if value[:1] and value[0] in marks:
        raise CaptureError(
            f"{what} comes from the file {excerpt(value[1:])}, which is not read; put its text into the command"
        )
    return value


# The text of a field and the options after it (man curl, "--form"). A ';' in a type can begin a parameter of the type.
_FORM_QUOTED = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_FORM_TEXT = rf"\s*(?:{_FORM_QUOTED})?[^;]*"
_FORM_OPTION = re.compile(
    rf"""
      ;\s*(?:
        (?P<type>type=(?:[^;]|;(?!\s*(?:type|filename|headers|encoder)=))*)
      | (?P<filename>filename={_FORM_TEXT})
      | {_FORM_TEXT}
      )
    """,
    re.DOTALL | re.IGNORECASE | re.VERBOSE,
)


def _form_field(value: str) -> FormField:
    name, _, content = value.partition("=")
    _no_file(f"the form field {excerpt(name)}", content, "@<")
    _, text, after = re.split(f"^({_FORM_TEXT})", content, maxsplit=1, flags=re.DOTALL)
    options = dict.fromkeys(("type", "filename"), "")
    for option in _FORM_OPTION.finditer(after):
        if option.lastgroup:
            options[option.lastgroup] = option[option.lastgroup].partition("=")[2]
    return FormField(name, _form_text(text), options["type"].strip(), _form_text(options["filename"]))


def _form_text(text: str) -> str:
    quoted = re.match(_FORM_QUOTED, text.strip(), re.DOTALL)
    return re.sub(r'\\(["\\])', r"\1", quoted[0][1:-1]) if quoted else text.strip()


def _form_string(value: str) -> FormField:
    name, _, text = value.partition("=")
    return FormField(name, text)


def _encoded(value: str) -> str:
    """Return the encoded argument of --data-urlencode: `text`, `=text` or `name=text`."""
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
        f"the body comes from the file {excerpt(value)}, which is not read; write it after --data-binary"
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
    "user": lambda command, value: setattr(command, "user", value),
    "oauth2-bearer": lambda command, value: setattr(command, "bearer", latin(value)),
    "user-agent": lambda command, value: setattr(command, "user_agent", latin(value)),
    "referer": lambda command, value: setattr(command, "referer", latin(value).partition(";auto")[0]),
    "request-target": lambda command, value: setattr(command, "target", latin(value)),
    "config": lambda _, value: _no_file("a part of the command", f"@{value}"),
    "upload-file": lambda _, value: _upload(value),
}
_SWITCHES = {"get": "data_in_query", "head": "head", "path-as-is": "path_as_is", "globoff": "globoff"}
_SHORT = {
    ":": "next",
    "A": "user-agent",
    "F": "form",
    "G": "get",
    "H": "header",
    "I": "head",
    "K": "config",
    "T": "upload-file",
    "X": "request",
    "b": "cookie",
    "d": "data",
    "e": "referer",
    "g": "globoff",
    "u": "user",
}


_BOUNDARY = "------------------------0123456789abcdef"
_FORM = "application/x-www-form-urlencoded"


_POSTMAN_VARIABLE = re.compile(r"\{\{[^{}\"':,]+\}\}")
# The comments and the prompt of a shell before a command.
_BEFORE = re.compile(r"\s*(?:#[^\n]*\n\s*)*(?:[$%] +)?(?=curl(?:\.exe)?\s)")


def is_curl(text: str) -> bool:
    """Return whether the text is a curl command line. Comments and the prompt of a shell may be before it."""
    return _BEFORE.match(text) is not None


def from_curl(text: str) -> Captured:
    """Return the request of a curl command line in a POSIX shell.

    Raises:
        CaptureError: The command is incomplete, reads a file, or is for cmd of Windows.
    """
    text = _BEFORE.sub("", text, count=1)
    words, rest = first_command(text)
    notes = tuple(_notes(text, words, rest))
    command = read_options(words[1:])
    if not command.urls:
        raise CaptureError("; ".join(["the curl command has no URL; copy the whole command", *notes]))
    captured = _sent(command)
    return captured._replace(notes=captured.notes + notes)


# An '&' of a URL has a character after it. A line ends a command, unless a backslash is before its end.
_CUT_URL = re.compile(r"&[^\s&]")
_NEXT_LINE = re.compile(r"\n\s*[^\s#]")


def _notes(text: str, words: list[str], rest: str) -> Iterator[str]:
    if _has_replaced(text):
        yield "the command has a '$' or '`' that a shell replaces, and explain does not; write the value in its place"
    if any(_POSTMAN_VARIABLE.search(word) for word in words):
        yield "the command has a variable of Postman ({{...}}), which is not replaced; write the value in its place"
    if _CUT_URL.match(rest):
        yield "the URL is not quoted: the shell ends the command at '&', and the text after it is not sent"
    if _NEXT_LINE.match(rest):
        yield "the command ends with its line; if it goes on in the next line, write a backslash at the end of the line"


def _sent(command: Command) -> Captured:
    body, content_type = (b"", "") if command.data_in_query else _body(command)
    captured = from_sent_url(_url(command), command.method or _method(command, content_type))
    if not command.path_as_is:
        captured = without_dot_segments(captured)
    if command.target:
        captured = captured._replace(target=_target(command.target))
    implied = [
        *_own_headers(command, dict(captured.headers)),
        ("Accept", "application/json" if command.json else "*/*"),
    ]
    if command.cookies:
        implied.append(("Cookie", ";".join(command.cookies)))
    if content_type:
        implied.append(("Content-Type", content_type))
    headers = _headers(implied, command.headers)
    sent = {name.lower(): value.strip() for name, value in headers}
    length = sent.get("content-length", "") if "transfer-encoding" not in sent else ""
    body, notes = cut(body, length, len(body)) if length.isdecimal() else (body, ())
    return captured._replace(headers=headers, body=body, notes=captured.notes + notes)


def _target(given: str) -> str:
    """Return the target of --request-target, which curl sends unchanged. A server reads the path of a URL."""
    return from_sent_url(given).target if re.match("https?://", given, re.IGNORECASE) else given


def _own_headers(command: Command, of_url: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the headers that curl makes of the URL and of options, if -H does not replace them."""
    authorization = of_url.get("Authorization", "")
    if command.user is not None:
        # Without a ":", curl asks for the password. It is not in the command.
        authorization = basic(octets(command.user if ":" in command.user else command.user + ":"))
    if command.bearer:
        authorization = f"Bearer {command.bearer}"
    own = {**of_url, "Authorization": authorization, "User-Agent": command.user_agent, "Referer": command.referer}
    return ((name, value) for name, value in own.items() if value)


# What curl expands in a URL, unless there is a backslash before it. It sends `[]` and the address of an IPv6 host as
# they are.
_GLOB = re.compile(
    r"""
      \\(?P<escaped>[{}\[\]])
    | \{(?P<only>(?:[^{}\[\],\\]|\\.)+)\}
    | (?P<kept>\[\]|\[[0-9A-Fa-f.]{0,4}:[0-9A-Fa-f.]{0,4}:[0-9A-Fa-f:.]{0,40}(?:%\w{1,20})?\])
    | [{}\[\]]
    """,
    re.DOTALL | re.VERBOSE,
)


def _expanded(url: str) -> str:
    """Return the URL that curl sends for a URL with braces of one text each."""
    return _GLOB.sub(_expansion, url)


def _expansion(match: re.Match[str]) -> str:
    if match.lastgroup is None:
        raise CaptureError(
            "curl expands the braces and brackets of the URL, and does not send them as they are; add -g to the "
            "command, or percent-encode them"
        )
    return re.sub(r"\\(.)", r"\1", match["only"], flags=re.DOTALL) if match["only"] else match[match.lastgroup]


def _url(command: Command) -> str:
    given = command.urls[0] if command.globoff else _expanded(command.urls[0])
    url, hash_sign, fragment = latin(given).partition("#")
    path, question_mark, query = url.partition("?")
    # curl percent-encodes non-ASCII characters in the path only.
    url = re.sub("[^\0-\x7f]", lambda octet: f"%{ord(octet[0]):02x}", path) + question_mark + query
    data = [latin("&".join(command.data))] if command.data_in_query and command.data else []
    for part in [*command.query, *data]:
        url += ("&" if "?" in url else "?") + part
    return url + hash_sign + fragment


def _method(command: Command, content_type: str) -> str:
    return "HEAD" if command.head else "POST" if content_type else "GET"


def _body(command: Command) -> tuple[bytes, str]:
    """Return the body and its media type. Both are empty if there is no body."""
    if command.form:
        return _multipart(command.form), f"multipart/form-data; boundary={_BOUNDARY}"
    if command.json:
        return octets("".join(command.json)), "application/json"
    return octets("&".join(command.data)), _FORM if command.data else ""


def _headers(implied: list[tuple[str, str]], given: list[str]) -> tuple[tuple[str, str], ...]:
    """Return curl's own headers and those of -H, which replace them. `Name:` removes one, `Name;` sends it empty."""
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


# The escapes of browsers (WHATWG HTML, "multipart form data"), and of curl since 7.81.
_IN_NAMES = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})


def _multipart(fields: list[FormField]) -> bytes:
    pieces = []
    for name, text, media_type, file_name in fields:
        filed = f'; filename="{file_name.translate(_IN_NAMES)}"' if file_name else ""
        typed = f"Content-Type: {media_type}\r\n" if media_type else ""
        heading = f'Content-Disposition: form-data; name="{name.translate(_IN_NAMES)}"{filed}\r\n{typed}'
        pieces.append(f"--{_BOUNDARY}\r\n{heading}\r\n{text}\r\n")
    return octets("".join([*pieces, f"--{_BOUNDARY}--\r\n"]))
