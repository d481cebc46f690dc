"""The page of one tenant."""

from werkzeug.wrappers import Response

from hmac_guard.console.context import Context
from hmac_guard.console.evidence import evidence_of
from hmac_guard.console.plot import by_key, plot_of
from hmac_guard.console.state import MODES, cache_note, open_windows, state_of, tenant_of

SPANS = {"24": 24, "168": 168}


def show(context: Context) -> Response:
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
