from bottle import Bottle, request

from acceptance.differential.apps import BODY_METHODS, told, told_bytes


def query() -> str:
    return told(request.query.get("a"))


def header() -> str:
    return told(request.get_header("X-Sig"))


def cookie() -> str:
    return told(request.get_cookie("a"))


def form() -> str:
    return told(request.forms.get("a"))


def document() -> str:
    return told(request.json.get("a"))


def raw() -> str:
    return told_bytes(request.body.read())


def path(a: str) -> str:
    return told(a)


app = Bottle()
app.route("/query", callback=query)
app.route("/header", callback=header)
app.route("/cookie", callback=cookie)
app.route("/form", BODY_METHODS, form)
app.route("/json", BODY_METHODS, document)
app.route("/raw", BODY_METHODS, raw)
app.route("/p/<a>/c", callback=path)
