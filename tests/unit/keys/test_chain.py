"""Several sources of keys, one after the other; and sources that need what is not installed."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from key_sources import KEY, OTHER_KEY, Source, claim_of, failing
from support import Call, Sent

from hmac_guard import Claim, ConfigError, Guard, Query, Scheme
from hmac_guard.keys import CachedKeys, ChainKeys

SCHEME = Scheme(name="one", ids={"a": Query("a")}, message="{a}", signature=Query("sig"), tenant=Query("t"))


def status(call: Call, keys: Any, tenant: str, secret: str = KEY) -> int:
    return call(Guard(SCHEME, keys), Sent(query=f"a=x&sig={SCHEME.sign(secret, a='x')}&t={tenant}")).status


def knows(tenant: str, secret: str, colour: str) -> Any:
    return getattr(Source(lambda claim: secret if claim.tenant == tenant else None), colour)


@pytest.mark.parametrize("first", ["sync", "asynchronous"])
@pytest.mark.parametrize("second", ["sync", "asynchronous"])
def test_the_first_source_that_knows_the_tenant_answers(call: Call, first: str, second: str) -> None:
    chain = ChainKeys(knows("a", KEY, first), knows("a", OTHER_KEY, second), {"b": OTHER_KEY})

    assert status(call, chain, "a") == 200
    assert status(call, chain, "a", OTHER_KEY) == 401
    assert status(call, chain, "b", OTHER_KEY) == 200
    assert status(call, chain, "c") == 401


@pytest.mark.parametrize("colour", ["sync", "asynchronous"])
@pytest.mark.parametrize("answer", [failing(OSError()), "", 7], ids=["raises", "an empty key", "a number"])
def test_a_source_that_fails_is_not_passed_over(call: Call, colour: str, answer: Any) -> None:
    chain = ChainKeys(getattr(Source(answer), colour), {"a": KEY})

    assert status(call, chain, "a") == 503


def test_the_sources_after_the_one_that_knows_are_not_asked(call: Call) -> None:
    later = Source(OTHER_KEY)
    status(call, ChainKeys({"a": KEY}, later.sync), "a")

    assert later.asked == []


def test_keys_for_every_tenant_may_stand_last(call: Call) -> None:
    chain = ChainKeys({"a": KEY}, OTHER_KEY)

    assert status(call, chain, "a") == 200
    assert status(call, chain, "a", OTHER_KEY) == 401
    assert status(call, chain, "b", OTHER_KEY) == 200


@pytest.mark.parametrize(
    ("sources", "per_tenant"),
    [
        ([{"a": KEY}], True),
        ([KEY], False),
        ([lambda claim: KEY], None),
        ([lambda claim: None, KEY], None),
        ([{"a": KEY}, KEY], None),
        ([lambda claim: None, {"a": KEY}], None),
        ([{"a": KEY}, {"b": OTHER_KEY}], True),
        ([{"a": KEY}, CachedKeys(lambda claim: KEY, per_tenant=True)], True),
    ],
)
def test_a_chain_is_by_tenant_where_every_source_is(sources: list[Any], per_tenant: bool | None) -> None:
    assert ChainKeys(*sources).per_tenant is per_tenant


def test_a_chain_answers_an_event_loop_at_once_where_its_sources_do() -> None:
    cached = CachedKeys({"b": OTHER_KEY})
    cached(claim_of("b"))
    chain = ChainKeys({"a": KEY}, cached)

    for tenant in ("a", "b"):
        assert chain.on_loop(claim_of(tenant)) is not None
        assert not hasattr(chain.on_loop(claim_of(tenant)), "__await__")


def test_a_chain_is_bound_to_a_loop_where_a_source_is() -> None:
    class Bound:
        asgi_only = True

        async def __call__(self, claim: Claim) -> str:
            return KEY

    assert ChainKeys({"a": KEY}, Bound()).asgi_only
    assert CachedKeys(Bound()).asgi_only
    with pytest.raises(ConfigError, match="event loop"):
        Guard(SCHEME, ChainKeys(Bound())).wsgi(lambda environ, start_response: [])


def test_a_chain_shows_its_sources_and_no_secret() -> None:
    assert repr(ChainKeys({"a": KEY}, OTHER_KEY)) == (
        "ChainKeys(<MappingKeys of 1 tenants>, StaticKeys(<Keyring of 1, mode=None>))"
    )


@pytest.mark.parametrize(
    ("sources", "why"),
    [
        pytest.param([], "at least one", id="no source"),
        pytest.param([KEY, {"a": KEY}], "put it last", id="keys for every tenant before others"),
        pytest.param([7], "no source of keys", id="a number"),
        pytest.param([{}], "mapping is empty", id="an empty mapping"),
    ],
)
def test_a_chain_that_cannot_work_is_refused(sources: list[Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        ChainKeys(*sources)


WITHOUT = """
import sys
for name in {missing!r}.split():
    sys.modules[name] = None
import hmac_guard.keys
from hmac_guard.keys import EnvKeys, FileKeys, ChainKeys
try:
    from hmac_guard.keys import {name}
except ImportError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("name", "missing", "extra"),
    [
        ("SqlKeys", "sqlalchemy", "sql"),
        ("VerdictCounts", "sqlalchemy", "sql"),
        ("CachedKeys", "cachetools", "cache"),
        ("RedisInvalidation", "redis", "redis"),
        ("RedisInvalidation", "cachetools", "redis"),
    ],
)
def test_what_is_not_installed_is_named_with_its_extra(name: str, missing: str, extra: str) -> None:
    command = [sys.executable, "-c", WITHOUT.format(missing=missing, name=name)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert said == f"{name} needs {missing}: pip install 'hmac-guard[{extra}]'\n"


WITHOUT_GREENLET = """
import sys
sys.modules["greenlet"] = None
from sqlalchemy import create_engine
from hmac_guard.keys import CachedKeys, ChainKeys, SqlKeys, VerdictCounts
from hmac_guard.core.errors import ConfigError
keys = SqlKeys(create_engine("sqlite:///keys.db"))
keys.create_table()
new = keys.add("acme")
print(keys.asgi_only, keys.blocking, keys.list()[0].id == new.id, "sqlalchemy.ext.asyncio" in sys.modules)
try:
    SqlKeys("sqlite://")
except ConfigError as error:
    print(error)
"""


def test_keys_of_a_sync_engine_need_no_greenlet(tmp_path: Path) -> None:
    """SQLAlchemy 2.1 brings none by itself, and without it `sqlalchemy.ext.asyncio` cannot be imported."""
    command = [sys.executable, "-c", WITHOUT_GREENLET]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    said, refused = run.stdout.splitlines()

    assert said == "False True True False"
    assert "create_async_engine, which needs pip install 'sqlalchemy[asyncio]'" in refused


def test_sealing_without_cryptography_names_its_extra() -> None:
    script = (
        "import sys; sys.modules['cryptography'] = sys.modules['cryptography.fernet'] = None\n"
        "from sqlalchemy import create_engine\n"
        "from hmac_guard.keys import SqlKeys\n"
        "SqlKeys(create_engine('sqlite:///keys.db'))\n"
        "SqlKeys(create_engine('sqlite:///keys.db'), master_keys='x')"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert "hmac_guard.core.errors.ConfigError: SqlKeys: master_keys need cryptography" in run.stderr
    assert "pip install 'hmac-guard[crypto]'" in run.stderr


def test_what_does_not_exist_is_said_so() -> None:
    import hmac_guard.keys

    with pytest.raises(AttributeError, match="no attribute 'VaultKeys'"):
        hmac_guard.keys.VaultKeys  # noqa: B018
    assert {"SqlKeys", "CachedKeys", "EnvKeys"} <= set(dir(hmac_guard.keys))
