"""The check alone: what the guard reads and judges, and what its peers verify of the same 22 bytes."""

import json
from collections.abc import Callable, Iterator

from hmac_guard.asgi.express import SCOPE
from hmac_guard.wsgi.express import ENVIRON

from benchmarks import peers
from benchmarks.harness import Row, called
from benchmarks.samples import SECRET, SHAPES, Shape, one_by_json
from hmac_guard import Guard, Keyring
from hmac_guard.asgi.body import Body
from hmac_guard.asgi.request import AsgiRequest, HeaderNames
from hmac_guard.core.request import Request
from hmac_guard.wsgi.request import WsgiRequest


def groups() -> Iterator[list[Row]]:
    for shape in SHAPES:
        yield [Row(f"guard, {door}: {shape.name}", called(read_and_judge(shape, door))) for door in ("ASGI", "WSGI")]
    yield [json_loads()]
    for name, verify in peers.verifiers().items():
        yield [Row(name, called(verify))]


def read_and_judge(shape: Shape, door: str) -> Callable[[], bool]:
    """The decision on a request that a server has just handed over, without the door around it."""
    guard, keyring, sample = Guard(shape.scheme, SECRET), Keyring(SECRET), shape.sample()
    scope, environ, names = sample.scope(), sample.environ(), HeaderNames.of(shape.scheme)
    raw, read = (scope, guard.reader(SCOPE)) if door == "ASGI" else (environ, guard.reader(ENVIRON))
    body = Body(None)
    body.content = sample.body
    given = (raw, body) if guard.needs_body else (raw,)

    def check() -> bool:
        claim = read(*given)
        if claim is None:
            request: Request = AsgiRequest(scope, names) if door == "ASGI" else WsgiRequest(environ)
            request.body = sample.body
            claim = guard.read(request)
        return guard.judge(claim, keyring, 0.0).verified

    assert check()
    return check


def json_loads(name: str = "json.loads of the same 200 bytes") -> Row:
    body = one_by_json().body
    return Row(name, called(lambda: json.loads(body)))
