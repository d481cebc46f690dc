"""The page for the customer's engineer: the code that signs, an example, and the request."""

import re

from werkzeug.wrappers import Response

from hmac_guard.console.context import Context
from hmac_guard.core.errors import ConfigError
from hmac_guard.explain.report import ENCODING_NAMES
from hmac_guard.snippets import LANGUAGES, page, snippet
from hmac_guard.snippets.frontend import fetch_code
from hmac_guard.snippets.page import curl_of_example, worked_example


def show(context: Context) -> Response:
    scheme, tenant = context.scheme(), context.arg("name")
    language = context.arg("language") if context.arg("language") in LANGUAGES else "python"
    try:
        example = worked_example(scheme)
        curl = curl_of_example(scheme, example, tenant or "acme")
        fetch = fetch_code(scheme)
        code, problem = snippet(scheme, language), ""
    except ConfigError as error:
        example, curl, fetch, code, problem = None, "", "", "", str(error)
    return context.page(
        "signing.html",
        scheme=scheme,
        spelled=ENCODING_NAMES[scheme.encoding],
        tenant=tenant,
        languages=LANGUAGES,
        language=language,
        code=code,
        example=example,
        curl=curl,
        fetch=fetch,
        problem=problem,
    )


def download(context: Context) -> Response:
    scheme, tenant = context.scheme(), context.arg("name")
    text = page(scheme, tenant=tenant or "acme")
    name = re.sub("[^A-Za-z0-9._-]", "_", f"{scheme.name}-{tenant}" if tenant else scheme.name)[:80]
    headers = {"Content-Disposition": f'attachment; filename="how-to-sign-{name}.md"'}
    return Response(text, content_type="text/markdown; charset=utf-8", headers=headers)
