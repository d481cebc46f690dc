import falcon

from acceptance.differential.apps import reply_of, reply_of_bytes


class Query:
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.text = reply_of(req.get_param("a"))


class Header:
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.text = reply_of(req.get_header("X-Sig"))


class Cookie:
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.text = reply_of(req.cookies.get("a"))


class Form:
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        fields = req.get_media()
        if not isinstance(fields, dict):
            fields = {part.name: part.text for part in fields if part.name == "a"}
        resp.text = reply_of(fields.get("a"))

    on_get = on_put = on_patch = on_delete = on_post


class Document:
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.text = reply_of(req.get_media().get("a"))

    on_get = on_put = on_patch = on_delete = on_post


class Raw:
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.text = reply_of_bytes(req.bounded_stream.read())

    on_get = on_put = on_patch = on_delete = on_post


class Path:
    def on_get(self, req: falcon.Request, resp: falcon.Response, a: str) -> None:
        resp.text = reply_of(a)


app = falcon.App(media_type=falcon.MEDIA_TEXT)
app.add_route("/query", Query())
app.add_route("/header", Header())
app.add_route("/cookie", Cookie())
app.add_route("/form", Form())
app.add_route("/json", Document())
app.add_route("/raw", Raw())
app.add_route("/p/{a}/c", Path())
