"""Copied requests: each is read as the bytes that would be sent. curl commands are compared with the real curl."""

import contextlib
import json
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
from waiting import TIMEOUT

from hmac_guard.explain import Captured, CaptureError, capture
from hmac_guard.explain.capture.request import from_raw


def target(text: str) -> str:
    return capture(text.encode()).target


def pairs(captured: Captured) -> dict[str, str]:
    return {name.lower(): value for name, value in captured.headers}


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://api.example.com/a/b?x=1&y=2", "/a/b?x=1&y=2"),
        ("https://api.example.com", "/"),
        ("https://api.example.com?x=1", "/?x=1"),
        ("api.example.com/a?x=1", "/a?x=1"),
        ("/a?x=1", "/a?x=1"),
        ("  https://h/a\n", "/a"),
        ("https://h/größe?x=日本 🚀", "/gr%C3%B6%C3%9Fe?x=%E6%97%A5%E6%9C%AC%20%F0%9F%9A%80"),
        ("https://h/a?x=%2B+%zz&y={a|b}^`'\"<>", "/a?x=%2B+%zz&y={a|b}^`'%22%3C%3E"),
        ("https://h/a?x=1?2&y=/", "/a?x=1?2&y=/"),
        # As node's `new URL` reads them.
        ("https://h/a/../b/./c?x=/../y", "/b/c?x=/../y"),
        ("https://h/a/%2E%2e/b/.%2e/%2e", "/"),
        ("h/..", "/"),
        ("https://h/../../a/b/..", "/a/"),
        ("https://h/a/b/.", "/a/b/"),
        ("https://h//a//../b", "//a/b"),
        ("https://h/a/.../..;/%2e%2e%2fb/.a", "/a/.../..;/%2e%2e%2fb/.a"),
        # A path is not a URL.
        ("/a/../b/%2e", "/a/../b/%2e"),
        ("HTTPS://h/a?x=1", "/a?x=1"),
        ("me:pw@h:8000/a?x=1", "/a?x=1"),
        ("[::1]:8000/a?x=1", "/a?x=1"),
        ("'https://h/a?x=1'", "/a?x=1"),
        ('"https://h/a?x=1"', "/a?x=1"),
        ("<https://h/a?x=1>", "/a?x=1"),
        ("https://h/a?x=1\n&y=2", "/a?x=1&y=2"),
    ],
)
def test_a_url_is_read_as_a_browser_sends_it(url: str, sent: str) -> None:
    assert target(url) == sent


def test_the_text_after_a_fragment_is_noted_and_not_shown() -> None:
    captured = capture(b"https://h/a?x=1#b&hmac=secret")

    assert captured.target == "/a?x=1"
    assert len(captured.notes) == 1
    assert "secret" not in captured.notes[0]


RAW = "POST /a?b=%20 HTTP/1.1\r\nHost: h\r\nX-Two: 1\r\nX-Two: 2\r\nContent-Length: 4\r\n\r\nbody"


@pytest.mark.parametrize("newline", ["\r\n", "\n"], ids=["CRLF", "LF"])
def test_a_raw_request_may_have_lf_or_crlf(newline: str) -> None:
    captured = capture(RAW.replace("\r\n", newline).encode())

    assert (captured.method, captured.target, captured.body, captured.notes) == ("POST", "/a?b=%20", b"body", ())
    assert [value for name, value in captured.headers if name == "X-Two"] == ["1", "2"]


@pytest.mark.parametrize(
    ("text", "sent", "body", "noted"),
    [
        (b"GET http://h/a?x=1 HTTP/1.0\n\n", "/a?x=1", b"", ""),
        (b"GET /a?x=1\nHost: h\n", "/a?x=1", b"", ""),
        (b"\n GET /caf\xc3\xa9?x=\xff HTTP/1.1\n\n", "/caf\xc3\xa9?x=\xff", b"", ""),
        (b"POST /a HTTP/1.1\nContent-Type: x\n\nline", "/a", b"line", ""),
        (b"POST /a HTTP/1.1\nContent-Type: x\n\nline\n\n", "/a", b"line", "the line end after the body is left out"),
        (b"POST /a HTTP/1.1\nContent-Length: 9\n\nshort", "/a", b"short", "Content-Length says 9 bytes"),
        (
            b"POST /a HTTP/1.1\nContent-Length: 4\n\nbody and more\n",
            "/a",
            b"body",
            "body has 13; the rest is left out",
        ),
        (b"POST /a HTTP/1.1\nContent-Length: 4\n\nbody\n", "/a", b"body", ""),
        (b"POST /a HTTP/1.1\nContent-Length: 1\n\nbody", "/a", b"b", "says 1 byte, but the body has 4"),
        (b"POST /a HTTP/1.1\nTransfer-Encoding: chunked\n\n4\r\nbody\r\n0\r\n\r\n", "/a", b"body", ""),
        (b"POST /a HTTP/1.1\nTransfer-Encoding: chunked\n\n2;x=y\nbo\n2 \r\ndy\r\n0\r\nT: 1\r\n", "/a", b"body", ""),
        (b"POST /a HTTP/1.1\nTransfer-Encoding: chunked\n\nxyz", "/a", b"xyz", "chunks of the body are not valid"),
        (b"POST /a HTTP/1.1\nTransfer-Encoding: chunked\n\n", "/a", b"", "chunks of the body are not valid"),
        (b"POST /a HTTP/1.1\nTransfer-Encoding: chunked\n\n-1\nx", "/a", b"-1\nx", "chunks of the body are not valid"),
        (
            b"POST /a HTTP/1.1\nTransfer-Encoding: chunked\n\n9\nshort",
            "/a",
            b"9\nshort",
            "chunks of the body are not valid",
        ),
        (
            b"POST /a HTTP/1.1\nTransfer-Encoding: chunked\n\n2\nbody",
            "/a",
            b"2\nbody",
            "chunks of the body are not valid",
        ),
        (b"POST /a HTTP/1.1\nContent-Length: " + b"9" * 5000 + b"\n\nx", "/a", b"x", "Content-Length has 5000 digits"),
        (b"POST /a HTTP/1.1\nContent-Length: \xb2\n\nx", "/a", b"x", ""),
        (b"\xef\xbb\xbfGET /a HTTP/1.1\n\n", "/a", b"", ""),
        (b"GET //a//b?x=1 HTTP/1.1\n\n", "//a//b?x=1", b"", ""),
        (b"GET /a b?x=1 2  HTTP/1.1\n\n", "/a b?x=1 2", b"", ""),
        (b"GET /a/../b/. HTTP/1.1\n\n", "/a/../b/.", b"", ""),
        (b"GET /a?x=room 401 HTTP/1.1\n\n", "/a?x=room 401", b"", ""),
        (b"GET /a?x=4 1234 12 5.1", "/a?x=4 1234 12 5.1", b"", ""),
        (b"GET https://h/a/../b HTTP/1.1\n\n", "/a/../b", b"", ""),
        (b"GET  /a?x=HTTP/1.1\n\n", "/a?x=HTTP/1.1", b"", ""),
        (b"GET /a?x=1#b HTTP/1.1\n\n", "/a?x=1", b"", "has a '#'"),
    ],
)
def test_a_raw_request_is_read_unchanged(text: bytes, sent: str, body: bytes, noted: str) -> None:
    captured = capture(text)

    assert (captured.target, captured.body) == (sent, body)
    assert noted in "".join(captured.notes)
    assert bool(noted) == bool(captured.notes)


ENTRY: dict[str, Any] = {
    "request": {
        "method": "POST",
        "url": "https://h/a?x=1",
        "headers": [{"name": ":authority", "value": "h"}, {"name": "X-A", "value": "1"}],
        "postData": {"mimeType": "application/json", "text": '{"größe": 1}'},
    },
    "response": {"status": 401},
}


@pytest.mark.parametrize(
    "document",
    [
        ENTRY,
        ENTRY["request"],
        {"log": {"entries": [ENTRY]}},
        {"log": {"entries": [{"request": {"url": "https://h/other"}, "response": {"status": 200}}, ENTRY]}},
    ],
    ids=["an entry", "its request", "a file with one entry", "a file with one refused entry"],
)
def test_an_entry_of_a_har_file_is_read(document: dict[str, Any]) -> None:
    captured = capture(json.dumps(document).encode())

    assert (captured.method, captured.target, captured.body) == ("POST", "/a?x=1", '{"größe": 1}'.encode())
    assert pairs(captured)["x-a"] == "1"
    assert ":authority" not in pairs(captured)


@pytest.mark.parametrize(
    ("data", "body"),
    [
        ({"text": "Ym9keQ==", "encoding": "base64"}, b"body"),
        ({"params": [{"name": "a b", "value": "ü"}, {"name": "c"}]}, b"a+b=%C3%BC&c="),
        ({"text": None}, b""),
        ({"text": "a\ud800"}, b"a\xed\xa0\x80"),
        ({"params": [{"name": "a", "value": "\ud800"}]}, b"a=%ED%A0%80"),
        (None, b""),
    ],
)
def test_a_body_in_a_har_file_is_read_in_each_of_its_forms(data: Any, body: bytes) -> None:
    entry = {"request": {"url": "https://h/", "postData": data}}

    assert capture(json.dumps(entry).encode()).body == body


def test_one_of_several_entries_is_chosen_by_its_number() -> None:
    document = json.dumps({"log": {"entries": [ENTRY, {"request": {"method": "GET", "url": "https://h/b"}}, ENTRY]}})

    assert capture(document.encode(), 1).target == "/b"
    with pytest.raises(CaptureError, match=r"there are 3 entries(.|\n)*1: GET https://h/b"):
        capture(document.encode())
    with pytest.raises(CaptureError, match="there are 3 entries"):
        capture(document.encode(), 3)


def test_the_first_entries_are_listed_and_escaped() -> None:
    entry = {"request": {"method": "\x1b[31m", "url": "https://h/\x1b]0;t\x07\u202e\n?x=1"}}

    with pytest.raises(CaptureError) as caught:
        capture(json.dumps({"log": {"entries": [entry] * 1000}}).encode())

    lines = str(caught.value).splitlines()
    assert len(lines) == 52
    assert lines[1] == r"  0: \x1b[31m https://h/\x1b]0;t\x07\u202e\n"
    assert lines[-1] == "  and 950 more"


# HOST is the address of the server. Each command is run in bash with the real curl, and read by explain.
COMMANDS = [
    "curl 'http://HOST/a?b=1&c=größe%20x'",
    "curl 'http://HOST/ü?ü=ä'",
    "curl HOST",
    "curl 'http://HOST?x=1'",
    "curl 'http://HOST/a#fragment' -G -d a=1 --data-urlencode 'b=x y+&/ü~'",
    "curl 'http://HOST/a?x=1' --get --data 'a=1'",
    "curl http://HOST/ -d a=1 -d 'b=2' --data-raw '@x' --data-urlencode '=q w' --data-urlencode 'plain text'",
    "curl http://HOST/ --data-binary $'a\\tb\\n\\'c\\'' --data-ascii x",
    "curl http://HOST/p -d ''",
    """curl http://HOST/ --json '{"a":' --json '1}'""",
    """curl --location --request POST 'http://HOST/p' --header 'Content-Type: application/json' --data '{"a": "b"}'""",
    "curl http://HOST/x -X PUT -H 'X-A: b' -H 'Accept:' -H 'X-Empty;' -H 'Host: other' -b 'a=b; c=d' -b e=f",
    "curl http://HOST/ -u me:pw -A agent -e http://referer",
    "curl http://HOST/ --oauth2-bearer token --user-agent 'a b'",
    # The user in the URL, -u, --oauth2-bearer and -H: which Authorization is sent. The same for other headers.
    "curl http://me:pw@HOST/",
    "curl http://u%40x:p%3Aw@HOST/",
    "curl http://me@HOST/ -A a",
    "curl http://:pw@HOST/",
    "curl http://me:pw@HOST/ -u you:pw",
    "curl http://me:pw@HOST/ -H 'authorization: other'",
    "curl http://me:pw@HOST/ -H Authorization:",
    "curl http://HOST/ -u me:pw -u you:pw",
    "curl http://HOST/ -u me:pw -H 'Authorization: other'",
    "curl http://HOST/ -u me:pw -H 'Authorization;'",
    "curl http://HOST/ --oauth2-bearer token -u me:pw",
    "curl http://HOST/ --oauth2-bearer token -H 'Authorization: other'",
    "curl http://HOST/ -A a -A b -e c -e d",
    "curl http://HOST/ -A a -e b -H 'User-Agent: c' -H 'Referer: d'",
    "curl http://HOST/ -A '' -e ''",
    "curl http://HOST/ -u '' -e ';auto'",
    "curl http://HOST/ -u :",
    "curl http://HOST/ -e 'http://h/;auto'",
    "curl http://HOST/ -e 'x;auto;y'",
    "curl 'http://HOST/a?b=1' --request-target 'http://h/c?d=2'",
    "curl 'http://HOST/a?b=1' --request-target '/c?d=2'",
    "curl http://HOST/a -G -d b=1 --request-target /c",
    "curl http://HOST/ -F a=1 -F 'b=two;type=text/plain' --form-string 'c=@x;type=y' -F 'ü\"x=1'",
    "curl 'http://HOST?x=1' --url-query 'n=a b' --url-query '+raw=%20' --url-query 'just text'",
    "curl -sSLkI http://HOST/h",
    "curl -XDELETE http://HOST/h -o/dev/null -HX-B:c",
    "curl $'http://HOST/p?x=\\'\\x41\\101' -H 'X: y' \\\n  -H \"Z: a\\\"b\\\\c\"",
    "curl --url http://HOST/a -H 'a: 1' -H 'A: 2' --compressed",
    r"curl $'http://HOST/p?x=\x41\xc3\xa9\377\1012\?\"' -d $'\q\xzz\E\e\a'",
    r"""curl "http://HOST/\$a\`b\"c?d=\e" -d $"a b" -d a\ b\'c -d ''"d"'' -d 'a'"b"c$'d' -d $ -d a$""",
    'curl http://HOST/\\\na\\\nb -d \'c\\\nd\' -d "e\\\nf" \\\n  -H "X: y"',
    "curl http://HOST/ -A ü -e ä -H 'X-A: ö' -b 'a=ß' -u ü:ä",
    "curl http://HOST/ -F 'a\"b=1;type=text/plain' -F c=d",
    # The quotes, the spaces and the options of a form field (man curl, "--form"). Postman exports quotes.
    """curl --location 'http://HOST/' --form 'socket_id="1234.5"' --form 'b="x\\"y\\\\z\\q"' --form 'c=""'""",
    "curl http://HOST/ -F 'a=x;y' -F 'b=  x ' -F 'c= \"x;y\" z' -F 'd=\"x' -F 'e=x\"y\";z' -F 'f=\\\"x' -F 'g=x\ty;'",
    "curl http://HOST/ -F 'a=x; TYPE= a/b; charset=x ;foo=y;filename=g' -F 'b=\"x\" ;foo=\";type=a/b\"'",
    """curl http://HOST/ -F 'a=x;type=a/b ; filename="f;\\".txt";y' -F 'b=type=a/b'""",
    """curl http://HOST/ -F 'a=filename=x' --form-string 'b="x";y'""",
    "curl http://HOST/a?x=1 | cat",
    "curl http://HOST/a > /dev/null",
    # Redirections may stand anywhere in a command.
    "curl 2>/dev/null http://HOST/a",
    "curl > /dev/null 2>&1 http://HOST/a -d b=1",
    "curl &>/dev/null http://HOST/a -d b=1 < /dev/null",
    "curl http://HOST/a?b=1>/dev/null -d 2 2>> '/dev/null' -d 3",
    "curl -d '2'>\"/dev/null\" http://HOST/a",
    "curl -d 'a='1>/dev/null http://HOST/a",
    "curl 2>&- http://HOST/a 10>&1 -d b",
    r"curl 2>/dev/../dev/nul\l http://HOST/a",
    # Options that do not change the request, with a value and without.
    "curl -q -sSN4 --preproxy '' --no-buffer --keepalive-time 5 --no-compressed http://HOST/a",
    "curl -G --no-get -d a=1 -- http://HOST/a",
    "curl http://HOST/a -w '%{http_code}' --max-time 50 -m 90",
    "curl 'http://HOST/a/../b/./c?x=/../y'",
    "curl 'http://HOST/a/b/..'",
    "curl HOST/../a//../.",
    "curl --path-as-is 'http://HOST/a/../b/.'",
    """curl 'http://HOST/a' --json '{"a": "^", "re":"x^"}' -H "X-A: ^"'^' -H 'X-B: ^" ^'""",
    """curl http://HOST/ -d "x^" -d 'a^\nb' -d "c^\nd" -d \\^"e" -d ^ -d $'^"'""",
    "curl http://HOST/ --data-raw '@a\r\nb\n'",
    # A pattern in a URL (man curl, "GLOBBING").
    "curl 'http://HOST/{p}?a={x}&b={ü}#{y}'",
    r"curl 'http://HOST/?a=\{x\}&b=\[y\]&c=\x&d=\\'",
    r"curl 'http://HOST/?a={x\}\,\y}'",
    "curl 'http://HOST/?a[]=1&a[]=2&b=[::1]&c=[fe80::1%25eth0]'",
    "curl -g 'http://HOST/?a={x}&b[c]=[1-3]'",
    r"curl --globoff 'http://HOST/?a=\{x,y\}'",
    "curl -gsS 'http://HOST/?a={x,y}'",
    "curl -G http://HOST/ -d 'a={x,y}' -H 'X-A: {x,y}'",
    "curl http://HOST/ --url-query 'b=[1-3]' -d '{x,y}'",
]


def sent_by_curl(command: str) -> tuple[str, bytes]:
    """Run the command. Return it, and the bytes that the server received."""
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                received.append(_whole_request(connection))
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        ran = command.replace("HOST", f"127.0.0.1:{listener.getsockname()[1]}")
        subprocess.run(
            ["bash", "-c", ran], capture_output=True, check=False, timeout=TIMEOUT, env={"PATH": "/usr/bin:/bin"}
        )
        thread.join(TIMEOUT)
    return ran, received[0]


def _whole_request(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    while length and len(body) < int(length[1]):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def comparable(captured: Captured) -> tuple[Any, ...]:
    """Return the comparable parts: without the User-Agent, the random boundary and the case of escapes."""
    boundary = pairs(captured).get("content-type", "").partition("boundary=")[2] or "-"
    headers = {
        (name.lower(), value.replace(boundary, "BOUNDARY"))
        for name, value in captured.headers
        if name.lower() not in ("content-length", "expect", "accept-encoding") and not value.startswith("curl")
    }
    escapes = re.sub("%..", lambda escape: escape[0].upper(), captured.target)
    body = re.sub(rb"%[0-9a-f]{2}", lambda escape: escape[0].upper(), captured.body)
    return captured.method, escapes, headers, body.replace(boundary.encode(), b"BOUNDARY")


@pytest.mark.skipif(shutil.which("curl") is None, reason="not run: curl is not installed")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_curl_command_is_read_as_curl_sends_it(command: str) -> None:
    ran, received = sent_by_curl(command)

    assert comparable(capture(ran.encode())) == comparable(from_raw(received))


def test_a_user_without_a_password_is_sent_with_an_empty_one() -> None:
    assert pairs(capture(b"curl https://h/ -u me"))["authorization"] == "Basic bWU6"


@pytest.mark.parametrize("sent", ["/b#c", "*", "b", "/b?u=http://h/c#d"])
def test_a_request_target_is_sent_unchanged(sent: str) -> None:
    assert capture(f"curl https://h/a --request-target '{sent}'".encode()).target == sent


@pytest.mark.parametrize("name", [r"my\ file", r'"a\"b"', r"a'b c'\'", '"a b"c'])
def test_the_name_of_a_file_after_a_redirection_is_left_out(name: str) -> None:
    assert capture(f"curl > {name} https://h/a -d x".encode()) == capture(b"curl https://h/a -d x")


@pytest.mark.parametrize("end", ["\n", "\r\n", " > out.json\n", " 2>/dev/null \n\n", " &\n", ";\n"])
def test_a_line_end_ends_a_command(end: str) -> None:
    command = "curl 'https://h/a?b=1' -d x=1"
    captured = capture(f"{command}{end}curl -X DELETE 'https://h/other' -H 'X-Sig: two' -d y=2".encode())

    assert captured[:4] == capture(command.encode())[:4]


def test_the_user_of_a_url_is_sent_as_the_authorization() -> None:
    captured = capture(b"https://me:p%C3%A4@h:8000/a?x=1")

    assert pairs(captured) == {"host": "h:8000", "authorization": "Basic bWU6cMOk"}
    assert pairs(capture(b"https://@h/")) == {"host": "h"}


@pytest.mark.parametrize(
    "option",
    [
        *("--variable a=1", "--ip-tos AF42", "--ech true", "--trace-config all", "--keepalive-cnt 3"),
        *("--vlan-priority 4", "--haproxy-clientip ::1", "--ipfs-gateway http://g", "--upload-flags answered"),
        *("--sigalgs a", "--ssl-sessions file", "--parallel-max-host 2", "--knownhosts file", "--mptcp", "--out-null"),
        *("--skip-existing", "--ca-native", "--trace-ids", "--proxy-http2", "--tls-earlydata", "--follow"),
    ],
)
def test_the_options_of_curl_8_are_known(option: str) -> None:
    """The curl that runs the other tests may be older."""
    assert capture(f"curl {option} https://h/a".encode()).target == "/a"


def test_an_encoded_dot_is_a_dot_as_in_current_curl() -> None:
    """The curl that runs the other tests may be older."""
    assert capture(b"curl https://h/a/%2E%2e/b/.%2e/c/%2e").target == "/c/"
    assert capture(b"curl https://h/a/%2e%2e%2fb").target == "/a/%2e%2e%2fb"
    assert capture(b"curl --path-as-is https://h/a/%2e%2e/b").target == "/a/%2e%2e/b"


def test_copy_as_curl_of_a_browser_is_read() -> None:
    command = (
        "$ curl 'https://h/a?x=1' \\\n  -H 'accept: */*' \\\n  -H 'cookie: a=b' \\\n"
        '  --data-raw $\'{"a":"it\\\'s \\u0021 \\u00e4"}\' \\\n  --compressed ;'
    )

    captured = capture(command.encode())

    assert (captured.method, captured.target) == ("POST", "/a?x=1")
    assert captured.body == '{"a":"it\'s ! ä"}'.encode()


@pytest.mark.parametrize("before", ["% ", "# a comment\n", "# one\n\n  # two\n$ "])
@pytest.mark.parametrize("program", ["curl", "curl.exe"])
def test_a_prompt_and_comments_may_be_before_a_curl_command(before: str, program: str) -> None:
    assert target(f'{before}{program} "https://h/a?x=1"') == "/a?x=1"


@pytest.mark.parametrize(
    "text",
    [
        'fetch("https://h/a?x=1", {\n  "method": "GET"\n});',
        'Invoke-WebRequest -UseBasicParsing -Uri "https://h/a?x=1"',
        "wget 'https://h/a?x=1'",
        "http GET 'https://h/a?x=1'",
        "time curl 'https://h/a?x=1'",
        "SIGNATURE=1 curl 'https://h/a?x=1'",
        "Request URL: https://h/a?x=1\nRequest Method: GET",
        "URL:https://h/a?x=1 https://h/b",
        ":authority: h\n:path: /a?x=1\norigin: https://app",
        "> GET /a?x=1 HTTP/1.1\n> Host: h\n> Origin: https://app\n>",
        '127.0.0.1 - - [01/Jan/2026:00:00:00 +0000] "GET /a?x=1 HTTP/1.1" 401 12 "https://app/" "Mozilla/5.0"',
        "GET /a?x=1 401 3.1 ms - 12",
        "GET /a?x=1 401",
        "GET /a?x=1 - 401 in 3ms",
        'GET /a?x=1 HTTP/1.1" 401 12 "https://app/" "Mozilla/5.0"',
        'GET /a?x=1 HTTP/1.1"',
        "POST https://h/a?x=1 HTTP/2.0 401\nhost: h",
        "/a?x=1 https://app/",
        "https://h/a?x=1\nMethod: GET",
        "```\ncurl 'https://h/a?x=1'\n```",
        "[the request](https://h/a?x=1)",
        '[{"request": {"url": "https://h/a?x=1"}}]',
        "x=1&redirect=https://h/a",
        "'https://h/a' 'https://h/b'",
    ],
)
def test_a_text_that_only_contains_a_url_is_refused(text: str) -> None:
    with pytest.raises(CaptureError, match="this is not a URL, a curl command, a raw HTTP request or a HAR entry; "):
        capture(text.encode())


LINE_NOTE = (
    "the command ends with its line; if it goes on in the next line, write a backslash at the end of the line",
)


@pytest.mark.parametrize(
    ("command", "notes"),
    [
        ("curl https://h/a\n-H 'X-Sig: 1'", LINE_NOTE),
        ("curl https://h/a > out.json\nls --color", LINE_NOTE),
        ("curl https://h/a \\ \n -d x", LINE_NOTE),
        ("curl https://h/a \n\n# the end", ()),
        ("curl https://h/a \\\n -d x", ()),
        ("curl 'https://h/a?b=1' > /dev/null 2>&1 &", ()),
        ("curl 'https://h/a?b=1' & sleep 1", ()),
        ("curl 'https://h/a?b=1' && echo done", ()),
        ("curl 'https://h/a?b=1' &\nls", ()),
    ],
)
def test_the_end_of_a_command_is_noted_if_it_may_go_on(command: str, notes: tuple[str, ...]) -> None:
    assert capture(command.encode()).notes == notes


def test_a_url_that_the_shell_cuts_is_noted() -> None:
    captured = capture(b"curl https://h/a?x=1&hmac=2")

    assert captured.target == "/a?x=1"
    assert "not quoted" in captured.notes[0]


SHELL_NOTE = "the command has a '$' or '`' that a shell replaces, and explain does not; write the value in its place"
POSTMAN_NOTE = "the command has a variable of Postman ({{...}}), which is not replaced; write the value in its place"


@pytest.mark.parametrize(
    ("command", "notes"),
    [
        ('curl "https://h/?sig=$SIG"', (SHELL_NOTE,)),
        ("curl https://h/?sig=$SIG", (SHELL_NOTE,)),
        ('curl https://h/ -H "X-Sig: ${SIG}"', (SHELL_NOTE,)),
        ('curl https://h/ -H "X-Sig: $(sign x)"', (SHELL_NOTE,)),
        ('curl https://h/ -H "X-Sig: `sign x`"', (SHELL_NOTE,)),
        ("curl https://h/?sig=$(sign x)", (SHELL_NOTE,)),
        ("curl https://h/?sig=`sign x`", (SHELL_NOTE,)),
        ("curl -g 'https://h/?sig={{sig}}' -H 'X: {{$guid}}'", (POSTMAN_NOTE,)),
        ('curl "https://h/" -d "$BODY" -H \'X-Sig: {{sig}}\'', (SHELL_NOTE, POSTMAN_NOTE)),
        ("curl 'https://h/?sig=$SIG' -d '`x`$(y)' -H $'X: $a'", ()),
        (r'curl "https://h/?sig=\$SIG" -d "\`x\`" -d \$SIG -d a$ -d "a$" -d "$ b" -d $', ()),
        ("""curl https://h/ --json '{"a":{"b":{"c":1}}}' --json '{{"a":1}}' -d '{{}}'""", ()),
        ('curl https://h/ | jq "$x"', ()),
    ],
)
def test_a_variable_that_is_not_replaced_is_noted(command: str, notes: tuple[str, ...]) -> None:
    assert capture(command.encode()).notes == notes


@pytest.mark.parametrize(
    ("length", "body", "notes"),
    [
        (4, b"body", ()),
        (2, b"bo", ("Content-Length says 2 bytes, but the body has 4; the rest is left out",)),
        (9, b"body", ("Content-Length says 9 bytes, but the body has 4; a server waits for the rest",)),
    ],
    ids=["the same", "shorter", "longer"],
)
def test_curl_sends_the_given_length(length: int, body: bytes, notes: tuple[str, ...]) -> None:
    captured = capture(f"curl https://h/ -H 'content-length: {length}' -d body".encode())

    assert (captured.body, captured.notes) == (body, notes)


def test_curl_sends_the_whole_body_in_chunks() -> None:
    captured = capture(b"curl https://h/ -H 'Transfer-Encoding: chunked' -H 'Content-Length: 1' -d body")

    assert (captured.body, captured.notes) == (b"body", ())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "there is no request"),
        ("hello there", "not a URL, a curl command"),
        ('{"request": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
        ('{"request": ' + "9" * 5000 + "}", "has a number that is too long"),
        ('{"request": {"url": ["https://h"]}}', "not a HAR entry"),
        ('{"request": {"url": "https://h", "headers": [{"name": "a", "value": 1}]}}', "not a HAR entry"),
        ('{"request": {"url": "https://h", "postData": {"text": "a", "encoding": "base64"}}}', "not a HAR entry"),
        ("GET /a" + "\nX: 1" * 101, "the headers cannot be read (got more than 100 headers)"),
        ("GET /a\nX: " + "1" * 70_000, "the headers cannot be read"),
        ("GET /a\nUser-Agent: Mozilla/5.0\n(X11)\nX: 1\n\n", "a line of the headers is no header"),
        ("GET /a\n  Host: h\n  X: 1\n\n", "a line of the headers is no header"),
        ("GEt /a b", "not a URL"),
        ("curl $'https://h/\\U00110000'", "an escape for 110000, which is not a character"),
        ("curl $'https://h/\\UFFFFFFFF'", "an escape for FFFFFFFF, which is not a character"),
        ("curl https://h -d $'@\\x1b[31m\\xff'", r"comes from the file '\x1b[31m\udcff'"),
        ("curl https://h -d '@" + "a" * 5000 + "'", "comes from the file '" + "a" * 30 + "'...'" + "a" * 30 + "'"),
        ("{", "not valid JSON"),
        ("{}", "not a HAR entry"),
        ('{"log": {}}', "not a HAR entry"),
        ('{"request": {"url": 1, "headers": 2}}', "not a HAR entry"),
        ("https://[h/a", "the URL cannot be read"),
        ("curl -H 'a: b'", "has no URL"),
        ("curl https://h --next https://i", "several requests (--next); copy the part of one request"),
        ("curl https://h -: https://i", "several requests (--next); copy the part of one request"),
        ("curl --unknown a https://h", "explain does not know the option '--unknown' of curl; leave it out if it does"),
        ("curl --header='Authorization: secret' https://h", "explain does not know the option '--header=' of curl"),
        ("curl --no-unknown https://h", "explain does not know the option '--no-unknown' of curl"),
        ("curl -sW a https://h", "explain does not know the option '-W' of curl"),
        *(
            (f"curl {option} -u me:pw https://h", f"explain does not know the option '{option.split()[0]}' of curl")
            for option in ("--digest", "--anyauth", "--negotiate", "--ntlm", "--ntlm-wb", "--aws-sigv4 aws:amz")
        ),
        ("curl https://h -K file", "a part of the command comes from the file 'file'"),
        ("curl https://h --config file", "a part of the command comes from the file 'file'"),
        ("curl -H X:$(sign) https://h", f"has no URL; copy the whole command; {SHELL_NOTE}"),
        ("curl 'https://h", "is not closed"),
        ("curl https://h -d @file", "comes from the file 'file'"),
        ("curl https://h --data-binary @-", "comes from the file '-'"),
        ("curl https://h --data-urlencode x@file", "comes from the file 'file'"),
        ("curl https://h -F x=@file", "the form field 'x' comes from the file 'file'"),
        ("curl https://h -F 'x=<file'", "the form field 'x' comes from the file 'file'"),
        ("curl https://h -b cookies.txt", "the cookies come from the file 'cookies.txt'"),
        ("curl https://h -H @headers", "a header comes from the file 'headers'"),
        ("curl https://h -T file", "comes from the file 'file'"),
        ("curl https://h --json @file", "the JSON comes from the file 'file'"),
        ('curl ^"https://h^" ^\n -H ^"a: b^"', "Copy as cURL (bash)"),
        ('curl "https://h" ^\r\n  -H "a: b"', "Copy as cURL (bash)"),
        ('curl "https://h" -d ^"it\'s^"', "Copy as cURL (bash)"),
        ('curl https://h/?a=1^&b=2 ^\n  -H "X: y"', "Copy as cURL (bash)"),
        ("curl https://h/?a=1^|2", "Copy as cURL (bash)"),
        ("curl https://h/?a=^<b^>", "Copy as cURL (bash)"),
        ("curl https://h/?a=b^>", "Copy as cURL (bash)"),
        ("curl 'https://h/?a={x,y}'", "curl expands the braces and brackets of the URL"),
        ("curl 'https://h/?a=[1-3]'", "add -g to the command, or percent-encode them"),
        ("curl 'https://h/?a[b]=1'", "add -g"),
        ("curl 'https://h/?a[1:2]=1'", "add -g"),
        ("curl 'https://h/?a={}'", "add -g"),
        ("curl 'https://h/?a={{x}}'", "add -g"),
        ("curl 'https://h/?a={[}'", "add -g"),
        ("curl 'https://h/?a={x'", "add -g"),
        ("curl 'https://h/?a=x}'", "add -g"),
        ("curl 'https://h/?a=x]'", "add -g"),
        (r"curl 'https://h/?a=\\{x}'", "add -g"),
    ],
)
def test_invalid_input_is_refused_with_what_to_do(text: str, sentence: str) -> None:
    with pytest.raises(CaptureError) as caught:
        capture(text.encode())
    assert sentence in str(caught.value)


def test_bytes_that_are_not_text_are_refused() -> None:
    with pytest.raises(CaptureError, match="this is not text"):
        capture(b"\xff\xfe\x00")


@pytest.mark.skipif(
    sys.version_info < (3, 11, 4), reason="not run: this Python takes any text between brackets for a host"
)
def test_an_error_is_printable_for_every_url() -> None:
    with pytest.raises(CaptureError) as caught:
        capture(json.dumps({"request": {"url": "https://[\x1b[31m]/"}}).encode())
    assert str(caught.value).isprintable()


SIZE = 300_000


@pytest.mark.without_coverage
@pytest.mark.parametrize(
    "text",
    [
        b"GET /" + b" " * SIZE + b"x HTTP/1.1 x",
        b"GET " + b"/ " * (SIZE // 2),
        b"GET /a HTTP/1.1\nTransfer-Encoding: chunked\n\n" + b"1\na\n" * (SIZE // 4),
        b"GET /a HTTP/1.1\nTransfer-Encoding: chunked\n\n" + b"f" * SIZE,
        b"curl https://h/" + b"a" * SIZE,
        b"curl 'https://h/" + b"a" * SIZE + b"'",
        b"curl https://h/ " + b'"\\"' * (SIZE // 3),
        b"curl https://h/ " + b"$'\\'" * (SIZE // 4),
        b"curl " + b"$" * SIZE,
        b"curl " + b"1>a" * (SIZE // 3),
        b"curl " + b"1 " * (SIZE // 2),
        b"curl >" + b" " * SIZE + b"<",
        b"curl >" + b"'a'" * (SIZE // 3) + b"'",
        b"curl >" + b'"\\"' * (SIZE // 3),
        b"curl >" + b"\\a" * (SIZE // 2) + b"'",
        b"curl https://h/" + b"\n " * (SIZE // 2) + b"#",
        b'curl h "' + b"{{" * (SIZE // 2) + b'"',
        b"curl h '{{" + b"x" * SIZE + b"'",
        b"curl 'https://h/" + b"{a" * (SIZE // 2) + b"'",
        b"curl 'https://h/[" + b":" * SIZE + b"'",
        b"curl 'https://h/" + b"{a}[]" * (SIZE // 5) + b"'",
        b"curl " + b"^ " * (SIZE // 2),
        b"$" + b" " * SIZE,
        b"#\n" * (SIZE // 2),
        b"#" + b"\n " * (SIZE // 2) + b"x",
        b"a:" * (SIZE // 2) + b" ",
        b"'" * SIZE,
        b"curl https://h/ " + b"--url-query a " * (SIZE // 14),
        b"curl https://h/ -" + b"s" * SIZE,
        b"curl https://h/ -F 'a=" + b'"' * SIZE + b"'",
        b"curl https://h/ -F 'a=" + b';"\\' * (SIZE // 3) + b"'",
        b"curl https://h/ -F 'a=x" + b"; " * (SIZE // 2) + b"'",
        b"curl https://h/ -F 'a=x;type=" + b"; " * (SIZE // 2) + b"'",
        b"curl https://h/ -F 'a=x;" + b" " * SIZE + b"x'",
        b'{"log": {"entries": [' + b"{}," * (SIZE // 3) + b"{}]}}",
    ],
    ids=lambda text: ascii(text[:40].decode()) + "..." + ascii(text[-10:].decode()),
)
def test_long_input_takes_linear_time(text: bytes) -> None:
    began = time.thread_time()
    with contextlib.suppress(CaptureError):
        capture(text)
    assert time.thread_time() - began < 2.0
