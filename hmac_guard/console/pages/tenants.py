"""The page of all tenants."""

from collections.abc import Mapping
from typing import Any

from werkzeug.wrappers import Response

from hmac_guard.console.context import Context
from hmac_guard.console.plot import by_tenant
from hmac_guard.console.state import in_force
from hmac_guard.core.errors import ConfigError
from hmac_guard.keys.sql import StoredKey

#: The tenants of a page, and the seconds within which a key is about to end.
PAGE = 50
SOON = 7 * 86_400.0

#: Each filter: its name in the address, its label, and the options of `SqlKeys.tenants`.
FILTERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "": ("All", {}),
    "not-ready": ("Not ready", {"ready": False}),
    "report": ("In report", {"mode": "report"}),
    "ending": ("Key about to end", {"ending": SOON}),
    "unused": ("Never used", {"used": False}),
}


def listing(context: Context) -> Response:
    console, prefix, chosen = context.console, context.arg("prefix").strip(), context.arg("show")
    label, options = FILTERS.get(chosen, FILTERS[""])
    after, problem = context.arg("after") or None, ""
    try:
        found = console.keys.tenants(after=after, limit=PAGE + 1, prefix=prefix, **options)
    except ConfigError as error:  # Half a character, say.
        found, problem = (), str(error).removeprefix("SqlKeys: ")
    page, now = found[:PAGE], context.now()
    names = [tenant.name for tenant in page]
    rows = console.ledger.hours(names) if names else ()
    return context.page(
        "tenants.html",
        tenants=page,
        plots=by_tenant(rows, names, now, 24),
        in_force={tenant.name: sum(in_force(key, now) for key in tenant.keys) for tenant in page},
        ends={tenant.name: _first_end(tenant.keys, now) for tenant in page},
        filters=FILTERS,
        chosen=chosen if chosen in FILTERS else "",
        label=label,
        prefix=prefix,
        after=after,
        problem=problem,
        next_after=page[-1].name if len(found) > PAGE else None,
    )


def _first_end(keys: tuple[StoredKey, ...], now: float) -> float | None:
    ends = [key.not_after for key in keys if key.not_after is not None and now <= key.not_after <= now + SOON]
    return min(ends, default=None)
