"""The applications that `benchmarks.served` puts behind real servers, bare and guarded."""

import logging
from typing import Any

import flask
from fastapi import FastAPI

from benchmarks.samples import BY_JSON, BY_QUERY, SECRET
from hmac_guard import Guard

logging.getLogger("hmac_guard").addHandler(logging.NullHandler())
QUERY, JSON = Guard(BY_QUERY, SECRET), Guard(BY_JSON, SECRET)


def _fastapi() -> FastAPI:
    app = FastAPI()

    @app.get("/connect")
    async def read() -> dict[str, str]:
        return {"answer": "reached"}

    @app.post("/connect")
    async def write(document: dict[str, Any]) -> dict[str, str]:
        return {"answer": document["connection_id"]}

    return app


def _flask() -> flask.Flask:
    app = flask.Flask("benchmarks")

    @app.get("/connect")
    def read() -> dict[str, str]:
        return {"answer": "reached"}

    @app.post("/connect")
    def write() -> dict[str, str]:
        return {"answer": flask.request.get_json()["connection_id"]}

    return app


fastapi_bare = _fastapi()
fastapi_by_query = QUERY.asgi(fastapi_bare)
fastapi_by_json = JSON.asgi(fastapi_bare)
flask_bare = _flask()
flask_by_query = QUERY.wsgi(flask_bare)
flask_by_json = JSON.wsgi(flask_bare)
