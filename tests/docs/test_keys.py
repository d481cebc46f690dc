"""Runs docs/keys.md: each row of its table verifies a request, and its code and commands work as printed."""

import http.server
import inspect
import json
import os
import re
import shlex
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from cryptography.fernet import Fernet
from databases import REDIS, needs
from documented import blocks, text_of
from key_sources import KEY, OTHER_KEY, Source, claim_of, follow
from redis import Redis
from remote import FORGED, SCHEME, Interface, signed
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from support import call_wsgi
from waiting import becomes_true
from wires import own_redis

import hmac_guard.keys
from hmac_guard import Decision, Guard, Key, Reason, Verdict
from hmac_guard.cli.commands import hmac_guard as command
from hmac_guard.core.secret import _REPEATED_BELOW
from hmac_guard.keys import CachedKeys, RedisInvalidation, SqlKeys, VerdictCounts
from hmac_guard.keys.redis import HEARTBEAT
from hmac_guard.schemes import NANGO

PAGE = text_of("docs/keys.md")
ROWS: dict[str, str] = dict(re.findall(r"^\| ((?:in|written|the same|behind).+?) \| `(.+)` \|$", PAGE, re.MULTILINE))
PYTHON = blocks("docs/keys.md")
#: Without the one that installs the package.
CONSOLE = [block for block in blocks("docs/keys.md", "console") if "pip install" not in block.text]
BY_HEX = "written as hex, and decoded before use"


class Secrets(http.server.BaseHTTPRequestHandler):
    """An API with one tenant."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/secrets/acme" else 404)
        self.end_headers()
        self.wfile.write(KEY.encode())

    def log_message(self, *_: Any) -> None:
        return None


@pytest.fixture
def api() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Secrets)
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, api: str) -> Iterator[dict[str, Any]]:
    """The environment of the page: variables, files, settings, a database and an API. KEY is the secret of acme."""
    environ = {"NANGO_HMAC_KEY": KEY, "NANGO_HMAC_KEY_OLD": OTHER_KEY, "NANGO_HMAC_KEY_acme": KEY, "HMAC_KEY_HEX": KEY}
    environ["OLD_NANGO_HMAC_KEY_acme"] = f"{OTHER_KEY} of acme"
    for name, value in {**environ, "MASTER_KEYS": Fernet.generate_key().decode()}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "tenants").mkdir()
    for path, secret in {"hmac_key": KEY, "hmac_key_old": OTHER_KEY, "tenants/acme": KEY}.items():
        (tmp_path / path).write_text(secret)
    url = f"sqlite:///{tmp_path / 'keys.db'}"
    engines: list[Any] = []
    yield {
        **{
            name: getattr(hmac_guard.keys, name)
            for name in dir(hmac_guard.keys)
            if name[0].isupper() or name == "per_tenant"
        },
        "Guard": Guard,
        "Key": Key,
        "NANGO": NANGO,
        "os": os,
        "settings": SimpleNamespace(
            ACME_SECRET=KEY,
            NEW_SECRET=KEY,
            OLD_SECRET=OTHER_KEY,
            GLOBEX_SECRET=f"{OTHER_KEY} of globex",
            GLOBEX_SECRET_OLD=OTHER_KEY,
        ),
        "DATABASE_URL": url,
        "ASYNC_DATABASE_URL": url.replace("sqlite", "sqlite+aiosqlite"),
        "REDIS_URL": REDIS.render_as_string(hide_password=False),
        "create_engine": noting(create_engine, engines),
        "create_async_engine": noting(create_async_engine, engines),
        "secret_of": table_of_ones_own(url, engines),
        "fetch_secret": api_of_ones_own(api),
        "engines": engines,
    }
    for engine in engines:
        if not isinstance(engine, AsyncEngine):
            engine.dispose()


def noting(make: Callable[..., Any], made: list[Any]) -> Callable[..., Any]:
    def note(*arguments: Any, **options: Any) -> Any:
        made.append(make(*arguments, **options))
        return made[-1]

    return note


def table_of_ones_own(url: str, engines: list[Any]) -> Callable[[str], str | None]:
    engine = noting(create_engine, engines)(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE customers (name TEXT, secret TEXT)"))
        connection.execute(text("INSERT INTO customers VALUES ('acme', :secret)"), {"secret": KEY})

    def secret_of(tenant: str) -> str | None:
        with engine.connect() as connection:
            found = connection.execute(text("SELECT secret FROM customers WHERE name = :name"), {"name": tenant})
            secret: str | None = found.scalar()
        return secret

    return secret_of


def api_of_ones_own(url: str) -> Callable[[Any], Any]:
    async def fetch_secret(claim: Any) -> str | None:
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"{url}/secrets/{claim.tenant}")
            return answer.text if answer.status_code == 200 else None

    return fetch_secret


def test_the_page_has_the_table() -> None:
    assert len(ROWS) == 16
    assert BY_HEX in ROWS


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
@pytest.mark.parametrize("where", ROWS)
def test_the_documented_code_verifies_only_signed_requests(
    names: dict[str, Any], tmp_path: Path, where: str, kind: str
) -> None:
    code = ROWS[where].replace("/run/secrets", str(tmp_path))
    if "async" in code and kind == "wsgi":
        with pytest.raises(hmac_guard.ConfigError, match="event loop"):
            Guard(SCHEME, eval(code, names)).wsgi(lambda environ, start_response: [])
        return
    stored(names, code)
    interface = Interface(kind)
    guard = Guard(SCHEME, eval(code, names))
    secret: Any = bytes.fromhex(KEY) if where == BY_HEX else KEY

    replies = [interface.call(guard, signed(each)) for each in (secret, FORGED)]

    assert [reply.status for reply in replies] == [200, 401]
    for engine in names["engines"]:
        if isinstance(engine, AsyncEngine):
            interface.loop.run_until_complete(engine.dispose())
    interface.loop.run_until_complete(interface.loop.shutdown_default_executor())
    interface.loop.close()


def stored(names: dict[str, Any], code: str) -> None:
    """Return a database with the key of the tenant, encrypted if the row needs it."""
    engine = create_engine(names["DATABASE_URL"])
    keys = SqlKeys(engine, master_keys=os.environ["MASTER_KEYS"] if "master_keys" in code else ())
    keys.create_table()
    keys.add("acme", KEY)
    engine.dispose()


def test_the_rotation_sample_matches_the_docs(names: dict[str, Any]) -> None:
    names |= PYTHON[1].run(**names)
    keys, second = names["keys"], names["second"]
    ring = keys(claim_of("acme"))

    assert ring.keys[0].id == second.id
    assert {key.mode for key in keys.list("acme")} == {"enforce"}


def test_the_cache_and_count_samples_match_the_docs(names: dict[str, Any]) -> None:
    needs(REDIS, "Redis")
    stored(names, "")
    names |= PYTHON[2].run(**names)
    names |= PYTHON[3].run(**names)
    names["stored"].rotate("acme")
    names["counts"].close()
    names["news"].close()

    assert isinstance(names["keys"], CachedKeys)
    assert names["guard"].keys is names["keys"]


def verifies(guard: Guard, key: str) -> bool:
    return call_wsgi(guard, signed(key)).status == 200


def test_the_named_permissions_in_redis_are_enough(caplog: pytest.LogCaptureFixture) -> None:
    """A user with these alone announces a change, and sees it."""
    sentence = re.search(r"The Redis user needs (.+?), for this key", PAGE, re.DOTALL)
    assert sentence
    commands = [f"+{name.lower()}" for name in re.findall(r"`([A-Z]+)`", sentence[1])]
    with own_redis() as server:
        admin = Redis.from_url(server.url)
        admin.acl_setuser(
            "guard",
            enabled=True,
            passwords=["+s3cret"],
            keys=["hmac_guard:keys:changes"],
            channels=["hmac_guard:keys"],
            commands=commands,
        )
        admin.close()
        news = RedisInvalidation(server.url.replace("redis://", "redis://guard:s3cret@"))
        source = Source(KEY)
        cached = CachedKeys(source.sync, ttl=3_600)
        follow(cached, news, "acme")
        source.answer = OTHER_KEY

        news.publish("acme")

        assert becomes_true(lambda: verifies(Guard(SCHEME, cached), OTHER_KEY))
        time.sleep(2 * HEARTBEAT)  # until a PING was sent
        news.close()
    assert [record for record in caplog.records if "Redis is not available" in record.getMessage()] == []


def test_the_commands_match_the_docs(names: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HMAC_GUARD_DB", names["DATABASE_URL"])
    for line in (CONSOLE[0].code + CONSOLE[2].code).splitlines():
        run = CliRunner().invoke(command, shlex.split(line)[2:])
        assert run.exit_code == 0, run.output


def test_the_rotation_with_json_matches_the_docs(names: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HMAC_GUARD_DB", names["DATABASE_URL"])
    stored(names, "")
    line, _, printed = CONSOLE[1].code.partition("\n")

    run = CliRunner().invoke(command, shlex.split(line)[2:])

    made = json.loads(run.stdout)
    shown = json.loads(printed)
    assert run.stdout == printed.replace(shown["id"], made["id"]).replace(shown["secret"], made["secret"])
    assert [len(made[name]) for name in shown] == [len(text) for text in shown.values()]


def test_the_rollout_commands_match_the_docs(names: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HMAC_GUARD_DB", names["DATABASE_URL"])
    keys = SqlKeys(names["create_engine"](names["DATABASE_URL"]))
    keys.create_table()
    keys.add("acme", KEY, mode="report")
    guard = Guard(SCHEME, keys)

    assert call_wsgi(guard, signed(FORGED)).status == 200
    for line in CONSOLE[3].code.splitlines():
        run = CliRunner().invoke(command, shlex.split(line)[2:])
        assert run.exit_code == 0, run.output
    assert {key.tenant: key.mode for key in keys.list()} == {"acme": "enforce", "globex": "report"}
    assert call_wsgi(guard, signed(FORGED)).status == 401


def test_the_declared_function_matches_the_docs(names: dict[str, Any]) -> None:
    names |= PYTHON[0].run(**names)

    assert names["keys"].per_tenant is True
    assert call_wsgi(Guard(SCHEME, names["keys"]), signed(KEY)).status == 200


def test_each_text_in_the_table_is_refused() -> None:
    table = PAGE.partition("## Texts that are refused as keys")[2].partition("## ")[0]
    shown = re.findall(r"`([^`]+)`", "".join(re.findall(r"^\| (?:is|has) .* \| (.*) \|$", table, re.MULTILINE)))

    assert len(shown) == 22
    assert f"shorter than {_REPEATED_BELOW} characters" in table
    for refused in shown:
        with pytest.raises(hmac_guard.ConfigError):
            Key("" if refused == '""' else refused)


def test_the_readiness_table_matches_the_docs(names: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HMAC_GUARD_DB", names["DATABASE_URL"])
    printed = CONSOLE[4].code.partition("\n")
    keys = SqlKeys(names["create_engine"](names["DATABASE_URL"]))
    keys.create_table()
    counts = VerdictCounts(keys)
    for tenant, verified, missing in (("acme", 1204, 3), ("globex", 310, 0)):
        keys.add(tenant, mode="report")
        for reason, times in ((Reason.VERIFIED, verified), (Reason.MISSING_SIGNATURE, missing)):
            for _ in range(times):
                counts(Decision(Verdict(reason, "one"), claim_of(tenant), "report", False, 0.0))
    counts.close()

    run = CliRunner().invoke(command, shlex.split(printed[0])[2:])

    assert run.stdout == printed[2]


def test_the_options_of_the_cache_are_listed_with_their_defaults() -> None:
    listed = re.findall(r"^\| `(\w+)` \| ([\d,]+|None) \|", PAGE, re.MULTILINE)
    options = list(inspect.signature(CachedKeys).parameters.values())[1:]

    assert [(name, eval(value.replace(",", ""))) for name, value in listed] == [
        (option.name, option.default) for option in options if option.name != "clock"
    ]
