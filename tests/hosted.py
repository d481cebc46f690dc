"""Two guarded applications for hosts and clients, and the requests that they are sent."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import httpx
from flask import Flask, jsonify, request
from orders import KEY
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from hmac_guard import Form, Guard, Header, Json, Query, Scheme, verdict_from

SCHEME = Scheme(
    name="orders",
    ids={"order_id": Query("order_id") | Header("X-Order") | Json("/order_id") | Form("order_id")},
    message="{order_id}",
    signature=Query("sig") | Header("X-Signature") | Json("/sig") | Form("sig"),
)
GUARD = Guard(SCHEME, KEY)
METHODS = ["GET", "POST"]
PHOTO = b"\x89PNG\r\n\x1a\n\x00--"


@dataclass
class Asked:
    """A request, as a user of a client would write it down."""

    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    document: dict[str, str] | None = None
    form: dict[str, str] | None = None
    photo: bytes = b""

    @property
    def method(self) -> str:
        return "GET" if self.document is None and self.form is None else "POST"

    def encoded(self) -> httpx.Request:
        """The request as a client sends it to a host."""
        files = {"photo": ("photo.png", self.photo, "image/png")} if self.photo else None
        encoded = httpx.Request(
            self.method,
            "https://api.example/orders",
            params=self.query,
            headers=self.headers,
            json=self.document,
            data=self.form,
            files=files,
        )
        encoded.read()
        return encoded


#: In each place, the id that is sent and signed; a header carries ASCII alone.
PLACES = {
    "query": "größe 42/+&",
    "header": "order/42",
    "JSON": "größe 42/+&",
    "form": "größe 42/+&",
    "upload": "größe 42",
}


def asked(place: str, *, forged: bool = False) -> Asked:
    order_id = PLACES[place]
    signature = SCHEME.sign(KEY, order_id="41" if forged else order_id)
    fields = {"order_id": order_id, "sig": signature}
    return {
        "query": Asked(query=fields),
        "header": Asked(headers={"X-Order": order_id, "X-Signature": signature}),
        "JSON": Asked(document=fields),
        "form": Asked(form=fields),
        "upload": Asked(form=fields, photo=PHOTO),
    }[place]


class Received(NamedTuple):
    """A status, and what the application answered: the verified ids, the id that it reads itself, the upload."""

    status: int
    body: bytes

    def said(self) -> Any:
        return json.loads(self.body)


def answer(verdict: Any, query: Any, headers: Any, document: Any, form: Any, photo: bytes) -> dict[str, Any]:
    read = query.get("order_id") or headers.get("X-Order") or (document or form).get("order_id")
    return {"proven": dict(verdict.ids), "read": read, "photo": len(photo)}


flask_app = Flask("hosts")


@flask_app.route("/orders", methods=METHODS)
def flask_view() -> Any:
    document = request.get_json() if request.is_json else None
    photo = request.files["photo"].read() if request.files else b""
    return jsonify(answer(verdict_from(request), request.args, request.headers, document, request.form, photo))


async def starlette_view(request: Request) -> JSONResponse:
    document = await request.json() if request.headers.get("content-type") == "application/json" else None
    async with request.form() as form:
        photo = await form["photo"].read() if "photo" in form else b""  # type: ignore[union-attr]
    return JSONResponse(answer(verdict_from(request), request.query_params, request.headers, document, form, photo))


starlette_app = Starlette(routes=[Route("/orders", starlette_view, methods=METHODS)])


WSGI = GUARD.wsgi(flask_app)
ASGI = GUARD.asgi(starlette_app)


def check(send: Callable[[Asked], Received], place: str) -> None:
    """The application reads the id that is proven, and a forged request does not reach it."""
    good, forged = send(asked(place)), send(asked(place, forged=True))

    assert good.status == 200, good
    order_id, photo = PLACES[place], len(PHOTO) if place == "upload" else 0
    assert good.said() == {"proven": {"order_id": order_id}, "read": order_id, "photo": photo}
    assert forged.status == 401
    assert forged.said()["error"]["code"] == "invalid_signature"
