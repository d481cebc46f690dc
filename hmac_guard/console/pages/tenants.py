"""The pages of tenants: all of them, one of them, its mode, and its refused requests."""

from collections.abc import Mapping
from typing import Any

from werkzeug.wrappers import Response

from hmac_guard.console.context import Context
from hmac_guard.console.state import (
    MODES,
    by_key,
    by_tenant,
    cache_note,
    evidence_of,
    open_windows,
    plot_of,
    tenant_of,
)
from hmac_guard.core.errors import ConfigError
from hmac_guard.keys.sql.listing import StoredKey, StoredTenant, is_active, state_of

#: The tenants, or the refused requests, of one page.
PAGE = 50
#: A key that ends within so many seconds is about to end.
SOON = 7 * 86_400.0
#: The modes in which requests may be refused.
MAY_REFUSE = ("enforce", "guard")
#: The hours that the plot of a tenant shows, by their name in the address.
SPANS = {"24": 24, "168": 168}

#: Each filter: its name in the address, its label, and the options of `SqlKeys.tenants`.
FILTERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "": ("All", {}),
    "not-ready": ("Not ready", {"ready": False}),
    "report": ("In report", {"mode": "report"}),
    "ending": ("Key about to end", {"ending": SOON}),
    "unused": ("Never used", {"used": False}),
}


def show_tenants(context: Context) -> Response:
    """Return the page of all tenants, or of those that a filter and a prefix choose."""
    console, prefix, chosen = context.console, context.arg("prefix").strip(), context.arg("show")
    label, options = FILTERS.get(chosen, FILTERS[""])
    after, problem = context.arg("after") or None, ""
    try:
        found = console.keys.tenants(after=after, limit=PAGE + 1, prefix=prefix, **options)
    except ConfigError as error:  # The prefix may end with half a character.
        found, problem = (), str(error).removeprefix("SqlKeys: ")
    page, now = found[:PAGE], context.now()
    names = [tenant.name for tenant in page]
    rows = console.ledger.hours(names) if names else ()
    return context.page(
        "tenants.html",
        tenants=page,
        plots=by_tenant(rows, names, now, 24),
        active_keys={tenant.name: sum(is_active(key, now) for key in tenant.keys) for tenant in page},
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


def show_tenant(context: Context) -> Response:
    """Return the page of one tenant: its mode, its requests and its keys."""
    console, now = context.console, context.now()
    tenant = tenant_of(context, context.arg("name"))
    span = SPANS.get(context.arg("hours"), 24)
    rows = console.ledger.hours([tenant.name], max(span, 24))
    day = plot_of(rows, now, 24)
    return context.page(
        "tenant.html",
        tenant=tenant,
        mode=MODES[tenant.mode or "guard"],
        keys=[(key, state_of(key, now)) for key in tenant.keys],
        open=open_windows(tenant.keys, now),
        verified_by=by_key([(row, number) for row, number in rows if row.hour * 3_600 >= day.bars[0].at]),
        plot=plot_of(rows, now, span),
        span=span,
        evidence=evidence_of(context, tenant.name),
        cache_note=cache_note(context),
    )


def show_modes(context: Context) -> Response:
    """Return the page where the mode of a tenant is chosen, with what is known of its requests."""
    tenant = tenant_of(context, context.arg("name"))
    return context.page(
        "switch.html",
        tenant=tenant,
        modes=MODES,
        current=tenant.mode or "guard",
        evidence=evidence_of(context, tenant.name),
        cache_note=cache_note(context),
    )


def confirm_mode(context: Context) -> Response:
    """Return the page that asks before the mode is changed."""
    return _confirm_page(context, tenant_of(context, context.arg("name")), _mode(context.arg("mode")))


def _confirm_page(context: Context, tenant: StoredTenant, to: str, status: int = 200) -> Response:
    return context.page(
        "confirm.html",
        status,
        tenant=tenant,
        to=to,
        may_refuse=to in MAY_REFUSE,
        modes=MODES,
        current=tenant.mode or "guard",
        is_stale=_is_stale(context, tenant),
        evidence=evidence_of(context, tenant.name),
        has_key=_has_key(context, tenant),
        cache_note=cache_note(context),
    )


def change_mode(context: Context) -> Response:
    """Set the mode of a tenant, and send the browser to the page of the tenant."""
    tenant = tenant_of(context, context.field("name"))
    mode = _mode(context.field("mode"))
    # The mode may have changed, or the last key ended, since the page was opened.
    is_unwarned = mode in MAY_REFUSE and not _has_key(context, tenant) and not context.field("warned")
    if is_unwarned or _is_stale(context, tenant):
        return _confirm_page(context, tenant, mode, 400)
    with context.console.changing(tenant.name) as keys:
        keys.set_mode(tenant.name, None if mode == "guard" else mode, **context.audit_fields())
    return context.redirect("/tenant", name=tenant.name, done="mode")


def _is_stale(context: Context, tenant: StoredTenant) -> bool:
    """Return whether the tenant has another mode than the sender of the form has seen."""
    current = tenant.mode or "guard"
    return context.request.form.get("current", current) != current


def _has_key(context: Context, tenant: StoredTenant) -> bool:
    return any(is_active(key, context.now()) for key in tenant.keys)


def _mode(text: str) -> str:
    if text not in MODES:
        raise ConfigError("the mode is missing; choose off, report, enforce or the guard's own")
    return text


def show_refusals(context: Context) -> Response:
    """Return the last refused requests of a tenant. Without a name: those that name no tenant."""
    name = context.arg("name")
    tenant = tenant_of(context, name).name if name else ""
    found = context.console.ledger.refusals(tenant, before=context.number("before"), limit=PAGE + 1)
    page = found[:PAGE]
    return context.page(
        "refusals.html",
        tenant=tenant,
        refusals=page,
        hours=getattr(context.console.ledger, "_refusals", None),
        before=context.arg("before"),
        next_before=page[-1].id if len(found) > PAGE else None,
    )
