"""The signer for httpx and httpx2, with sync and async clients."""

from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hmac_guard.client.outgoing import Outgoing
from hmac_guard.client.signer import Signer, Signing
from hmac_guard.core.hidden import hide


def _import(name: str) -> ModuleType | None:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return None


_LIBRARIES = [library for library in map(_import, ("httpx", "httpx2")) if library is not None]
if not _LIBRARIES:
    raise ModuleNotFoundError("no httpx and no httpx2", name="httpx or httpx2")

if TYPE_CHECKING:
    import httpx
    import httpx2

    class _Auth(httpx.Auth, httpx2.Auth):  # type: ignore[misc]  # The two declare other types of requests.
        ...

else:
    # Each library accepts only its own class.
    _Auth = type("_Auth", tuple(library.Auth for library in _LIBRARIES), {})


class HttpxAuth(Signing, _Auth):  # type: ignore[misc]  # As of `_Auth`.
    """Signs the requests of an httpx or httpx2 client.

    An id that a request has already in one of its places is sent there alone. If it is another one, in a place where
    the signer does not replace it, the request raises `ValueError`. An old signature is removed.

    A redirect is followed without the placed headers, cookies and fields, so that no other server gets them. If a
    redirect ends at one of the origins and is answered 401, the request is signed again for its new URL and sent once
    more.

    Args:
        scheme: What is signed, and where it is sent.
        key: The key: a `Key`, text or bytes.
        origins: The origins for which requests are signed, such as `["https://api.example.com"]`. A request to any
            other origin is sent as it is.
        tenant: The tenant's name, for a scheme that has one.
        clock: Returns the Unix time of signing; None is the system's clock.
        ids: The ids: text, or a function that returns the text for each request. Give them as keywords, or as a mapping
            if an id has the name of an option. An id that is not given is read from the path if it may be sent there,
            and from a signed body if it can be sent only in a body or a path. If neither applies, an id `nonce` is a
            new random text for each request.

    Raises:
        ConfigError: No request could be signed with these arguments.

    Example::

        auth = HttpxAuth(INBOX, "s3cret of 32 bytes or more ...", ["https://api.example.com"], user_id="u1")
        httpx.get("https://api.example.com/inbox", auth=auth)
    """

    @property
    def requires_request_body(self) -> bool:  # type: ignore[override]  # httpx declares an attribute.
        return self.signer.needs_body

    def auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """Sign a request, and once more after a redirect."""
        if not self.signs_for(str(request.url)):
            yield request
            return
        body = request.content if self.requires_request_body else b""
        # Hidden: it has the signature, and error trackers record the variables of a frame.
        signed = hide(_signed(self.signer, request, body))
        response = yield signed.get()
        last = response.request
        if (
            response.status_code == 401
            and last is not signed.get()
            and self._may_sign_again([*response.history, response])
        ):
            yield _signed(self.signer, last, body if last.method == request.method else b"")

    def _may_sign_again(self, responses: Any) -> bool:
        """Return whether only servers that get signatures anyway have led the request to its last URL."""
        hops = [response.request for response in responses]
        return all(self.signs_for(str(hop.url)) for hop in hops) and _can_be_sent_again(hops[-1])


def _signed(signer: Signer, request: Any, body: bytes) -> Any:
    """Return a signed request in the place of this one."""
    library, url, headers = _library_of(request), request.url, request.headers
    lines = {name: headers[name] for name in signer.names if name in headers}
    signed = signer.sign(Outgoing(request.method, url.path, url.query.decode("ascii"), lines, body))
    placed, stream, leave = dict(signed.headers), request.stream, None
    if signed.body is not None:
        placed["Content-Length"] = str(len(signed.body))
        stream = _stream_class(library)(signed.body, body)
        leave = stream.leave
    made = library.Request(
        request.method,
        url.copy_with(query=signed.query.encode("ascii") or None),
        headers=headers,
        stream=stream,
        extensions=request.extensions,
    )
    made.headers = _headers_class(library)(made.headers, placed, signed.removed, leave)
    if signed.body is not None:
        made._content = signed.body  # So that `request.read()` in a hook does not replace the stream.
    return made


def _library_of(request: Any) -> Any:
    return next(library for library in _LIBRARIES if isinstance(request, library.Request))


def _can_be_sent_again(request: Any) -> bool:
    """Return whether the body is there still: that of a generator is read once."""
    library = _library_of(request)
    return isinstance(request.stream, (library.ByteStream, _stream_class(library)))


@cache
def _headers_class(library: Any) -> Any:
    class PlacedHeaders(library.Headers):  # type: ignore[misc]  # A class of either library.
        """Headers and what was placed into them. A copy, as a redirect makes one, is without what was placed.

        Args:
            plain: The headers without what was placed.
            placed: What was placed.
            removed: The names of the headers that were removed.
            leave: Is called before a redirect makes its copy.
        """

        def __init__(
            self, plain: Any, placed: Mapping[str, str], removed: Iterable[str], leave: Callable[[], None] | None
        ) -> None:
            self._encoding, self._leave = None, leave
            self._plain, self._whole = library.Headers(plain), _with(library.Headers(plain), placed, removed)

        @property
        def _list(self) -> Any:
            # httpx reads this of headers that it makes other headers of. All other reads are of the whole headers.
            if self._leave is not None:
                self._leave()
            return self._plain._list

        @property
        def raw(self) -> Any:
            return self._whole.raw

        def copy(self) -> Any:
            return self._plain.copy()

        def __setitem__(self, name: str, value: str) -> None:
            self._plain[name] = self._whole[name] = value

        def __delitem__(self, name: str) -> None:
            self._plain.pop(name, None)
            del self._whole[name]

        def update(self, headers: Any = None) -> None:
            self._plain.update(headers)
            self._whole.update(headers)

    for name in ("keys", "values", "items", "multi_items", "get", "get_list", *_SPECIAL):
        setattr(PlacedHeaders, name, _of_whole(name))
    return PlacedHeaders


def _with(headers: Any, placed: Mapping[str, str], removed: Iterable[str]) -> Any:
    for name in removed:
        headers.pop(name, None)
    headers.update(placed)
    if "Content-Length" in placed:
        headers.pop("Transfer-Encoding", None)
    return headers


_SPECIAL = ("__getitem__", "__contains__", "__iter__", "__len__", "__eq__")


def _of_whole(name: str) -> Callable[..., Any]:
    def read(self: Any, *arguments: Any, **options: Any) -> Any:
        return getattr(self._whole, name)(*arguments, **options)

    return read


@cache
def _stream_class(library: Any) -> Any:
    # A class of either library, which is known when it runs.
    class PlacedStream(library.SyncByteStream, library.AsyncByteStream):  # type: ignore[misc]
        """A body into which fields were placed.

        A redirect sends the same stream to another URL: `leave` makes it the body as it was before.
        """

        def __init__(self, placed: bytes, plain: bytes) -> None:
            self._sent, self._plain = placed, plain

        def leave(self) -> None:
            self._sent = self._plain

        def __iter__(self) -> Iterator[bytes]:
            yield self._sent

        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield self._sent

    return PlacedStream
