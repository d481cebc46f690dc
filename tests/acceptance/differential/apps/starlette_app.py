from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from acceptance.differential.apps import BODY_METHODS, reply_of, reply_of_bytes


async def query(request: Request) -> PlainTextResponse:
    return PlainTextResponse(reply_of(request.query_params.get("a")))


async def header(request: Request) -> PlainTextResponse:
    return PlainTextResponse(reply_of(request.headers.get("X-Sig")))


async def cookie(request: Request) -> PlainTextResponse:
    return PlainTextResponse(reply_of(request.cookies.get("a")))


async def form(request: Request) -> PlainTextResponse:
    async with request.form() as fields:
        return PlainTextResponse(reply_of(fields.get("a")))


async def document(request: Request) -> PlainTextResponse:
    return PlainTextResponse(reply_of((await request.json()).get("a")))


async def raw(request: Request) -> PlainTextResponse:
    return PlainTextResponse(reply_of_bytes(await request.body()))


async def path(request: Request) -> PlainTextResponse:
    return PlainTextResponse(reply_of(request.path_params["a"]))


app = Starlette(
    routes=[
        Route("/query", query),
        Route("/header", header),
        Route("/cookie", cookie),
        Route("/form", form, methods=BODY_METHODS),
        Route("/json", document, methods=BODY_METHODS),
        Route("/raw", raw, methods=BODY_METHODS),
        Route("/p/{a}/c", path),
    ]
)
