"""Where a framework, by its own design or fault, does not read what stands in a request. Everything else is a finding.

The rows are used by the tests, and `python -m acceptance.differential.deviations` makes `docs/frameworks-differ.md` of
them.
"""

import textwrap
from collections.abc import Callable
from contextlib import suppress
from http.cookies import CookieError, SimpleCookie
from typing import NamedTuple

from support import Sent

from acceptance.differential.compare import Finding

ASGI_FRAMEWORKS = ("Quart", "Django (ASGI)", "Starlette", "FastAPI", "Litestar")


class Deviation(NamedTuple):
    """One row: which frameworks read what instead, and why; `examples` has one request for each source that shows it.

    `applies` tells whether the row explains a finding.
    """

    frameworks: tuple[str, ...]
    examples: dict[str, Sent]
    what: str
    why: str
    instead: str
    known: str
    applies: Callable[[Finding], bool]


def _is_latin_1(finding: Finding) -> bool:
    return finding.answer == ("read", finding.verified.encode().decode("latin-1"))


def _is_lost_to_the_standard_library(finding: Finding) -> bool:
    cookies: SimpleCookie = SimpleCookie()
    with suppress(CookieError):
        cookies.load("; ".join(value for name, value in finding.sent.headers if name.lower() == "cookie"))
    return finding.answer.kind == "absent" and "a" not in cookies


def _is_no_post(finding: Finding) -> bool:
    return finding.answer.kind == "absent" and finding.sent.method != "POST"


def _is_spelled_with_an_underscore(finding: Finding) -> bool:
    names = {name.lower() for name, _ in finding.sent.headers}
    return finding.answer.kind == "absent" and "x-sig" not in names and "x_sig" in names


def _is_no_form(finding: Finding) -> bool:
    kinds = [value for name, value in finding.sent.headers if name.lower() == "content-type"]
    return finding.sent.path == "/form" and not any(
        kind.startswith(("application/x-www", "multipart/")) for kind in kinds
    )


def _form(method: str, text: str) -> Sent:
    return Sent(method, "/form", headers=[("Content-Type", "application/x-www-form-urlencoded")], body=text.encode())


def _multipart(method: str, text: str) -> Sent:
    body = f'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n{text}\r\n--B--\r\n'
    return Sent(method, "/form", headers=[("Content-Type", "multipart/form-data; boundary=B")], body=body.encode())


DEVIATIONS = (
    Deviation(
        frameworks=("Bottle",),
        examples={
            "query": Sent("GET", "/query", "a=%C3%A9"),
            "form": _form("POST", "a=%C3%A9"),
            "body-or-query": _form("POST", "a=%C3%A9"),
        },
        what='`request.query.get("a")` and `request.forms.get("a")` show an id like `é`, which is not ASCII, as `Ã©`.',
        why="Item access gives the bytes as WSGI has them, by design; attribute access decodes them.",
        instead='Read `request.query.a`, or `.getunicode("a")`.',
        known="https://github.com/bottlepy/bottle/issues/774",
        applies=_is_latin_1,
    ),
    Deviation(
        frameworks=("Bottle",),
        examples={
            "body-or-query": Sent("POST", "/form", "a=1", [("Content-Type", "image/png")], b"a=2"),
        },
        what="`request.forms` reads a body of any type but multipart as a form. Where an id may be in the query or in "
        "the body, the guard verifies the one in the query and leaves an image alone; `request.forms` may find another "
        "id in that image.",
        why="Bottle takes every type that is not multipart for a form, by design.",
        instead="Look at `request.content_type` before you read `request.forms`.",
        known="https://github.com/bottlepy/bottle/blob/0.13.4/bottle.py",
        applies=_is_no_form,
    ),
    Deviation(
        frameworks=("Bottle",),
        examples={"cookie": Sent("GET", "/cookie", headers=[("Cookie", 'b={"x": 1}; a=1')])},
        what="A cookie of others that the standard library cannot parse hides the cookie of the id: Bottle finds none.",
        why="Bottle uses `http.cookies.SimpleCookie`, which gives up at the first such cookie.",
        instead="Have the id travel in a header, or in the query.",
        known="https://github.com/python/cpython/issues/127195",
        applies=_is_lost_to_the_standard_library,
    ),
    Deviation(
        frameworks=("Django", "Django (ASGI)"),
        examples={"form": _form("PUT", "a=1"), "multipart": _multipart("PUT", "1")},
        what="`request.POST` is empty for every method but POST, so there is no id in the form of a PUT or PATCH.",
        why="Django parses forms for POST alone, by design.",
        instead="Send the form by POST. Django REST framework's `request.data` reads it for every method.",
        known="https://docs.djangoproject.com/en/stable/ref/request-response/#django.http.HttpRequest.POST",
        applies=_is_no_post,
    ),
    Deviation(
        frameworks=ASGI_FRAMEWORKS,
        examples={"header": Sent("GET", "/header", headers=[("X_Sig", "1")])},
        what="A header sent as `X_Sig` is not `X-Sig` to them. The guard takes it for that one: WSGI cannot tell the "
        "two apart, and both interfaces give one verdict. Beside a real `X-Sig` it is a duplicate, and refused.",
        why="ASGI hands on a header's name as it was sent, and most proxies and some servers drop a name with `_`.",
        instead="Send the header with `-`.",
        known="https://nginx.org/en/docs/http/ngx_http_core_module.html#underscores_in_headers",
        applies=_is_spelled_with_an_underscore,
    ),
)


def explained(finding: Finding) -> Deviation | None:
    """The row that explains a finding; None if something is wrong."""
    for row in DEVIATIONS:
        if finding.framework in row.frameworks and finding.source in row.examples and row.applies(finding):
            return row
    return None


INTRODUCTION = """\
# Where frameworks differ

The guard refuses what frameworks read differently: a second value, an odd encoding, a part that only some of them see.
So what it verified is what your framework reads. `make test` checks that with fixed and generated requests, and
`make fuzz-differential` with as many more as you like, for Flask, Quart, Django over WSGI and ASGI, Django REST
framework, Starlette, FastAPI, Litestar, Falcon and Bottle. A framework may still refuse a request by itself.

Two rules follow from that. A body of a type that no source of the scheme reads is refused, unless it is an upload:
Starlette's `request.json()`, for one, parses a body of any type. And an id in a path is refused where frameworks
cut the mount point off in different places.

These are the exceptions, each of them the framework's own. In all of them `verdict_from(request).ids` is right, and
that is where an application should read its ids.
"""


def page() -> str:
    """The documentation of all rows, as Markdown."""
    return "\n".join([INTRODUCTION, *map(_section, DEVIATIONS)])


def _section(row: Deviation) -> str:
    text = f"{row.what} {row.why} {row.instead} See <{row.known}>."
    filled = textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)
    places = ", ".join(row.examples).replace("-", " ")
    return f"## {', '.join(row.frameworks)}: {places}\n\n{filled}\n"


if __name__ == "__main__":
    print(page(), end="")
