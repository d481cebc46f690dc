"""The switch: off, report, enforce, with what is known of the tenant's requests."""

from werkzeug.wrappers import Response

from hmac_guard.console.context import Context
from hmac_guard.console.evidence import evidence_of
from hmac_guard.console.state import MODES, cache_note, in_force, tenant_of
from hmac_guard.core.errors import ConfigError


def show(context: Context) -> Response:
    tenant = tenant_of(context, context.arg("name"))
    return context.page(
        "switch.html",
        tenant=tenant,
        modes=MODES,
        current=tenant.mode or "guard",
        evidence=evidence_of(context, tenant.name),
        cache_note=cache_note(context),
    )


def confirm(context: Context) -> Response:
    tenant = tenant_of(context, context.arg("name"))
    return context.page(
        "confirm.html",
        tenant=tenant,
        to=_mode(context.arg("mode")),
        modes=MODES,
        current=tenant.mode or "guard",
        evidence=evidence_of(context, tenant.name),
        has_key=any(in_force(key, context.now()) for key in tenant.keys),
        cache_note=cache_note(context),
    )


def change(context: Context) -> Response:
    tenant = tenant_of(context, context.field("name"))
    mode = _mode(context.field("mode"))
    context.console.keys.set_mode(tenant.name, None if mode == "guard" else mode, **context.by())
    context.console.changed(tenant.name)
    return context.moved("/tenant", name=tenant.name, done="mode")


def _mode(text: str) -> str:
    if text not in MODES:
        raise ConfigError("the mode is missing; choose off, report, enforce or the guard's own")
    return text
