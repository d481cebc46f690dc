from flask import Flask, request

from acceptance.differential.apps import BODY_METHODS, reply_of, reply_of_bytes

app = Flask(__name__)


@app.get("/query")
def query() -> str:
    return reply_of(request.args.get("a"))


@app.get("/header")
def header() -> str:
    return reply_of(request.headers.get("X-Sig"))


@app.get("/cookie")
def cookie() -> str:
    return reply_of(request.cookies.get("a"))


@app.route("/form", methods=BODY_METHODS)
def form() -> str:
    return reply_of(request.form.get("a"))


@app.route("/json", methods=BODY_METHODS)
def document() -> str:
    return reply_of(request.get_json().get("a"))


@app.route("/raw", methods=BODY_METHODS)
def raw() -> str:
    return reply_of_bytes(request.get_data())


@app.get("/p/<a>/c")
def path(a: str) -> str:
    return reply_of(a)
