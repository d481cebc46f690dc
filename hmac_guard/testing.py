"""Helpers for the tests of an application with a guard: `signed_client`, `sign_request` and `Clock`.

With pytest, they are the fixtures `signed_client`, `sign_request` and `guard_clock`, without an import.
"""

import copy
import inspect
import io
import sys
import time
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any, TypeVar

from hmac_guard.client.outgoing import Outgoing
from hmac_guard.client.signer import IdValue, Signer, origins_of, values_of
from hmac_guard.core.errors import ConfigError
from hmac_guard.core.fields import SignedFields
from hmac_guard.core.hidden import hide
from hmac_guard.core.key import Key
from hmac_guard.core.numbers import check_moment, is_finite
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.shown import Shown
from hmac_guard.core.verdict import Claim
from hmac_guard.decider import decider_of
from hmac_guard.guard import Guard
from hmac_guard.keys.calling import run_to_completion, running_loop
from hmac_guard.keys.resolver import as_keyring
from hmac_guard.wsgi.request import environ_keys

__all__ = ["Clock", "sign_request", "signed_client"]

Client = TypeVar("Client")


def signed_client(
    client: Client,
    guard: Guard | Scheme,
    ids: Mapping[str, IdValue] | None = None,
    /,
    *,
    key: Any = None,
    tenant: str | None = None,
    now: float | Callable[[], float] | None = None,
    **named: IdValue,
) -> Client:
    """Return a copy of a test client that signs each of its requests. The client itself does not change.

    If the client is signed already, the new signature takes the place of the old one.

    In httpx and Starlette the signature is the authentication of the client. A request with its own `auth=` is not
    signed, also with `auth=None`. A user in the URL of a request is not sent: give the client or the request an
    `Authorization` header with `headers=`.

    Args:
        client: The test client of Flask or Werkzeug, Django (`Client`, `AsyncClient`), Starlette or FastAPI, or a
            client of httpx or httpx2 with a `base_url`.
        guard: The guard, whose key and clock are used; or a scheme, with `key=`.
        ids: The ids, where one of them has the name of an option.
        key: The key to sign with; None is the key of the guard that signs.
        tenant: The tenant's name, for a scheme that has one.
        now: The Unix time of signing in seconds, or a clock; None is the guard's clock.
        named: The ids: text, or a function that gives the text for each request. An id that is sent in the path is
            written in the URL too.

    Raises:
        ValueError: The client is of another kind, a client of httpx has other authentication, or no request could be
            signed with this.

    Example::

        def test_inbox(signed_client):
            client = signed_client(app.test_client(), guard, user_id="u1")
            assert client.get("/inbox").status_code == 200
    """
    hidden_guard, hidden, hidden_ids = hide(guard), hide(key), hide(ids)
    del guard, key, ids
    given = values_of("signed_client", hidden_ids, named)

    def signer() -> Signer:
        return signer_for("signed_client", hidden_guard, hidden, given, tenant=tenant, now=now)

    signed: Any = copy.copy(client)
    if _is(client, ("httpx", "httpx2"), ("Client", "AsyncClient")):
        from hmac_guard.client.for_httpx import HttpxAuth

        if (signed.auth is not None and not isinstance(signed.auth, HttpxAuth)) or signed.base_url.userinfo:
            raise ConfigError(
                "signed_client: the client has its own authentication, and httpx sends a request with one; send its "
                "header with headers= of the client, and leave out auth= and the user in base_url"
            )
        # Starlette opens websockets there, with any `base_url`.
        of_websockets = ["http://testserver"] if hasattr(signed, "websocket_connect") else []
        origins = origins_of("signed_client", hide([_base(signed), *of_websockets]))
        signed.auth = HttpxAuth.of(signer(), origins)
    elif _is(client, ("werkzeug.test",), ("Client",)):
        signed.application = _SignedWsgi(signed.application, signer())
    elif _is(client, ("django.test.client", "django.test"), ("Client",)):
        signed.handler = _SignedWsgi(copy.copy(signed.handler), signer())
    elif _is(client, ("django.test.client", "django.test"), ("AsyncClient",)):
        signed.handler = _SignedScope(copy.copy(signed.handler), signer())
    else:
        raise ConfigError(
            f"signed_client: {type(client).__name__} is not a known client; give the test client of Flask, Django, "
            "Starlette or FastAPI, or a client of httpx; for other clients use sign_request"
        )
    made: Client = signed
    return made


def _is(client: object, modules: Iterable[str], names: Iterable[str]) -> bool:
    """Return whether a client is of one of these classes. A module that is not imported has made no client."""
    loaded = [sys.modules[module] for module in modules if module in sys.modules]
    kinds = [getattr(module, name, None) for module in loaded for name in names]
    return isinstance(client, tuple(kind for kind in kinds if kind is not None))


def _base(client: Any) -> str:
    url = client.base_url
    if not url.host:
        raise ConfigError('signed_client: give the client its address: httpx.Client(base_url="http://127.0.0.1:8000")')
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


class _Signed:
    """An application, or a test handler of Django, that gets signed requests. It has the attributes of the one inside.

    REST framework's `force_authenticate` sets attributes of the handler.
    """

    _inner: Any
    _signer: Signer

    def __init__(self, inner: Any, signer: Signer) -> None:
        # Of two signers, the inner one would replace the strings of the outer one.
        vars(self).update(_inner=inner._inner if isinstance(inner, _Signed) else inner, _signer=signer)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._inner, name, value)

    def __copy__(self) -> "_Signed":
        return type(self)(copy.copy(self._inner), self._signer)


class _SignedWsgi(_Signed):
    """As a WSGI application, or as the handler of Django's `Client`."""

    def __call__(self, environ: MutableMapping[str, Any], *start_response: Any) -> Any:
        _sign_environ(self._signer, environ)
        return self._inner(environ, *start_response)


def _sign_environ(signer: Signer, environ: MutableMapping[str, Any]) -> None:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)) if signer.needs_body else b""
    path = (environ.get("SCRIPT_NAME", "") + environ["PATH_INFO"]).encode("latin-1").decode("utf-8", "replace")
    headers = {name: environ[key] for name in signer.names if (key := environ_keys(name)[0]) in environ}
    query = environ.get("QUERY_STRING", "")
    signed = signer.sign(Outgoing(environ["REQUEST_METHOD"], path, query, headers, body))
    environ["QUERY_STRING"] = signed.query
    for name in signed.removed:
        environ.pop(environ_keys(name)[0], None)
    environ.update({environ_keys(name)[0]: text for name, text in signed.headers.items()})
    if signer.needs_body:
        sent = body if signed.body is None else signed.body
        environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(sent), str(len(sent))


class _SignedScope(_Signed):
    """As the handler of Django's `AsyncClient`."""

    async def __call__(self, scope: MutableMapping[str, Any]) -> Any:
        _sign_scope(self._signer, scope)
        return await self._inner(scope)


def _sign_scope(signer: Signer, scope: MutableMapping[str, Any]) -> None:
    headers = {name.decode("latin-1").lower(): text.decode("latin-1") for name, text in scope["headers"]}
    body = scope["_body_file"].read() if signer.needs_body and "_body_file" in scope else b""
    signed = signer.sign(Outgoing(scope["method"], scope["path"], scope["query_string"], headers, body))
    for name in signed.removed:
        headers.pop(name.lower(), None)
    headers.update({name.lower(): text for name, text in signed.headers.items()})
    scope["query_string"] = signed.query
    if signer.needs_body:
        from django.test.client import FakePayload

        sent = body if signed.body is None else signed.body
        scope["_body_file"], headers["content-length"] = FakePayload(sent), str(len(sent))
    scope["headers"] = [(name.encode("latin-1"), text.encode("latin-1")) for name, text in headers.items()]


def sign_request(
    guard: Guard | Scheme,
    ids: Mapping[str, IdValue] | None = None,
    /,
    *,
    key: Any = None,
    tenant: str | None = None,
    now: float | None = None,
    body: bytes = b"",
    method: str = "GET",
    path: str = "/",
    **named: IdValue,
) -> SignedFields:
    """Return everything that a signed request carries, for a client that `signed_client` does not know.

    Args:
        guard: The guard, whose key and clock are used; or a scheme, with `key=`.
        ids: The ids, where one of them has the name of an option.
        key: The key to sign with; None is the key of the guard that signs.
        tenant: The tenant's name, for a scheme that has one.
        now: The Unix time of signing in seconds; None is the time of the guard's clock.
        body: The body of the request.
        method: The method of the request. It is signed in capitals, as most clients send it.
        path: The path of the request, decoded and without the query: `/of/a b` for the URL `/of/a%20b`. An id in it is
            placed nowhere else.
        named: The ids.

    Raises:
        ValueError: The request cannot be signed with this.

    Example::

        fields = sign_request(guard, user_id="u1")
        client.get("/inbox", query_string=fields.query, headers=fields.headers)
    """
    hidden_guard, hidden, hidden_ids = hide(guard), hide(key), hide(ids)
    del guard, key, ids
    given = values_of("sign_request", hidden_ids, named)
    signer = signer_for("sign_request", hidden_guard, hidden, given, tenant=tenant, now=now)
    return signer.fields(Outgoing(method.upper(), path, body=body))


def signer_for(
    owner: str,
    guard: Any,
    key: Any,
    ids: Mapping[str, IdValue],
    *,
    tenant: str | None,
    now: float | Callable[[], float] | None,
) -> Signer:
    """Return what signs the requests of a test.

    Raises:
        ConfigError: The guard has no key for these ids, or no request could be signed with this.
    """
    # A user may give the key in the place of the guard.
    hidden_guard, hidden = hide(guard), hide(key)
    del guard, key
    clock = now if callable(now) else _clock_at(owner, now)
    scheme = hidden_guard
    if not isinstance(hidden_guard.get(), Scheme):
        decider = decider_of(owner, hidden_guard)
        guard = hidden_guard.get()
        scheme, clock = guard.scheme, clock or decider.clock
        if hidden.get() is None:
            hidden = _key_of(owner, guard, ids, tenant, decider.clock())
    if hidden.get() is None:
        raise ConfigError(f"{owner}: a scheme has no key; give key=, or the guard")
    return Signer(owner, scheme, hidden, tenant, clock, ids)


def _clock_at(owner: str, now: float | None) -> Callable[[], float] | None:
    if now is None:
        return None
    check_moment(f"{owner}: now", now)
    return lambda: now


def _key_of(owner: str, guard: Guard, ids: Mapping[str, IdValue], tenant: str | None, now: float) -> Any:
    """Return the key that signs for a claim, as the guard's resolver gives it."""
    said = {name: value for name, value in ids.items() if isinstance(value, str)}
    answer = hide(guard.keys(Claim(guard.scheme.name, said, tenant)))
    if inspect.isawaitable(answer.get()) and _is_on_loop():
        getattr(answer.get(), "close", lambda: None)()  # Python warns of a coroutine that is never awaited.
        raise ConfigError(f"{owner}: the key resolver is async, and an event loop runs here; give key=")
    ring = as_keyring(hide(run_to_completion(answer.get())))
    keys: tuple[Key, ...] = () if ring is None else ring.active(now)
    if not keys:
        named = "no tenant" if tenant is None else f"the tenant {tenant!r}"
        raise ConfigError(f"{owner}: the guard has no active key for {named}; give tenant=, or key=")
    return hide(keys[0])


def _is_on_loop() -> bool:
    try:
        running_loop()
    except RuntimeError:
        return False
    return True


class Clock(Shown):
    """A clock that stands still until a test sets it.

    Give it to the guard as `clock=`; `signed_client` and `sign_request` then sign with the time of the guard's clock.

    Args:
        now: The Unix time to begin with, in seconds; None is the time now.

    Raises:
        ConfigError: A time is not a finite number. `set` and `move` raise it too.

    Example::

        clock = Clock(1_800_000_000)
        guard = Guard(INBOX, keys="...", clock=clock)
        clock.move(3_600)
    """

    now: float

    def __init__(self, now: float | None = None) -> None:
        self.set(time.time() if now is None else now)

    def __call__(self) -> float:
        return self.now

    def set(self, now: float) -> None:
        """Set the Unix time, in seconds."""
        check_moment("Clock: now", now)
        self.now = now

    def move(self, seconds: float) -> None:
        """Move the clock forward, or back by a negative number."""
        if not is_finite(seconds):
            raise ConfigError("Clock: seconds must be a finite number")
        self.now += seconds

    def _description(self) -> str:
        return f"Clock({self.now!r})"
