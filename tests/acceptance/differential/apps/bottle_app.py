from bottle import Bottle, request

from acceptance.differential.apps import BODY_METHODS, reply_of, reply_of_bytes


def query() -> str:
    return reply_of(request.query.get("a"))


def header() -> str:
    return reply_of(request.get_header("X-Sig"))


def cookie() -> str:
    return reply_of(request.get_cookie("a"))


def form() -> str:
    return reply_of(request.forms.get("a"))


def document() -> str:
    return reply_of(request.json.get("a"))


def raw() -> str:
    return reply_of_bytes(request.body.read())


def path(a: str) -> str:
    return reply_of(a)


app = Bottle()
app.route("/query", callback=query)
app.route("/header", callback=header)
app.route("/cookie", callback=cookie)
app.route("/form", BODY_METHODS, form)
app.route("/json", BODY_METHODS, document)
app.route("/raw", BODY_METHODS, raw)
app.route("/p/<a>/c", callback=path)
