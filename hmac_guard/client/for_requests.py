"""The signer for requests."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from requests.auth import AuthBase

from hmac_guard.client.outgoing import Outgoing
from hmac_guard.client.signer import Signing


class RequestsAuth(Signing, AuthBase):
    """Signs the requests of requests.

    The arguments, redirects and errors are those of `HttpxAuth`.

    Example::

        auth = RequestsAuth(INBOX, "s3cret of 32 bytes or more ...", ["https://api.example.com"], user_id="u1")
        requests.get("https://api.example.com/inbox", auth=auth)
    """

    def __call__(self, request: Any) -> Any:
        if self.signs_for(request.url):
            plain = self.sign(request)
            request.register_hook("response", _Redirects(self, plain))
        return request

    def sign(self, request: Any) -> "_Plain":
        """Sign a prepared request. Return how it was before."""
        url, headers = urlsplit(request.url), request.headers
        plain = _Plain(headers.copy(), request.body)
        body = _bytes_of(request.body) if self.signer.needs_body else b""
        lines = {name: _text_of(headers[name]) for name in self.signer.names if name in headers}
        signed = self.signer.sign(Outgoing(request.method, unquote(url.path), url.query, lines, body))
        request.url = urlunsplit(url._replace(query=signed.query))
        for name in signed.removed:
            headers.pop(name, None)
        headers.update(signed.headers)
        sent = body if signed.body is None else signed.body
        if sent or signed.body is not None:  # Bytes, also for text: with urllib3 1.26, text is sent as Latin-1.
            request.body = sent
            headers["Content-Length"] = str(len(sent))
        plain.placed.update(signed.headers, signed.removed)
        return plain


@dataclass(eq=False, repr=False)
class _Plain:
    """A request before it was signed: its headers and its body, and the names of the headers that were changed."""

    headers: Mapping[str, str]
    body: Any
    placed: set[str] = field(default_factory=set)

    def restore(self, request: Any) -> None:
        for name in [*self.placed, "Content-Length"]:
            request.headers.pop(name, None)
            if name in self.headers:
                request.headers[name] = self.headers[name]
        request.body = self.body


class _Redirects:
    """What follows a response to a signed request. requests copies the hook to each request that follows a redirect."""

    def __init__(self, auth: RequestsAuth, plain: _Plain) -> None:
        self._auth = auth
        self._plain = plain
        self._was_redirected = False
        self._may_sign_again = True

    def __call__(self, response: Any, **options: Any) -> Any:
        request = response.request
        # A server that gets no signatures must not choose what is signed.
        self._may_sign_again &= self._auth.signs_for(request.url)
        if response.is_redirect:
            if not self._was_redirected:
                self._plain.restore(request)  # requests makes the next request from a copy of this one.
            self._was_redirected = True
        elif response.status_code == 401 and self._was_redirected and self._may_sign_again and is_whole(request.body):
            self._may_sign_again = False
            return self._send_again(response, options)
        return response

    def _send_again(self, response: Any, options: Mapping[str, Any]) -> Any:
        """As `requests.auth.HTTPDigestAuth` does it."""
        response.content  # noqa: B018  The connection is free only after its response was read.
        response.close()
        again = response.request.copy()
        self._auth.sign(again)
        answer = response.connection.send(again, **options)
        answer.request = again
        return answer


def _text_of(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def _bytes_of(body: Any) -> bytes:
    if isinstance(body, str):
        return body.encode()
    if body is None or isinstance(body, bytes):
        return body or b""
    raise ValueError("RequestsAuth: the scheme signs or fills the body, so give it as bytes or text, not as a file")


def is_whole(body: Any) -> bool:
    """Return whether a body can be sent twice: a file is read once."""
    return body is None or isinstance(body, (bytes, str))
