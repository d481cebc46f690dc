"""The last refused requests of a tenant."""

from werkzeug.wrappers import Response

from hmac_guard.console.context import Context
from hmac_guard.console.state import tenant_of

PAGE = 50


def show(context: Context) -> Response:
    """Requests that name no tenant are on the page without a name."""
    name, before = context.arg("name"), context.arg("before")
    tenant = tenant_of(context, name).name if name else ""
    number = int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None
    found = context.console.ledger.refusals(tenant, before=number, limit=PAGE + 1)
    page = found[:PAGE]
    return context.page(
        "refusals.html",
        tenant=tenant,
        refusals=page,
        hours=getattr(context.console.ledger, "_refusals", None),
        before=before,
        next_before=page[-1].id if len(found) > PAGE else None,
    )
