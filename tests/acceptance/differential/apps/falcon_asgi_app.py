import falcon
import falcon.asgi

from acceptance.differential.apps import reply_of, reply_of_bytes


class Query:
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        resp.text = reply_of(req.get_param("a"))


class Header:
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        resp.text = reply_of(req.get_header("X-Sig"))


class Cookie:
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        resp.text = reply_of(req.cookies.get("a"))


class Form:
    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        fields = await req.get_media()
        if not isinstance(fields, dict):
            fields = {part.name: await part.text async for part in fields if part.name == "a"}
        resp.text = reply_of(fields.get("a"))

    on_get = on_put = on_patch = on_delete = on_post


class Document:
    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        resp.text = reply_of((await req.get_media()).get("a"))

    on_get = on_put = on_patch = on_delete = on_post


class Raw:
    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        resp.text = reply_of_bytes(await req.stream.read())

    on_get = on_put = on_patch = on_delete = on_post


class Path:
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, a: str) -> None:
        resp.text = reply_of(a)


app = falcon.asgi.App(media_type=falcon.MEDIA_TEXT)
app.add_route("/query", Query())
app.add_route("/header", Header())
app.add_route("/cookie", Cookie())
app.add_route("/form", Form())
app.add_route("/json", Document())
app.add_route("/raw", Raw())
app.add_route("/p/{a}/c", Path())
