"""The example applications do what their docstrings say, and the commands in the docstrings work."""

import ast
import asyncio
import hmac
import importlib.util
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from werkzeug.test import Client

import hmac_guard
from hmac_guard import ConfigError, Guard

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = ("flask", "fastapi", "django")

# The secrets that the docstrings export. SuprSend publishes its secret with an id and a signature. The other signatures
# are made here with the standard library.
NANGO_KEY = "a-secret-that-only-the-two-backends-share"
ACME_KEY = "the-secret-that-acme-and-we-share"
SUPRSEND_ID = "b8278572-2929-4af6-be2b-cdc2bc1f6256"
SUPRSEND_SIGNATURE = "dHBWYF4oV190o4j-e3eYxB-SCkeHnoaiofe8EmGk9JQ"

Headers = tuple[tuple[str, str], ...]
JSON = ("Content-Type", "application/json")
FORM = ("Content-Type", "application/x-www-form-urlencoded")


class Sent(NamedTuple):
    """One request for an HTTP client."""

    target: str
    headers: Headers = ()
    body: bytes | None = None
    preflight: bool = False

    @property
    def method(self) -> str:
        if self.preflight:
            return "OPTIONS"
        return "GET" if self.body is None else "POST"


class Reply(NamedTuple):
    status: int
    document: Any


Send = Callable[[Sent], Reply]
Load = Callable[[str], Send]


def signed(key: str, message: str) -> str:
    return hmac.new(key.encode(), message.encode(), "sha256").hexdigest()


def send_wsgi(app: Any) -> Send:
    def send(sent: Sent) -> Reply:
        response = Client(app).open(sent.target, method=sent.method, headers=list(sent.headers), data=sent.body)
        return Reply(response.status_code, response.get_json(silent=True))

    return send


def send_asgi(app: Any) -> Send:
    httpx = pytest.importorskip("httpx", reason="not run: httpx is not installed")

    async def exchange(sent: Sent) -> Reply:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            response = await client.request(sent.method, sent.target, headers=list(sent.headers), content=sent.body)
        return Reply(response.status_code, response.json())

    return lambda sent: asyncio.run(exchange(sent))


def docstring(name: str) -> str:
    return ast.get_docstring(ast.parse((EXAMPLES / f"{name}_app.py").read_text())) or ""


def shell_lines(name: str) -> list[str]:
    """Return the commands of a docstring, with continued lines joined."""
    joined = re.sub(r"\\\n\s+", "", docstring(name))
    return [line.strip() for line in joined.splitlines() if line.startswith("    ")]


def assignments(line: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in shlex.split(line) if "=" in word)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Import an example again, with the keys of its docstring, and return a function that sends requests."""

    def load(name: str) -> Send:
        [exports] = [line for line in shell_lines(name) if line.startswith("export ")]
        for variable, key in assignments(exports).items():
            monkeypatch.setenv(variable, key)
        module = import_afresh(name, monkeypatch)
        return send_asgi(module.app) if name == "fastapi" else send_wsgi(vars(module).get("application") or module.app)

    return load


def import_afresh(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip(name, reason=f"not run: {name} is not installed")
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.delitem(sys.modules, f"{name}_app", raising=False)
    return importlib.import_module(f"{name}_app")


@pytest.fixture(autouse=True)
def django_unconfigured() -> Iterator[None]:
    """Django can be configured only once in a process, and other tests have other settings."""
    if importlib.util.find_spec("django") is None:
        yield
        return
    from django.conf import settings
    from django.urls import clear_url_caches
    from django.utils.functional import empty

    before, settings._wrapped = settings._wrapped, empty
    clear_url_caches()
    yield
    settings._wrapped = before
    clear_url_caches()


def curl_request(command: str, variables: dict[str, str]) -> Sent:
    """Return the request of a curl command in a docstring."""
    words = [re.sub(r"\$(\w+)", lambda name: variables[name[1]], word) for word in shlex.split(command)[1:]]
    url = urlsplit(words.pop(0))
    headers: list[tuple[str, str]] = []
    body = None
    for option, value in zip(words[::2], words[1::2], strict=True):
        if option == "-H":
            name, _, text = value.partition(": ")
            headers.append((name, text))
        else:
            headers.append({"--json": JSON, "-d": FORM}[option])
            body = value.encode()
    return Sent(url.path + (url.query and f"?{url.query}"), tuple(headers), body)


def expected_statuses(lines: list[str]) -> Iterator[tuple[str, int]]:
    """Return each curl command with the status in the comment above it."""
    statuses: list[int] = []
    for line in lines:
        if line.startswith("#"):
            statuses = [int(number) for number in re.findall(r"\b[1-5]\d\d\b", line)]
        elif line.startswith("curl "):
            yield line, statuses.pop(0) if len(statuses) > 1 else statuses[0]


@pytest.mark.parametrize(
    ("name", "variables"),
    [
        ("flask", {"signature": signed(NANGO_KEY, "github:user-42")}),
        ("fastapi", {"id": SUPRSEND_ID, "signature": SUPRSEND_SIGNATURE}),
        ("django", {"signature": signed(ACME_KEY, "acme:42")}),
    ],
)
def test_the_commands_of_a_docstring_get_the_documented_answers(
    load: Load, name: str, variables: dict[str, str]
) -> None:
    send = load(name)
    steps = list(expected_statuses(shell_lines(name)))

    assert [send(curl_request(command, variables)).status for command, _ in steps] == [status for _, status in steps]
    assert sorted({status for _, status in steps}) == [200, 401]


@pytest.mark.parametrize(
    ("name", "signature"),
    [("flask", signed(NANGO_KEY, "github:user-42")), ("django", signed(ACME_KEY, "acme:42"))],
)
def test_the_sign_command_of_a_docstring_gives_the_signature(load: Load, name: str, signature: str) -> None:
    testing = pytest.importorskip("click.testing", reason="not run: click is not installed")
    commands = importlib.import_module("hmac_guard.cli.commands")
    load(name)
    [command] = [line for line in shell_lines(name) if line.startswith("signature=")]
    words = shlex.split(command.removeprefix("signature=$(").removesuffix(")"))

    result = testing.CliRunner().invoke(commands.hmac_guard, words[1:])

    assert (words[0], result.output) == ("hmac-guard", signature + "\n")


NANGO_IDS = {"integration_id": "github", "connection_id": "user-42"}
NANGO_SIGNATURE = signed(NANGO_KEY, "github:user-42")
ORDERS_IDS = {"tenant_id": "acme", "order_id": "42"}
ACME = (("X-Tenant", "acme"), ("X-Signature", signed(ACME_KEY, "acme:42")))


REQUESTS = pytest.mark.parametrize(
    ("name", "sent", "ids"),
    [
        pytest.param(
            "flask",
            Sent(f"/oauth/connect/github?connection_id=user-42&hmac={NANGO_SIGNATURE}"),
            NANGO_IDS,
            id="nango, path",
        ),
        pytest.param(
            "flask",
            Sent(
                "/connections",
                (JSON,),
                b'{"integration_id": "github", "connection_id": "user-42", "hmac": "%b"}' % NANGO_SIGNATURE.encode(),
            ),
            NANGO_IDS,
            id="nango, JSON",
        ),
        pytest.param(
            "fastapi",
            Sent(f"/notifications/?distinct_id={SUPRSEND_ID}&subscriber_id={SUPRSEND_SIGNATURE}"),
            {"distinct_id": SUPRSEND_ID},
            id="suprsend, query",
        ),
        pytest.param(
            "fastapi",
            Sent(
                "/bell-clicked/",
                (JSON,),
                f'{{"distinct_id": "{SUPRSEND_ID}", "subscriber_id": "{SUPRSEND_SIGNATURE}"}}'.encode(),
            ),
            {"distinct_id": SUPRSEND_ID},
            id="suprsend, JSON",
        ),
        pytest.param("django", Sent("/orders", (JSON, *ACME), b'{"order": {"id": "42"}}'), ORDERS_IDS, id="own, JSON"),
        pytest.param("django", Sent("/orders", (FORM, *ACME), b"order_id=42"), ORDERS_IDS, id="own, form"),
    ],
)


@REQUESTS
def test_an_example_answers_with_the_verified_ids(
    load: Load, capsys: pytest.CaptureFixture[str], name: str, sent: Sent, ids: dict[str, str]
) -> None:
    reply = load(name)(sent)

    assert reply.status == 200
    assert reply.document["ids"] == ids
    assert capsys.readouterr().out.endswith(": verified\n")


def made_otherwise(changes: dict[str, Any]) -> Callable[..., Guard]:
    """Replace `Guard` in an example: the same guard with other options."""
    return lambda *arguments, **options: Guard(*arguments, **{**options, **changes})


def without_signature(sent: Sent) -> Sent:
    """The same request, with the same ids."""
    target = re.sub(r"[?&](hmac|subscriber_id)=[^&]*", "", sent.target)
    headers = tuple(header for header in sent.headers if header[0] != "X-Signature")
    body = sent.body and re.sub(rb', "(hmac|subscriber_id)": "[^"]*"', b"", sent.body)
    return Sent(target, headers, body)


OPEN = ("/oauth/", "/connections", "/notifications/", "/bell-clicked/", "/orders")


@pytest.mark.parametrize(
    "changes",
    [{"mode": "report"}, {"mode": "off"}, {"exempt": OPEN}],
    ids=["report", "off", "exempt"],
)
@REQUESTS
def test_an_example_answers_with_the_right_ids_in_every_mode(
    load: Load, monkeypatch: pytest.MonkeyPatch, name: str, sent: Sent, ids: dict[str, str], changes: dict[str, Any]
) -> None:
    monkeypatch.setattr(hmac_guard, "Guard", made_otherwise(changes))
    send, unsigned = load(name), without_signature(sent)

    assert unsigned != sent
    for each in (sent, unsigned):
        assert send(each).document["ids"] == ids


@REQUESTS
def test_an_example_reads_no_id_of_a_preflight(load: Load, name: str, sent: Sent, ids: dict[str, str]) -> None:
    asked = (("Origin", "https://app.example"), ("Access-Control-Request-Method", sent.method))

    reply = load(name)(Sent(without_signature(sent).target, asked, preflight=True))

    # Flask and FastAPI answer it, Django calls the view.
    assert (reply.status, reply.document and reply.document.get("ids")) in [(200, None), (405, None), (200, {})]


def test_the_body_reaches_the_application_behind_the_guard(load: Load) -> None:
    body = f'{{"distinct_id": "{SUPRSEND_ID}", "subscriber_id": "{SUPRSEND_SIGNATURE}", "time": 1}}'

    reply = load("fastapi")(Sent("/bell-clicked/", (JSON,), body.encode()))

    assert reply.document["fields"] == ["distinct_id", "subscriber_id", "time"]


def test_a_proven_tenant_is_on_the_verdict(load: Load) -> None:
    reply = load("django")(Sent("/orders", (FORM, *ACME), b"order_id=42"))

    assert reply.document["tenant"] == "acme"


@pytest.mark.parametrize("name", ["flask", "fastapi"])
def test_an_exempt_path_needs_no_signature(load: Load, name: str) -> None:
    assert load(name)(Sent("/health")).status == 200


@pytest.mark.parametrize("name", NAMES)
def test_an_example_has_at_most_60_lines(name: str) -> None:
    assert len((EXAMPLES / f"{name}_app.py").read_text().splitlines()) <= 60


@pytest.mark.parametrize("name", NAMES)
def test_an_example_does_not_start_without_its_key(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("NANGO_HMAC_KEY", "SUPRSEND_INBOX_SECRET", "ORDERS_KEY_acme", "ORDERS_KEY_globex"):
        monkeypatch.delenv(variable, raising=False)

    with pytest.raises(ConfigError, match=r"set it to the secret|set one for each tenant"):
        import_afresh(name, monkeypatch)
