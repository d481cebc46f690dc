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
from acceptance.differential.grammar.ids import NOW

ASGI_FRAMEWORKS = ("Quart", "Django (ASGI)", "Starlette", "FastAPI", "Litestar", "Falcon (ASGI)")


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


def _has_an_odd_charset(finding: Finding) -> bool:
    kinds = [value for name, value in finding.sent.headers if name.lower() == "content-type"]
    return finding.answer.kind == "absent" and "charset" in ";".join(kinds).lower()


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
        why="By design, item access returns the bytes as WSGI has them, and attribute access decodes them.",
        instead='Read `request.query.a`, or `.getunicode("a")`.',
        known="https://github.com/bottlepy/bottle/issues/774",
        applies=_is_latin_1,
    ),
    Deviation(
        frameworks=("Bottle",),
        examples={
            "body-or-query": Sent("POST", "/form", "a=1", [("Content-Type", "image/png")], b"a=2"),
        },
        what="`request.forms` reads a body of any type except multipart as a form. If an id may be in the query or in "
        "the body, and the body is an image, the guard verifies the id in the query and does not read the image. "
        "`request.forms` may find another id in the image. If an id may be in JSON or in a form, `request.forms` may "
        "find another id within the verified JSON.",
        why="By design, Bottle treats every type except multipart as a form.",
        instead="Check `request.content_type` before you read `request.forms`.",
        known="https://github.com/bottlepy/bottle/blob/0.13.4/bottle.py",
        applies=_is_no_form,
    ),
    Deviation(
        frameworks=("Bottle",),
        examples={"cookie": Sent("GET", "/cookie", headers=[("Cookie", 'b={"x": 1}; a=1')])},
        what="If the request has another cookie that the standard library cannot parse, Bottle does not find the "
        "cookie with the id.",
        why="Bottle uses `http.cookies.SimpleCookie`, which stops at the first such cookie.",
        instead="Send the id in a header or in the query.",
        known="https://github.com/python/cpython/issues/127195",
        applies=_is_lost_to_the_standard_library,
    ),
    Deviation(
        frameworks=("Django", "DRF"),
        examples={
            source: Sent("GET", "/query", f"a={text}", [("Content-Type", "text/plain; charset=cp500")])
            for source, text in (("query", "1"), ("time", f"{NOW}"))
        },
        what="If the Content-Type has a charset in which ASCII characters have other bytes, such as an EBCDIC one, "
        "`request.GET` is empty on WSGI.",
        why="By design, Django decodes the query with that charset.",
        instead="Send `charset=utf-8`, or no charset.",
        known="https://docs.djangoproject.com/en/stable/ref/request-response/#django.http.HttpRequest.encoding",
        applies=_has_an_odd_charset,
    ),
    Deviation(
        frameworks=("Django", "Django (ASGI)"),
        examples={"form": _form("PUT", "a=1"), "multipart": _multipart("PUT", "1")},
        what="`request.POST` is empty for every method except POST, so a PUT or PATCH has no id in its form.",
        why="By design, Django parses forms only for POST.",
        instead="Send the form by POST. Django REST framework's `request.data` reads the form for every method.",
        known="https://docs.djangoproject.com/en/stable/ref/request-response/#django.http.HttpRequest.POST",
        applies=_is_no_post,
    ),
    Deviation(
        frameworks=ASGI_FRAMEWORKS,
        examples={"header": Sent("GET", "/header", headers=[("X_Sig", "1")])},
        what="For these frameworks, a header that is sent as `X_Sig` is not `X-Sig`. The guard reads it as `X-Sig`, "
        "because WSGI cannot distinguish the two names, and both interfaces must give the same verdict. If the request "
        "also has a header `X-Sig`, the guard refuses it as a duplicate.",
        why="ASGI passes the name of a header as it was sent. Most proxies and some servers drop a name with `_`.",
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

The guard refuses a request that frameworks read differently: one with a second value of an id, an unusual encoding, or
a part that only some frameworks read. So your framework reads the same ids that the guard verified. `make test` checks
this with fixed and generated requests. `make fuzz-differential` checks it with more generated requests, as many as you
want. The frameworks are Flask, Quart, Django and Falcon over WSGI and ASGI, Django REST framework, Starlette, FastAPI,
Litestar and Bottle. A framework may still refuse a request itself.

This has two consequences. The guard refuses a body of a type that no source of the scheme reads, because a framework
may read it: for example, Starlette's `request.json()` parses a body of any type. This does not apply to uploads. The
guard also refuses an id in a path if frameworks remove the mount point from the path in different ways.

The frameworks have their default settings. Django decodes a query and a form with `DEFAULT_CHARSET`, and Django REST
framework also JSON. The guard reads UTF-8. With `"hmac_guard.django"` in INSTALLED_APPS, the system check
`hmac_guard.E006` reports any other charset for `GuardMiddleware`, `hmac_guarded` and `GuardAuthentication`. It does not
know a guard around `get_wsgi_application()`, or code that sets `request.encoding`: read the ids from the verdict there.

The exceptions are listed below. Each has its cause in the framework. In each case `verdict_from(request).ids` is right,
and an application should read its ids there.
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
