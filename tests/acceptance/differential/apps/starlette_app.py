from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from acceptance.differential.apps import BODY_METHODS, told, told_bytes


async def query(request: Request) -> PlainTextResponse:
    return PlainTextResponse(told(request.query_params.get("a")))


async def header(request: Request) -> PlainTextResponse:
    return PlainTextResponse(told(request.headers.get("X-Sig")))


async def cookie(request: Request) -> PlainTextResponse:
    return PlainTextResponse(told(request.cookies.get("a")))


async def form(request: Request) -> PlainTextResponse:
    async with request.form() as fields:
        return PlainTextResponse(told(fields.get("a")))


async def document(request: Request) -> PlainTextResponse:
    return PlainTextResponse(told((await request.json()).get("a")))


async def raw(request: Request) -> PlainTextResponse:
    return PlainTextResponse(told_bytes(await request.body()))


async def path(request: Request) -> PlainTextResponse:
    return PlainTextResponse(told(request.path_params["a"]))


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
