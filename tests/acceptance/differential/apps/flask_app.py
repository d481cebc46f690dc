from flask import Flask, request

from acceptance.differential.apps import BODY_METHODS, told, told_bytes

app = Flask(__name__)


@app.get("/query")
def query() -> str:
    return told(request.args.get("a"))


@app.get("/header")
def header() -> str:
    return told(request.headers.get("X-Sig"))


@app.get("/cookie")
def cookie() -> str:
    return told(request.cookies.get("a"))


@app.route("/form", methods=BODY_METHODS)
def form() -> str:
    return told(request.form.get("a"))


@app.route("/json", methods=BODY_METHODS)
def document() -> str:
    return told(request.get_json().get("a"))


@app.route("/raw", methods=BODY_METHODS)
def raw() -> str:
    return told_bytes(request.get_data())


@app.get("/p/<a>/c")
def path(a: str) -> str:
    return told(a)
