"""No key is told, by anything, in any form (T090 to T092). `tests/secrecy.py` looks for that in every test; here it is
shown to find what it looks for, and the rest is looked at that no test tells: pickles, copies, locals in tracebacks.
"""

import copy
import logging
import pickle
import secrets
import subprocess
import sys
import traceback
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import pytest
from orders import CASES, GOOD, ORDERS, hex_of
from secrecy import SECRECY, forms_of
from support import Call, Reply

from hmac_guard import ConfigError, Guard, Key, Keyring
from hmac_guard.asgi import middleware as asgi_middleware
from hmac_guard.guard import Mode
from hmac_guard.keys import CachedKeys, ChainKeys, EnvKeys, MappingKeys, StaticKeys
from hmac_guard.log import failure_of
from hmac_guard.wsgi import middleware as wsgi_middleware

FORMS: dict[str, Callable[[bytes], Any]] = {
    "latin-1": lambda secret: secret.decode("latin-1"),
    "hex": bytes.hex,
    "upper-case hex": lambda secret: secret.hex().upper(),
    "base64": lambda secret: b64encode(secret).decode(),
    "base64url without padding": lambda secret: urlsafe_b64encode(secret).rstrip(b"=").decode(),
    "repr": repr,
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_key_that_is_told_is_found_in_each_form(form: Callable[[bytes], str]) -> None:
    for size in (12, 31, 32, 33):
        secret = secrets.token_bytes(size)
        Key(secret)
        SECRECY.tell(f"so far so good <{form(secret)}>")

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


@pytest.mark.parametrize("tell", [by_log, by_log_extra, by_logged_error, by_error, by_answer, by_process])
def test_a_key_that_is_told_is_found_wherever_it_is_told(tell: Callable[[str], None]) -> None:
    secret = secrets.token_urlsafe()
    Key(secret)
    tell(f"so far so good <{secret}>")

    assert SECRECY.found()


def test_a_text_that_is_no_secret_is_not_taken_for_one() -> None:
    assert forms_of(b"short") == forms_of(b"a" * 32) == ()


def resolvers(secret: str) -> list[Any]:
    return [
        StaticKeys(secret),
        MappingKeys({"acme": secret}),
        CachedKeys(MappingKeys({"acme": secret})),
        ChainKeys(MappingKeys({"acme": secret}), StaticKeys(secret)),
        EnvKeys("TEST_SECRET"),
    ]


def test_whatever_holds_a_key_shows_it_in_no_text_and_no_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = secrets.token_urlsafe()
    monkeypatch.setenv("TEST_SECRET", secret)
    holders: list[Any] = [Key(secret), Keyring([secret]), Guard(ORDERS, secret), *resolvers(secret)]
    holders += [Guard(ORDERS, secret).wsgi(lambda environ, start: []), Guard(ORDERS, secret).asgi(print)]  # type: ignore[arg-type]
    for holder in holders:
        SECRECY.tell(f"{holder} {holder!r} {[holder]} {holder.__reduce_ex__ and type(holder)}")
        for copied in (copy.copy, copy.deepcopy, pickle.dumps):
            try:
                SECRECY.tell(repr(copied(holder)))
            except Exception as error:
                SECRECY.tell(repr(error))

    assert SECRECY.found() == []


def test_a_traceback_with_its_locals_shows_no_key(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Error trackers print them."""
    secret = secrets.token_urlsafe()
    told: list[str] = []

    def clock() -> float:
        raise OSError

    def kept(error: BaseException) -> Any:
        told.extend(traceback.TracebackException.from_exception(error, capture_locals=True).format())
        return failure_of(error)

    monkeypatch.setattr(wsgi_middleware, "failure_of", kept)
    monkeypatch.setattr(asgi_middleware, "failure_of", kept)
    call(Guard(ORDERS, Key(secret, not_after=2e12), clock=clock), GOOD)
    SECRECY.tell(*told)

    assert "ring = <Keyring" in "".join(told)
    assert SECRECY.found() == []


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("mode", ["enforce", "report"])
def test_a_random_key_is_told_by_no_request(
    call: Call, case: str, mode: Mode, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret, sent = secrets.token_urlsafe(), CASES[case][0]
    answer = call(Guard(ORDERS, [secret, Key(secrets.token_bytes(32))], mode=mode), sent)
    SECRECY.tell(answer.headers, answer.body, answer.seen)

    assert SECRECY.found() == []
    # Nor the one signature that would have been right.
    assert hex_of("acme", "42", key=secret) not in caplog.text
