"""Test clients whose requests are signed."""

import copy
import io
import sys
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any, TypeVar

from hmac_guard.client.signer import IdValue, Outgoing, Signer
from hmac_guard.core.errors import ConfigError
from hmac_guard.core.hidden import hide
from hmac_guard.core.scheme import Scheme
from hmac_guard.guard import Guard
from hmac_guard.testing.requests import signer_for

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
    """Return a copy of a test client that signs each of its requests. The client itself stays unsigned.

    Args:
        client: The test client of Flask or Werkzeug, Django (`Client`, `AsyncClient`), Starlette or FastAPI, or a
            client of httpx or httpx2 with a `base_url`.
        guard: The guard, whose key and clock are used; or a scheme, with `key=`.
        ids: The ids, where one of them has the name of an option.
        key: The key to sign with; None is the key of the guard that signs.
        tenant: The tenant's name, for a scheme that has one.
        now: The Unix time of signing in seconds, or a clock; None is the guard's clock.
        named: The ids: text, or a function that gives the text for each request. An id that travels in the path is
            written in the URL too.

    Raises:
        ValueError: The client is of another kind, or no request could be signed with this.

    Example:
        def test_inbox(signed_client):
            client = signed_client(app.test_client(), guard, user_id="u1")
            assert client.get("/inbox").status_code == 200
    """
    hidden = hide(key)
    del key
    given = {**(ids or {}), **named}

    def signer(origins: Iterable[str] | None = None) -> Signer:
        return signer_for("signed_client", guard, hidden, given, tenant=tenant, now=now, origins=origins)

    signed: Any = copy.copy(client)
    if _is(client, ("httpx", "httpx2"), ("Client", "AsyncClient")):
        from hmac_guard.client.for_httpx import HttpxAuth

        signed.auth = HttpxAuth.of(signer([_base(signed)]))
    elif _is(client, ("werkzeug.test",), ("Client",)):
        signed.application = _SignedWsgi(signed.application, signer())
    elif _is(client, ("django.test.client", "django.test"), ("Client",)):
        signed.handler = _SignedWsgi(signed.handler, signer())
    elif _is(client, ("django.test.client", "django.test"), ("AsyncClient",)):
        signed.handler = _SignedScope(signed.handler, signer())
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


class _SignedWsgi:
    """A WSGI application, or Django's test handler, that gets signed requests. Otherwise it is the one inside."""

    def __init__(self, inner: Any, signer: Signer) -> None:
        self._inner = inner
        self._signer = signer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __call__(self, environ: MutableMapping[str, Any], *start_response: Any) -> Any:
        _sign_environ(self._signer, environ)
        return self._inner(environ, *start_response)


def _sign_environ(signer: Signer, environ: MutableMapping[str, Any]) -> None:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)) if signer.needs_body else b""
    path = (environ.get("SCRIPT_NAME", "") + environ["PATH_INFO"]).encode("latin-1").decode("utf-8", "replace")
    content_type, cookie = environ.get("CONTENT_TYPE", ""), environ.get("HTTP_COOKIE", "")
    query = environ.get("QUERY_STRING", "")
    signed = signer.sign(Outgoing(environ["REQUEST_METHOD"], path, query, content_type, cookie, body))
    environ["QUERY_STRING"] = signed.query
    for name, text in signed.headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = text
    if signer.needs_body:
        sent = body if signed.body is None else signed.body
        environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(sent), str(len(sent))


class _SignedScope:
    """The handler of Django's `AsyncClient`, that gets signed requests."""

    def __init__(self, inner: Any, signer: Signer) -> None:
        self._inner = inner
        self._signer = signer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def __call__(self, scope: MutableMapping[str, Any]) -> Any:
        _sign_scope(self._signer, scope)
        return await self._inner(scope)


def _sign_scope(signer: Signer, scope: MutableMapping[str, Any]) -> None:
    headers = {name.decode("latin-1").lower(): text.decode("latin-1") for name, text in scope["headers"]}
    body = scope["_body_file"].read() if signer.needs_body and "_body_file" in scope else b""
    content_type, cookie = headers.get("content-type", ""), headers.get("cookie", "")
    outgoing = Outgoing(scope["method"], scope["path"], scope["query_string"], content_type, cookie, body)
    signed = signer.sign(outgoing)
    headers.update({name.lower(): text for name, text in signed.headers.items()})
    scope["query_string"] = signed.query
    if signer.needs_body:
        from django.test.client import FakePayload

        sent = body if signed.body is None else signed.body
        scope["_body_file"], headers["content-length"] = FakePayload(sent), str(len(sent))
    scope["headers"] = [(name.encode("latin-1"), text.encode("latin-1")) for name, text in headers.items()]
