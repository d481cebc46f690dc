"""What stands between the middleware and a guarded route: mount points, and middleware of Starlette."""

from typing import Any

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.routing import Mount

from hmac_guard import Guard


def under_mount(guard: Guard, app: FastAPI) -> Any:
    return guard.asgi(Starlette(routes=[Mount("/api", app=app)]))


def under_root_path(guard: Guard, app: FastAPI) -> Any:
    app.root_path = "/api"
    return guard.asgi(app)


def under_base_http_middleware(guard: Guard, app: FastAPI, *, reads_body: bool = False) -> Any:
    async def dispatch(request: Any, call_next: Any) -> Any:
        if reads_body:
            await request.body()
        return await call_next(request)

    app.add_middleware(BaseHTTPMiddleware, dispatch=dispatch)
    return guard.asgi(app)
