from typing import Annotated

from fastapi import Cookie, FastAPI, Form, Header, Request
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

from acceptance.differential.apps import BODY_METHODS, reply_of, reply_of_bytes


class Document(BaseModel):
    a: str | int | None = None


app = FastAPI(openapi_url=None, default_response_class=PlainTextResponse)


@app.get("/query")
async def query(a: str | None = None) -> str:
    return reply_of(a)


@app.get("/header")
async def header(x_sig: Annotated[str | None, Header()] = None) -> str:
    return reply_of(x_sig)


@app.get("/cookie")
async def cookie(a: Annotated[str | None, Cookie()] = None) -> str:
    return reply_of(a)


@app.api_route("/form", methods=BODY_METHODS)
async def form(a: Annotated[str | None, Form()] = None) -> str:
    return reply_of(a)


@app.api_route("/json", methods=BODY_METHODS)
async def document(body: Document) -> str:
    return reply_of(body.a)


@app.api_route("/raw", methods=BODY_METHODS)
async def raw(request: Request) -> str:
    return reply_of_bytes(await request.body())


@app.get("/p/{a}/c")
async def path(a: str) -> str:
    return reply_of(a)
