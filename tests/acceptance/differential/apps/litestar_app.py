from typing import Annotated, Any

from litestar import Litestar, MediaType, Request, get, route
from litestar.params import CookieParameter, FromPath, FromQuery, HeaderParameter

from acceptance.differential.apps import BODY_METHODS, reply_of, reply_of_bytes


@get("/query", media_type=MediaType.TEXT)
async def query(a: FromQuery[str | None] = None) -> str:
    return reply_of(a)


@get("/header", media_type=MediaType.TEXT)
async def header(x_sig: Annotated[str | None, HeaderParameter(name="X-Sig")] = None) -> str:
    return reply_of(x_sig)


@get("/cookie", media_type=MediaType.TEXT)
async def cookie(crumb: Annotated[str | None, CookieParameter(name="a")] = None) -> str:
    return reply_of(crumb)


@route("/form", http_method=BODY_METHODS, status_code=200, media_type=MediaType.TEXT)
async def form(request: Request[Any, Any, Any]) -> str:
    return reply_of((await request.form()).get("a"))


@route("/json", http_method=BODY_METHODS, status_code=200, media_type=MediaType.TEXT)
async def document(request: Request[Any, Any, Any]) -> str:
    return reply_of((await request.json()).get("a"))


@route("/raw", http_method=BODY_METHODS, status_code=200, media_type=MediaType.TEXT)
async def raw(request: Request[Any, Any, Any]) -> str:
    return reply_of_bytes(await request.body())


@get("/p/{a:str}/c", media_type=MediaType.TEXT)
async def path(a: FromPath[str]) -> str:
    return reply_of(a)


app = Litestar([query, header, cookie, form, document, raw, path], openapi_config=None, logging_config=None)
