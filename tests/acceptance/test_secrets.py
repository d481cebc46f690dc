"""No key is leaked, in any form (T090 to T092). `tests/secrecy.py` checks this in every test. These tests check that it
finds leaks, and they check what no other test prints: pickles, copies, local variables in tracebacks.
Every wrong use of a key is also tested, because an error tracker records the local variables of an error.
"""

import asyncio
import copy
import logging
import os
import pickle
import re
import secrets
import subprocess
import sys
import traceback
import warnings
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from click.testing import CliRunner
from cryptography.fernet import Fernet
from databases import sqlite_in
from key_sources import claim_of
from orders import CASES, GOOD, ORDERS, hex_of, query_of
from secrecy import SECRECY, forms_of, texts_of
from sqlalchemy import create_engine, text
from support import Call, Reply, Sent

from hmac_guard import Claim, ConfigError, Guard, Header, Key, Keyring
from hmac_guard.asgi import middleware as asgi_middleware
from hmac_guard.cli.commands import hmac_guard as command
from hmac_guard.core.hidden import hide
from hmac_guard.core.key import as_key
from hmac_guard.guard import Mode
from hmac_guard.keys import (
    CachedKeys,
    ChainKeys,
    EnvKeys,
    FileKeys,
    MappingKeys,
    RedisInvalidation,
    SqlKeys,
    StaticKeys,
    per_tenant,
)
from hmac_guard.keys.resolver import as_resolver
from hmac_guard.log import failure_of
from hmac_guard.wsgi import middleware as wsgi_middleware

TENANTS = ORDERS.replace(tenant=Header("X-Tenant"))

FORMS: dict[str, Callable[[bytes], Any]] = {
    "latin-1": lambda secret: secret.decode("latin-1"),
    "hex": bytes.hex,
    "upper-case hex": lambda secret: secret.hex().upper(),
    "base64": lambda secret: b64encode(secret).decode(),
    "base64url without padding": lambda secret: urlsafe_b64encode(secret).rstrip(b"=").decode(),
    "repr": repr,
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_leaked_key_is_found_in_each_form(form: Callable[[bytes], str]) -> None:
    for size in (12, 31, 32, 33):
        secret = secrets.token_bytes(size)
        Key(secret)
        SECRECY.record(f"so far so good <{form(secret)}>")

        assert SECRECY.found()
        assert not SECRECY.found()


def by_log(text: str) -> None:
    logging.getLogger("hmac_guard").warning("%s", text)


def by_log_extra(text: str) -> None:
    logging.getLogger("hmac_guard").error("fine", extra={"ring": [text]})


def by_logged_error(text: str) -> None:
    logging.getLogger("hmac_guard").error("fine", exc_info=ValueError(text))


def by_error(text: str) -> None:
    ConfigError(text)


def by_answer(text: str) -> None:
    Reply(401, {}, text.encode())


def by_process(text: str) -> None:
    subprocess.run([sys.executable, "-c", "import sys; print(sys.argv[1], file=sys.stderr)", text], capture_output=True)


@pytest.mark.parametrize("leak", [by_log, by_log_extra, by_logged_error, by_error, by_answer, by_process])
def test_a_leaked_key_is_found_in_every_output(leak: Callable[[str], None]) -> None:
    secret = secrets.token_urlsafe()
    Key(secret)
    leak(f"so far so good <{secret}>")

    assert SECRECY.found()


OURS = """
import logging
import warnings

from hmac_guard import ConfigError, WeakKeyWarning
from hmac_guard.keys.resolver import CallableKeys

def log(held):
    logging.getLogger("hmac_guard").error("fine")

def warn(held):
    warnings.warn("fine", WeakKeyWarning)

def raise_(held):
    raise ConfigError("fine")

def raise_later(value):
    error = ConfigError("fine")
    held = value
    raise error

def fail_and_log(held):
    def fail(held):
        raise OSError
    def call():
        fail(held)
    try:
        call()
    except OSError:
        del held
        logging.getLogger("hmac_guard").error("fine")

def resolve(held):
    CallableKeys(lambda claim: "fine")(None)

def tell(held):
    keys._on_change("acme")

def ask(held):
    keys.create_table()

def generate(held):
    list(logging.getLogger("hmac_guard").error("fine") for held in [held])
"""


class Holder:
    __slots__ = ("held",)

    def __init__(self, held: object) -> None:
        self.held = held


HOLDERS: dict[str, Callable[[str], object]] = {
    "itself": lambda secret: secret,
    "bytes": str.encode,
    "an item of a tuple": lambda secret: (1, secret),
    "an item of a list": lambda secret: [secret],
    "a value of a dict": lambda secret: {"key": secret},
    "a key of a dict": lambda secret: {secret: "key"},
    "an attribute": lambda secret: SimpleNamespace(held=secret),
    "a slot": Holder,
    "the repr of an item": lambda secret: [SimpleNamespace(held=secret)],
    "an argument of a partial": lambda secret: partial(print, secret),
    "a digest": lambda secret: Key(secret).digest("sha256", b"x"),
    "a signature": lambda secret: ORDERS.sign(secret, tenant_id="acme", order_id="42"),
    "an item of a long list": lambda secret: [secret, *range(10_000)],
}


@pytest.mark.parametrize("module", ["hmac_guard.keys.one", "hmac_guard.core.key", "hmac_guard.cli.one"])
@pytest.mark.parametrize("hold", HOLDERS.values(), ids=HOLDERS)
def test_a_variable_with_a_secret_is_found_at_every_callback(
    hold: Callable[[str], object], module: str, tmp_path: Path
) -> None:
    keys = SqlKeys(sqlite_in(tmp_path), on_change=lambda tenant: None)
    names: dict[str, Any] = {"__name__": module, "keys": keys}
    exec(OURS, names)
    secret = secrets.token_urlsafe()
    held = hold(secret)
    Key(secret)
    for name in re.findall(r"^def (\w+)", OURS, re.MULTILINE):
        with suppress(ConfigError), warnings.catch_warnings(record=True):
            names[name](held)

        assert SECRECY.found(), name
    for name in re.findall(r"^def (\w+)", OURS, re.MULTILINE):
        with suppress(ConfigError), warnings.catch_warnings(record=True):
            names[name](hide(held))

        assert not SECRECY.found(), name


def test_functions_inside_a_callback_are_checked() -> None:
    secret = secrets.token_urlsafe()
    guard = Guard(ORDERS, secret, on_verdict=lambda verdict, claim: None, clock=lambda: 0.0)
    names: dict[str, Any] = {"__name__": "hmac_guard.keys.one", "guard": guard}
    for callback in ("guard._decider.on_verdict(None, None)", "guard._decider.clock()"):
        exec(f"def call(held): {callback}", names)
        names["call"](secret)

        assert SECRECY.found()


@pytest.mark.parametrize("keep", [str, hide], ids=["shown", "hidden"])
def test_functions_that_call_a_key_resolver_are_checked(call: Call, keep: Callable[[str], Any]) -> None:
    secret = secrets.token_urlsafe()
    sent = Sent("GET", "/orders", query_of(signature=ORDERS.sign(secret, tenant_id="acme", order_id="42")))

    def keys(claim: Claim) -> Keyring:
        return Keyring(secret)

    keys.blocking = False  # type: ignore[attr-defined]
    names: dict[str, Any] = {
        "__name__": "hmac_guard.keys.one",
        "call": call,
        "guard": Guard(ORDERS, keys),
        "sent": sent,
    }
    exec("def send(held): return call(guard, sent)", names)
    reply = names["send"](keep(secret))

    assert (reply.status, bool(SECRECY.found())) == (200, keep is str)


def test_other_modules_and_the_request_are_not_checked() -> None:
    secret = secrets.token_urlsafe()
    Key(secret)
    code = "def log({0}): logging.getLogger('hmac_guard').error('fine')"
    for module, variable in (
        ("shop.keys", "held"),
        ("hmac_guard.keys.one", "environ"),
        ("hmac_guard.keys.one", "scope"),
    ):
        names = {**globals(), "__name__": module}
        exec(code.format(variable), names)
        names["log"]([secret])

    assert SECRECY.found() == []


def test_a_text_without_a_secret_is_not_reported() -> None:
    assert forms_of(b"short") == forms_of(b"a" * 32) == ()


def resolvers(secret: str) -> list[Any]:
    return [
        StaticKeys(secret),
        MappingKeys({"acme": secret}),
        CachedKeys(MappingKeys({"acme": secret})),
        ChainKeys(MappingKeys({"acme": secret}), StaticKeys(secret)),
        EnvKeys("TEST_SECRET"),
    ]


def test_no_object_with_a_key_shows_it_in_text_or_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = secrets.token_urlsafe()
    monkeypatch.setenv("TEST_SECRET", secret)
    holders: list[Any] = [Key(secret), Keyring([secret]), Guard(ORDERS, secret), *resolvers(secret)]
    holders += [Guard(ORDERS, secret).wsgi(lambda environ, start: []), Guard(ORDERS, secret).asgi(print)]  # type: ignore[arg-type]
    for holder in holders:
        SECRECY.record(f"{holder} {holder!r} {[holder]} {holder.__reduce_ex__ and type(holder)}")
        for copied in (copy.copy, copy.deepcopy, pickle.dumps):
            try:
                SECRECY.record(repr(copied(holder)))
            except Exception as error:
                SECRECY.record(repr(error))

    assert SECRECY.found() == []


async def ask_on_loop(keys: CachedKeys) -> Any:
    """Ask a cache where an event loop runs."""
    return await keys.on_loop(KEYS_OF_CLAIM)


@dataclass
class Vault:
    """A resolver with its secret in its `repr`."""

    secret: str
    answer: Any = None

    def __call__(self, claim: object) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.secret if self.answer is None else self.answer

    def on_loop(self, claim: object) -> Any:
        return self(claim)


def stored(folder: Path, **options: Any) -> SqlKeys[Any]:
    keys = SqlKeys(sqlite_in(folder), **options)
    keys.create_table()
    return keys


def with_a_row(folder: Path, stored_secret: str, **options: Any) -> SqlKeys[Any]:
    keys = stored(folder, **options)
    keys.add("acme", key_id="1")
    with keys.engine.begin() as connection:
        connection.execute(text("UPDATE hmac_guard_keys SET secret = :secret"), {"secret": stored_secret})
    return keys


def a_file(folder: Path, content: bytes) -> Path:
    path = folder / "key"
    path.write_bytes(content)
    return path


def from_variables(*names: str, form: str = "text", **variables: str) -> EnvKeys:
    with patch.dict(os.environ, variables):
        return EnvKeys(*names, form=form)


KEYS_OF_CLAIM = claim_of("acme")
SEALED_ELSEWHERE_KEY = Fernet.generate_key()
SEALED_ELSEWHERE = Fernet(SEALED_ELSEWHERE_KEY)
Mistake = Callable[[str, Path], object]
MISTAKES: dict[str, Mistake] = {
    "an id that is none": lambda secret, folder: Key(secret, id="\n"),
    "times that are none": lambda secret, folder: Key(secret, not_before=2, not_after=1),
    "text with a newline": lambda secret, folder: Key(f"{secret}\n"),
    "text in quotes": lambda secret, folder: Key(f"'{secret}'"),
    "text that has no UTF-8": lambda secret, folder: Key(f"{secret}\ud800"),
    "a list as a secret": lambda secret, folder: Key([secret]),  # type: ignore[arg-type]
    "bytes as text": lambda secret, folder: Key.from_text(secret.encode()),  # type: ignore[arg-type]
    "no hex": lambda secret, folder: Key.from_hex(secret),
    "hex with an id that is none": lambda secret, folder: Key.from_hex(secret.encode().hex(), id=""),
    "no base64": lambda secret, folder: Key.from_base64(f"{secret}!"),
    "base64 with an id that is none": lambda secret, folder: Key.from_base64(
        b64encode(secret.encode()).decode(), id=""
    ),
    "a keyring with an invalid mode": lambda secret, folder: Keyring(secret, mode="no"),  # type: ignore[arg-type]
    "a keyring with duplicate keys": lambda secret, folder: Keyring([secret, secret]),
    "a keyring with a newline": lambda secret, folder: Keyring([f"{secret}\n", "some other key, long enough"]),
    "a guard with one key twice": lambda secret, folder: Guard(ORDERS, [secret, secret]),
    "a guard with text in quotes": lambda secret, folder: Guard(ORDERS, f"'{secret}'"),
    "a signature under text in quotes": lambda secret, folder: as_key(f"'{secret}'"),
    "a keyring with an empty key": lambda secret, folder: Keyring([secret, ""]),
    "a keyring with a number": lambda secret, folder: Keyring([secret, 7]),  # type: ignore[list-item]
    "keys for all with a mode": lambda secret, folder: StaticKeys(Keyring(secret, mode="off")),
    "a mapping with an empty key": lambda secret, folder: MappingKeys({"acme": secret, "globex": ""}),
    "a mapping with no key": lambda secret, folder: MappingKeys({"acme": secret, "globex": []}),
    "a mapping with one secret twice": lambda secret, folder: MappingKeys({"acme": secret, "globex": [secret]}),
    "a mapping by numbers": lambda secret, folder: MappingKeys({7: secret}),  # type: ignore[dict-item]
    "a set": lambda secret, folder: Guard(ORDERS, {secret}),  # type: ignore[arg-type]
    "a function of nothing": lambda secret, folder: Guard(ORDERS, partial(lambda secret: secret, secret)),
    "a guard without a mode": lambda secret, folder: Guard(ORDERS, [secret], mode="no"),  # type: ignore[arg-type]
    "a guard with an option too many": lambda secret, folder: Guard(ORDERS, "", secret=secret),  # type: ignore[call-arg]
    "a less strict guard": lambda secret, folder: Guard(TENANTS, {"acme": Keyring(secret, mode="enforce")}, mode="off"),
    "a scheme without a tenant": lambda secret, folder: Guard(ORDERS, {"acme": secret}),
    "a cache without time": lambda secret, folder: CachedKeys(Vault(secret), ttl=0),
    "a cache that contradicts": lambda secret, folder: CachedKeys({"acme": secret}, per_tenant=False),
    "a chain of text and a number": lambda secret, folder: ChainKeys(Vault(secret), 7, secret),
    "a chain that would not be asked": lambda secret, folder: ChainKeys(secret, {"acme": secret}),
    "text that is declared": lambda secret, folder: per_tenant(secret),  # type: ignore[type-var]
    "an odd attribute": lambda secret, folder: Guard(ORDERS, type("Odd", (Vault,), {"blocking": 7})(secret)),
    "an answer with one key twice": lambda secret, folder: ChainKeys(Vault(secret, [secret, secret]))(KEYS_OF_CLAIM),
    "an answer with one key twice, on a loop": lambda secret, folder: ChainKeys(Vault("", [secret, secret])).on_loop(
        KEYS_OF_CLAIM
    ),
    "an answer that is none": lambda secret, folder: ChainKeys(Vault(secret, {secret}))(KEYS_OF_CLAIM),
    "an answer with one key twice, in a cache": lambda secret, folder: CachedKeys(Vault("", [secret, secret]))(
        KEYS_OF_CLAIM
    ),
    "an error that shows the key": lambda secret, folder: CachedKeys(Vault("", KeyError(secret)))(KEYS_OF_CLAIM),
    "the same on a loop": lambda secret, folder: asyncio.run(ask_on_loop(CachedKeys(Vault("", KeyError(secret))))),
    "a file that is not text": lambda secret, folder: FileKeys(a_file(folder, secret.encode() + b"\xff")),
    "a file with a newline": lambda secret, folder: FileKeys(a_file(folder, secret.encode() + b"\n")),
    "a file of no hex": lambda secret, folder: FileKeys(a_file(folder, secret.encode()), form="hex"),
    "a file in no form": lambda secret, folder: FileKeys(a_file(folder, secret.encode()), form="utf-8"),
    "a secret for the path of a file": lambda secret, folder: FileKeys(secret),
    "a long secret for the path of a file": lambda secret, folder: FileKeys(secret * 20),
    "a secret beside a name with a tenant": lambda secret, folder: EnvKeys("KEY_{tenant}", f"s{secret.encode().hex()}"),
    "a secret for the name of a variable": lambda secret, folder: EnvKeys(secret),
    "a list for a mapping": lambda secret, folder: MappingKeys([secret]),  # type: ignore[arg-type]
    "a variable in no form": lambda secret, folder: from_variables("TEST_A", form="utf-8", TEST_A=secret),
    "a variable in quotes": lambda secret, folder: from_variables("TEST_A", TEST_A=f"'{secret}'"),
    "a variable of no hex": lambda secret, folder: from_variables("TEST_A", form="hex", TEST_A=secret),
    "two variables": lambda secret, folder: from_variables("TEST_A", "TEST_B", TEST_A=secret, TEST_B=f"{secret} "),
    "one key in two variables": lambda secret, folder: from_variables("TEST_A", "TEST_B", TEST_A=secret, TEST_B=secret),
    "tenants' variables": lambda secret, folder: from_variables("TEST_{tenant}", TEST_A=secret, TEST_B=f"{secret} "),
    "one secret for two": lambda secret, folder: from_variables("TEST_{tenant}", TEST_A=secret, TEST_B=secret),
    "a tenant that is none": lambda secret, folder: stored(folder).add("\n", secret),
    "a mode that is none": lambda secret, folder: stored(folder).add("acme", secret, mode="no"),
    "an unknown tenant": lambda secret, folder: stored(folder).rotate("acme", secret),
    "a grace that is none": lambda secret, folder: stored(folder).rotate("acme", secret, grace=-1),
    "a number as a secret": lambda secret, folder: stored(folder).add("acme", [secret]),
    "a key that is there": lambda secret, folder: [keys.add("acme", secret) for keys in [stored(folder)] for _ in "12"],
    "no table": lambda secret, folder: SqlKeys(sqlite_in(folder)).add("acme", secret),
    "an argument too many": lambda secret, folder: stored(folder).add("acme", secret, "text"),
    "a master key that is none": lambda secret, folder: SqlKeys(
        create_engine("sqlite:///keys.db"), master_keys=[secret]
    ),
    "a master key for no engine": lambda secret, folder: SqlKeys("", master_keys=secret),  # type: ignore[type-var]
    "a row that was written by hand": lambda secret, folder: with_a_row(folder, secret)(KEYS_OF_CLAIM),
    "a row with a colon": lambda secret, folder: with_a_row(folder, f"{secret}:{secret}")(KEYS_OF_CLAIM),
    "a row of a placeholder": lambda secret, folder: with_a_row(folder, f"text:<{secret}>")(KEYS_OF_CLAIM),
    "a row of no hex": lambda secret, folder: with_a_row(folder, f"hex:{secret}")(KEYS_OF_CLAIM),
    "a row of another tenant": lambda secret, folder: with_a_row(
        folder,
        "sealed:" + SEALED_ELSEWHERE.encrypt(f'["globex", "1", "text", "{secret}"]'.encode()).decode(),
        master_keys=SEALED_ELSEWHERE_KEY,
    )(KEYS_OF_CLAIM),
    "a row of something else": lambda secret, folder: with_a_row(
        folder, "sealed:" + SEALED_ELSEWHERE.encrypt(secret.encode()).decode(), master_keys=SEALED_ELSEWHERE_KEY
    )(KEYS_OF_CLAIM),
    "a key in the place of the scheme": lambda secret, folder: Guard(secret, ORDERS),  # type: ignore[arg-type]
    "a key in the place of a guard, WSGI": lambda secret, folder: wsgi_middleware.GuardMiddleware(print, guard=secret),  # type: ignore[arg-type]
    "a key in the place of a guard, ASGI": lambda secret, folder: asgi_middleware.GuardMiddleware(print, guard=secret),  # type: ignore[arg-type]
    "a key in the place of ids": lambda secret, folder: ORDERS.sign("k" * 32, secret),  # type: ignore[arg-type]
    "a key in the place of ids, for fields": lambda secret, folder: ORDERS.sign_fields("k" * 32, secret),  # type: ignore[arg-type]
    "a Redis that is none": lambda secret, folder: RedisInvalidation(secret),
}


@pytest.mark.parametrize("make", MISTAKES.values(), ids=MISTAKES)
def test_no_variable_shows_the_secret_of_a_mistake(make: Mistake, tmp_path: Path) -> None:
    secret = secrets.token_urlsafe()
    SECRECY.made.add(secret.encode())
    with suppress(Exception):
        make(secret, tmp_path)
        pytest.fail("nothing was raised")

    assert SECRECY.looks
    assert SECRECY.found() == []


COLUMNS = "tenant TEXT, key_id TEXT, secret TEXT, mode TEXT, made_at REAL, not_before REAL, not_after REAL"


@pytest.mark.parametrize(
    ("words", "environ"),
    [
        ("sign suprsend distinct_id=x --key-env TEST_KEY", {"TEST_KEY": "'{}'"}),
        ("sign suprsend --key-env TEST_KEY", {"TEST_KEY": "{}"}),
        ("sign suprsend distinct_id=x --key-env TEST_KEY --key-form hex", {"TEST_KEY": "{}"}),
        ("sign suprsend distinct_id=x --key-file key", {}),
        ("verify suprsend distinct_id=x --key-env TEST_KEY", {"TEST_KEY": "{}"}),
        ("explain suprsend x --key-env TEST_KEY --previous-env NOPE", {"TEST_KEY": "{}"}),
        ("keys rotate acme --secret-env TEST_KEY", {"TEST_KEY": "{}"}),
        ("keys add acme --id {long} --secret-env TEST_KEY", {"TEST_KEY": "{}"}),
        ("keys add acme --table strict --secret-env TEST_KEY", {"TEST_KEY": "{}"}),
        ("keys list", {"HMAC_GUARD_MASTER_KEYS": "{}"}),
        ("keys list", {"HMAC_GUARD_DB": "{}"}),
        ("keys list", {"HMAC_GUARD_DB": "sqlite+aiosqlite://user:{}@host/"}),
        ("keys list", {"HMAC_GUARD_DB": "postgresql+psycopg://user:{}@127.0.0.1:9/x"}),
        ("keys list", {"HMAC_GUARD_REDIS": "{}"}),
        ("keys rotate acme", {"HMAC_GUARD_REDIS": "redis://user:{}@127.0.0.1:9/0"}),
    ],
)
def test_no_variable_of_a_command_shows_the_secret_of_a_mistake(
    words: str, environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = secrets.token_urlsafe()
    SECRECY.made.add(secret.encode())
    monkeypatch.chdir(tmp_path)
    a_file(tmp_path, secret.encode() + b"\xff")
    with sqlite_in(tmp_path).begin() as connection:
        connection.execute(text(f"CREATE TABLE strict ({COLUMNS}, CHECK (secret = 'none'))"))
    settings = {"HMAC_GUARD_DB": "sqlite:///keys.db", **{name: form.format(secret) for name, form in environ.items()}}
    ran = CliRunner().invoke(command, words.format(long="x" * 256).split(), env=settings)

    assert ran.exit_code == 2, ran.output
    assert SECRECY.looks["CliError"]
    assert SECRECY.found() == []


@pytest.mark.parametrize("keys", [Vault, partial(Vault, answer=7), lambda secret: partial(Vault(secret))])
def test_the_repr_of_an_object_with_a_user_resolver_shows_no_key(keys: Any) -> None:
    secret = secrets.token_urlsafe()
    SECRECY.made.add(secret.encode())
    for holder in (
        as_resolver(keys(secret)),
        CachedKeys(keys(secret)),
        ChainKeys(keys(secret)),
        Guard(ORDERS, keys(secret)),
    ):
        SECRECY.record(*texts_of(holder))

    assert SECRECY.found() == []


def test_no_variable_has_the_secret_while_a_change_is_published(tmp_path: Path) -> None:
    """User code is called: `on_change`, and event listeners of SQLAlchemy."""
    secret, recorded = secrets.token_urlsafe(), list[str]()
    keys = stored(tmp_path, on_change=recorded.append, master_keys=Fernet.generate_key())
    keys.add("acme", secret)
    keys.rotate("acme")
    keys.reseal()
    keys(KEYS_OF_CLAIM)

    assert recorded == ["acme", "acme"]
    assert SECRECY.looks["_on_change"] == 2
    assert SECRECY.looks["statement"] > 10
    assert SECRECY.found() == []


def test_a_traceback_with_local_variables_shows_no_key(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Error trackers print them."""
    secret = secrets.token_urlsafe()
    recorded: list[str] = []
    is_broken = False

    def clock() -> float:
        if is_broken:
            raise OSError
        return 0.0

    def kept(error: BaseException) -> Any:
        recorded.extend(traceback.TracebackException.from_exception(error, capture_locals=True).format())
        return failure_of(error)

    monkeypatch.setattr(wsgi_middleware, "failure_of", kept)
    monkeypatch.setattr(asgi_middleware, "failure_of", kept)
    guard = Guard(ORDERS, Key(secret, not_after=2e11), clock=clock)
    is_broken = True
    call(guard, GOOD)
    SECRECY.record(*recorded)

    assert "ring = <Keyring" in "".join(recorded)
    assert SECRECY.found() == []


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("mode", ["enforce", "report"])
def test_no_request_leaks_a_random_key(call: Call, case: str, mode: Mode, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret, sent = secrets.token_urlsafe(), CASES[case][0]
    answer = call(Guard(ORDERS, [secret, Key(secrets.token_bytes(32))], mode=mode), sent)
    SECRECY.record(answer.headers, answer.body, answer.seen)

    assert SECRECY.found() == []
    # The right signature must not appear either.
    assert hex_of("acme", "42", key=secret) not in caplog.text
