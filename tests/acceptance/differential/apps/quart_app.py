from quart import Quart, request

from acceptance.differential.apps import BODY_METHODS, reply_of, reply_of_bytes

app = Quart(__name__)


@app.get("/query")
async def query() -> str:
    return reply_of(request.args.get("a"))


@app.get("/header")
async def header() -> str:
    return reply_of(request.headers.get("X-Sig"))


@app.get("/cookie")
async def cookie() -> str:
    return reply_of(request.cookies.get("a"))


@app.route("/form", methods=BODY_METHODS)
async def form() -> str:
    return reply_of((await request.form).get("a"))


@app.route("/json", methods=BODY_METHODS)
async def document() -> str:
    return reply_of((await request.get_json()).get("a"))


@app.route("/raw", methods=BODY_METHODS)
async def raw() -> str:
    return reply_of_bytes(await request.get_data(as_text=False))  # type: ignore[arg-type]


@app.get("/p/<a>/c")
async def path(a: str) -> str:
    return reply_of(a)
