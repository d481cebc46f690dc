"""For every hostile input, explain prints a message quickly, and the message has no control characters."""

import json
import random
import time
from collections.abc import Callable

import pytest

pytest.importorskip("click", reason="not run: click is not installed")

from click.testing import CliRunner

from hmac_guard.cli.commands import hmac_guard

SEED = 20261204
OF_EACH_KIND = 50
SECONDS = 2.0  # CPU time of this thread, because wall time is longer on a busy machine
KEY = "the-key-that-signs-all-of-this"
ESCAPES = ("\x1b]0;title\x07", "\x1b[2J\x1b[31m", "\x9b31m", "\u202e", "\u2066", "\x08" * 20, "\x7f", "\u2028")

Texts = Callable[[random.Random], str]


def many(text: str, least: int = 1000, most: int = 100_000) -> Texts:
    """Repeat the text until it has about `size` characters."""
    return lambda source: text * (source.randint(least, most) // len(text))


#: Texts that may be anywhere in a request.
TEXTS: tuple[Texts, ...] = (
    *map(many, (" ", "a ", "\t", "a", "%", "%41", "%zz", "&", "&amp;", "=", "a=b&", "&a", "+", "/", "/../", "?", "#")),
    *map(many, ("ä", "\u0301\u0316", "\ufdfa", "\x00", "\ufeff", "\U0001f511", "<", "\\", "\\n", "'\\''", "a=b; ")),
    *map(many, ("[", "{", '{"a":', "]", '"', '"\\"', "$'", "`", "^", ";", ",", ":", "-", "0", "\r\n", "\n ", "\n\n")),
    lambda source: f"&#{'9' * source.randint(4000, 6000)};",
    lambda source: f"&#x{'f' * source.randint(4000, 6000)};",
    lambda source: "9" * source.randint(4301, 9000),
    lambda source: f"1e{'9' * source.randint(1, 9000)}",
    lambda source: '"' + r"\0" * source.randint(1, 9000),
    *(lambda source, text=text: text * source.randint(1, 9) for text in ESCAPES),
    lambda source: "".join(chr(source.randrange(256)) for _ in range(source.randint(1, 400))),
    lambda source: "".join(chr(source.randrange(0xD800)) for _ in range(source.randint(1, 400))),
)


def hostile_text(source: random.Random) -> str:
    return source.choice(TEXTS)(source)


def somewhere(source: random.Random, *plain: str) -> list[str]:
    """Return the texts with one or two of them replaced by, or joined with, hostile text."""
    texts = list(plain)
    for _ in range(source.randint(1, 2)):
        spot = source.randrange(len(texts))
        hostile = hostile_text(source)
        texts[spot] = source.choice((hostile, texts[spot] + hostile, hostile + texts[spot]))
    return texts


def a_url(source: random.Random) -> bytes:
    host, path, name, text, end = somewhere(source, "h", "oauth/connect/github", "connection_id", "a", "")
    return f"https://{host}/{path}?{name}={text}&hmac={'0' * 64}{end}".encode()


def a_document(source: random.Random) -> str:
    """Return a JSON body, or text that begins like one."""
    depth, size = source.randint(65, 100_000), source.randint(1000, 60_000)
    shapes = (
        "[" * depth + "]" * depth,
        '{"a":' * depth + "1" + "}" * depth,
        "[" + "1," * size + "1]",
        "[" + "[]," * size + "[]]",
        f'{{"{"k" * size}":[{"1," * size}1]}}',
        "{" + ",".join(f'"{number}":{number}' for number in range(size // 8)) + "}",
        json.dumps({"identifier": hostile_text(source), "identifier_hash": hostile_text(source)}),
        json.dumps({"integration_id": hostile_text(source), "hmac": "0" * 64, "public_key": hostile_text(source)}),
        r'{"integration_id":"\ud800","identifier":"\udfff","hmac":"a\ud800","public_key":"\ud83d","identifier_hash":"0"}',
        f'{{"integration_id":{"9" * 5000},"identifier":1e400,"hmac":-0,"identifier_hash":NaN}}',
        f'{{"identifier":"{"a" * 300_000}","identifier_hash":"0"}}',
        hostile_text(source),
    )
    return source.choice(shapes)


def a_raw_request(source: random.Random) -> bytes:
    method, target, version = somewhere(source, "POST", f"/oauth/connect/a?hmac={'0' * 64}", "HTTP/1.1")
    name, value = somewhere(source, "X-A", "1")
    body = a_document(source)
    digits = "9" * source.choice((1, 5000))
    framing = source.choice(
        (
            f"Content-Length: {len(body)}",
            f"Content-Length: {digits}",
            f"Content-Length: -{digits}",
            f"Transfer-Encoding: chunked\r\n\r\n{source.choice(('f', '9')) * source.randint(1, 20)}",
            "Transfer-Encoding: chunked\r\n\r\n" + "1\r\na\r\n" * 20_000 + "0",
            f"Transfer-Encoding: chunked\r\n\r\n{'0' * 5000}1",
            f"Cookie: a={hostile_text(source)}",
            "X-Many: 1\r\n" * 20_000 + "X: 1",
            " folded\r\n" * 90 + "X: 1",
        )
    )
    kind = source.choice(("application/json", "text/plain", "application/x-www-form-urlencoded", hostile_text(source)))
    head = f"{method} {target} {version}\r\n{name}: {value}\r\nContent-Type: {kind}\r\n{framing}\r\n\r\n"
    plain = f"POST /?hmac={'0' * 64} HTTP/1.1\r\nContent-Type: {kind}\r\n{framing}\r\n\r\n"
    made = (source.choice((head, plain)) + body).encode(source.choice(("utf-8",) * 9 + ("utf-16-le",)), "replace")
    return made if source.random() < 0.8 else made.replace(b"a", bytes([source.randrange(256)]))


def a_curl_command(source: random.Random) -> bytes:
    options = (
        "-H",
        "-d",
        "-F",
        "-b",
        "-X",
        "-u",
        "-A",
        "-e",
        "--json",
        "--data-urlencode",
        "--url-query",
        "--form-string",
    )
    words = [f"https://h/oauth/connect/a?hmac={'0' * 64}"]
    for _ in range(source.randint(1, 4)):
        words += [source.choice(options), source.choice((hostile_text, a_document, lambda _: "a: b"))(source)]
    if source.random() < 0.2:
        words += ["-H", "a: b"] * 20_000
    quoted = (
        lambda word: "'" + word.replace("'", "'\\''") + "'",
        lambda word: '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"',
        lambda word: "$'" + word.replace("\\", "\\\\").replace("'", "\\'") + "'",
        lambda word: f"$'{word}\\ud800\\777\\xff\\x'",
        lambda word: f"$'{word}\\U00110000\\UFFFFFFFF'",
        lambda word: f"'{word}",
        lambda word: f'$"{word}',
        lambda word: word,
    )
    written = [source.choice(quoted[: source.choice((4, 4, 8))])(word) for word in words]
    return " ".join(["curl", source.choice((" ", " \\\n  ")).join(written)]).encode("utf-8", "replace")


def a_har_entry(source: random.Random) -> bytes:
    method, url, name, value = somewhere(source, "POST", f"https://h/?hmac={'0' * 64}", "X-A", "1")
    headers = [{"name": name, "value": value}, {"name": "Content-Type", "value": "application/json"}]
    request = {
        "method": method,
        "url": url,
        "headers": headers * source.choice((1, 1, 1_000_000 // len(str(headers)) + 1)),
        "postData": source.choice(
            (
                {"text": a_document(source)},
                {"text": hostile_text(source), "encoding": "base64"},
                {"params": [{"name": hostile_text(source), "value": hostile_text(source)}]},
                None,
            )
        ),
    }
    entry = {"request": request}
    several = 1_000_000 // len(str(entry)) + source.randint(1, 2)
    whole = json.dumps(source.choice((entry, request, {"log": {"entries": [entry] * several}})))
    nested = "[" * source.randint(500, 100_000)
    return source.choice(
        (
            whole,
            whole,
            whole,
            whole.replace('"X-A"', r'"\ud800"').replace('"POST"', r'"\udfff"'),
            whole.replace('"POST"', nested + "]" * len(nested), 1),
            whole.replace('"https', r'"\ud83dhttps'),
            whole.replace('"1"', "9" * 5000, 1),
            whole[: len(whole) // 2],
            f'{{"request":{a_document(source)}}}',
            f'{{"log":{{"entries":{a_document(source)}}}}}',
        )
    ).encode()


@pytest.mark.without_coverage
@pytest.mark.parametrize("kind", [a_url, a_raw_request, a_curl_command, a_har_entry])
def test_hostile_input_is_answered_with_a_message(kind: Callable[[random.Random], bytes]) -> None:
    source = random.Random(f"{SEED} {kind.__name__}")
    slowest = 0.0
    for number in range(OF_EACH_KIND):
        given = kind(source)
        words = [source.choice(("nango", "suprsend", "chatwoot", "pusher")), "--key-env", "KEY"]
        words += source.choice(([], ["--json"], ["--show-signature"]))
        began = time.thread_time()
        result = CliRunner().invoke(hmac_guard, ["explain", *words], input=given, env={"KEY": KEY})
        took = time.thread_time() - began

        about = f"{kind.__name__} {number}, {words[0]}: {given[:200]!r}"
        assert isinstance(result.exception, SystemExit), f"{result.exception!r} for {about}"
        assert result.exit_code in (1, 2), about
        assert result.output.strip(), about
        assert set(result.output) <= set(map(chr, range(32, 127))) | {"\n"}, about
        assert took < SECONDS, f"{took:.1f} s for {about}"
        slowest = max(slowest, took)
    print(f"{OF_EACH_KIND} of {kind.__name__}, the slowest in {slowest:.2f} s")
