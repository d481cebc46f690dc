"""The good and bad requests of the demo, with the expected answer to each."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from hmac_guard.cli.demo.samples import (
    NANGO_JSON,
    NANGO_QUERY,
    ORDERS_FORM,
    ORDERS_JSON,
    SAMPLES,
    SUPRSEND_JSON,
    SUPRSEND_QUERY,
    Sample,
)
from hmac_guard.cli.demo.sending import Request

Keys = Mapping[str, str]


class Case(NamedTuple):
    """One request to one application, and the expected answer.

    `ids` are the ids that the guard must verify, or None if it must refuse the request.
    """

    app: str
    title: str
    request: Request
    reason: str = "verified"
    status: int = 200
    ids: Mapping[str, str] | None = None


def all_cases(keys: Keys) -> list[Case]:
    """Return all requests of the demo, ordered by application."""
    cases = [case for sample in SAMPLES for case in _usual(sample, keys)]
    cases += [*_flask(keys), *_fastapi(keys), *_django(keys)]
    return sorted(cases, key=lambda case: [sample.app for sample in SAMPLES].index(case.app))


def _proven(sample: Sample, title: str, request: Request) -> Case:
    return Case(sample.app, title, request, ids=sample.ids)


def _refused(sample: Sample, title: str, request: Request, reason: str, status: int = 401) -> Case:
    return Case(sample.app, title, request, reason, status)


def _usual(sample: Sample, keys: Keys) -> Iterator[Case]:
    """Yield the requests that are sent for every sample."""
    signature = sample.sign(keys, sample.ids)
    last = list(sample.ids)[-1]
    name = sample.name
    yield _proven(sample, f"{name}, signed", sample.signed(keys))
    another = sample.request({**sample.ids, last: sample.ids[last] + "0", "signature": signature})
    yield _refused(sample, f"{name}, another {last}", another, "invalid_signature")
    tampered = sample.request({**sample.ids, "signature": _tampered(signature)})
    yield _refused(sample, f"{name}, tampered signature", tampered, "invalid_signature")
    yield _refused(sample, f"{name}, not signed", sample.request(sample.ids), "missing_signature")


def _tampered(signature: str) -> str:
    return ("0" if signature[0] != "0" else "1") + signature[1:]


def _flask(keys: Keys) -> Iterator[Case]:
    query, body = NANGO_QUERY.signed(keys), NANGO_JSON.signed(keys)
    signature = NANGO_QUERY.sign(keys, NANGO_QUERY.ids)

    def target(old: str, new: str) -> Request:
        return query._replace(target=query.target.replace(old, new))

    yield _refused(NANGO_QUERY, "path, another integration_id", target("github", "gitlab"), "invalid_signature")
    yield _refused(NANGO_QUERY, "path, with '..' in it", target("/github", "/x/../github"), "malformed")
    yield _refused(NANGO_QUERY, "query, an id twice", target("?", "?connection_id=user-7&"), "duplicate")
    yield _refused(
        NANGO_QUERY, "query, an id twice, once escaped", target("?", "?%63onnection_id=user-7&"), "duplicate"
    )
    yield _refused(NANGO_QUERY, "query, an id that is not UTF-8", target("user-42", "user-%FF"), "malformed")
    yield _refused(
        NANGO_QUERY, "query, signature in capitals", target(signature, signature.upper()), "invalid_signature"
    )
    shifted = NANGO_QUERY.signed(keys, integration_id="github:user", connection_id="42")
    yield _refused(NANGO_QUERY, "path, an id with the separator", shifted, "ambiguous")
    both = body._replace(target=query.target)
    yield _refused(NANGO_JSON, "path and JSON body at once", both, "conflict")
    twice = body._replace(body=body.body.replace(b"{", b'{"connection_id": "user-7", '))
    yield _refused(NANGO_JSON, "JSON body, a key twice", twice, "malformed")
    yield _refused(NANGO_JSON, "JSON body, cut off", body._replace(body=body.body[:-1]), "malformed")
    yield _proven(NANGO_JSON, "JSON body, signed, in chunks", _chunked(body))


def _fastapi(keys: Keys) -> Iterator[Case]:
    query, body = SUPRSEND_QUERY.signed(keys), SUPRSEND_JSON.signed(keys)
    padded = query._replace(target=query.target + "%3D")
    yield _refused(SUPRSEND_QUERY, "query, padded signature", padded, "invalid_signature")
    unnamed = query._replace(target=query.target.replace("b8278572", "").replace("-2929-4af6-be2b-cdc2bc1f6256", ""))
    yield _refused(SUPRSEND_QUERY, "query, an empty id", unnamed, "missing_id")
    both = body._replace(target=query.target.replace("notifications", "bell-clicked"))
    yield _refused(SUPRSEND_JSON, "query and JSON body at once", both, "conflict")
    number = body._replace(body=b'{"distinct_id": 42, "subscriber_id": "0"}')
    yield _refused(SUPRSEND_JSON, "JSON body, a number as id", number, "malformed")
    packed = body._replace(headers=(*body.headers, "Content-Encoding: gzip"))
    yield _refused(SUPRSEND_JSON, "JSON body, compressed", packed, "unsupported_body", 415)
    large = body._replace(headers=(*body.headers, "Content-Length: 1000000000"), body=b"")
    yield _refused(SUPRSEND_JSON, "JSON body, said to be 1 GB", large, "body_too_large", 413)
    yield _proven(SUPRSEND_JSON, "JSON body, signed, in chunks", _chunked(body))


def _django(keys: Keys) -> Iterator[Case]:
    body, form = ORDERS_JSON.signed(keys), ORDERS_FORM.signed(keys)

    def tenant(*lines: str) -> Request:
        return body._replace(headers=(*lines, *body.headers[1:]))

    yield _refused(ORDERS_JSON, "headers, another tenant", tenant("X-Tenant: globex"), "invalid_signature")
    yield _refused(ORDERS_JSON, "headers, an unknown tenant", tenant("X-Tenant: unknown"), "unknown_key")
    yield _refused(ORDERS_JSON, "headers, a tenant twice", tenant("X-Tenant: acme", "X-Tenant: acme"), "duplicate")
    twice = form._replace(body=b"order_id=7&" + form.body)
    yield _refused(ORDERS_FORM, "form, a field twice", twice, "duplicate")
    plain = form._replace(headers=(*form.headers[:-1], "Content-Type: text/plain"))
    yield _refused(ORDERS_FORM, "form, said to be plain text", plain, "unsupported_body", 415)
    yield _proven(ORDERS_FORM, "headers and multipart form, signed", _multipart(form, "order_id", "42"))


def _chunked(request: Request) -> Request:
    pieces = [request.body[:9], request.body[9:], b""]
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return request._replace(headers=(*request.headers, "Transfer-Encoding: chunked"), body=body)


def _multipart(request: Request, field: str, value: str) -> Request:
    headers = (*request.headers[:-1], "Content-Type: multipart/form-data; boundary=b0undary")
    body = f'--b0undary\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n--b0undary--\r\n'
    return request._replace(headers=headers, body=body.encode())
