"""The forms that add, rotate and end keys, and write notes on them."""

import math
import re
from datetime import datetime, timezone

from werkzeug.wrappers import Response

from hmac_guard.console.context import Context, attachment, in_utc
from hmac_guard.console.state import by_key, cache_note, key_of, open_windows, tenant_of
from hmac_guard.core.errors import ConfigError
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.secret import WEAK_BELOW
from hmac_guard.explain.search import secret_of
from hmac_guard.keys.forms import FORMS, key_from_text
from hmac_guard.keys.sql import NewKey, StoredKey, StoredTenant
from hmac_guard.keys.sql.listing import is_active, state_of
from hmac_guard.keys.sql.operations import NewerKey, new_id

#: How long the old keys of a rotation stay valid, in seconds.
WINDOWS = {"0": "Now", "3600": "In 1 hour", "86400": "In 24 hours", "604800": "In 7 days"}
DEFAULT_WINDOW = "86400"

_FORM_NAMES = {
    "text": "Text, used as it is",
    "hex": "Hex",
    "base64": "Base64",
    "whsec": "whsec_…, for Standard Webhooks and Svix",
}


def tenant_form(context: Context, problem: str = "") -> Response:
    """Return the form for a new tenant and its first key."""
    return _form_page(context, "new_tenant.html", "", (), problem)


def add_tenant(context: Context) -> Response:
    """Add a tenant with its first key, and show the secret once."""
    name, mode = context.field("name"), context.field("mode")
    try:
        with context.console.changing(name) as keys:
            new = keys.add(
                name,
                _given(context).get(),
                **_draft(context),
                mode=mode if mode in ("enforce", "report", "off") else None,
                to_existing=False,
                **context.audit_fields(),
            )
    except ConfigError as error:
        return tenant_form(context, _why_refused(context, name, error))
    return _shown(context, new)


def key_form(context: Context, problem: str = "") -> Response:
    """Return the form for a further key of a tenant."""
    tenant = tenant_of(context, context.request.values.get("name", ""))
    return _form_page(context, "new_key.html", tenant.name, tenant.keys, problem)


def add_key(context: Context) -> Response:
    """Add a key to a tenant, and show the secret once."""
    tenant = tenant_of(context, context.field("name"))
    try:
        with context.console.changing(tenant.name) as keys:
            new = keys.add(tenant.name, _given(context).get(), **_draft(context), **context.audit_fields())
    except ConfigError as error:
        return key_form(context, _why_refused(context, tenant.name, error))
    return _shown(context, new)


def rotation_form(context: Context, problem: str = "") -> Response:
    """Return the form for a rotation: the new key, and when the old keys end."""
    tenant, now = tenant_of(context, context.request.values.get("name", "")), context.now()
    return _form_page(
        context,
        "rotate.html",
        tenant.name,
        tenant.keys,
        problem,
        keys=[(key, state_of(key, now)) for key in tenant.keys if state_of(key, now).name != "ended"],
        open=open_windows(tenant.keys, now),
        added=[key for key in _added(context, tenant.keys) if state_of(key, now).name != "ended"],
        windows=WINDOWS,
        chosen=context.request.form.get("end", DEFAULT_WINDOW),
        at=context.request.form.get("at", ""),
        cache_note=cache_note(context),
    )


def rotate(context: Context) -> Response:
    """Add a new key, let the old keys end, and show the secret once."""
    tenant = tenant_of(context, context.field("name"))
    try:
        with context.console.changing(tenant.name) as keys:
            new = keys.rotate(
                tenant.name,
                _given(context).get(),
                **_draft(context),
                grace=_grace(context),
                while_open=context.field("while_open") == "yes",
                newest=_known(context) if "newest" in context.request.form else None,
                **context.audit_fields(),
            )
    except ConfigError as error:
        return rotation_form(context, _why_refused(context, tenant.name, error))
    return _shown(context, new)


def end_form(context: Context) -> Response:
    """Return the page that asks before a key is ended."""
    return _end_page(context, tenant_of(context, context.arg("name")), context.arg("key"))


def _end_page(context: Context, tenant: StoredTenant, key_id: str, status: int = 200) -> Response:
    key, now = key_of(tenant, key_id), context.now()
    rows = context.console.ledger.hours([tenant.name])
    others = [other for other in tenant.keys if other.id != key.id and state_of(other, now).name != "ended"]
    return context.page(
        "end.html",
        status,
        tenant=tenant,
        key=key,
        state=state_of(key, now),
        verified=by_key(rows)[key.id],
        is_last=_is_last(tenant, key.id, now),
        next_key=min(others, key=lambda other: other.not_before or 0.0, default=None),
        cache_note=cache_note(context),
    )


def end_key(context: Context) -> Response:
    """End a key now."""
    tenant, key_id = tenant_of(context, context.field("name")), context.field("key")
    # Another key may have ended since the page was opened.
    if _is_last(tenant, key_id, context.now()) and not context.field("warned"):
        return _end_page(context, tenant, key_id, 400)
    with context.console.changing(tenant.name) as keys:
        keys.retire(tenant.name, key_id, **context.audit_fields())
    return context.redirect("/tenant", name=tenant.name, done="ended")


def _is_last(tenant: StoredTenant, key_id: str, now: float) -> bool:
    """Return whether this key is active, and no other one of the tenant."""
    return [key.id for key in tenant.keys if is_active(key, now)] == [key_id]


def note_form(context: Context, problem: str = "") -> Response:
    """Return the form for the note on a key."""
    tenant = tenant_of(context, context.request.values.get("name", ""))
    key = key_of(tenant, context.request.values.get("key", ""))
    text = context.request.form.get("note", key.note)
    is_stale = _is_stale(context, key)
    return context.page(
        "note.html",
        400 if problem or is_stale else 200,
        tenant=tenant,
        key=key,
        text=text,
        is_stale=is_stale,
        problem=problem,
    )


def _is_stale(context: Context, key: StoredKey) -> bool:
    """Return whether the key has a note that the sender of the form has neither seen nor written."""
    return "old" in context.request.form and key.note not in (context.field("old"), _note(context))


def save_note(context: Context) -> Response:
    """Write the note on a key."""
    name, key_id = context.field("name"), context.field("key")
    if _is_stale(context, key_of(tenant_of(context, name), key_id)):
        return note_form(context)
    try:
        context.console.keys.note(name, key_id, _note(context), **context.audit_fields())
    except ConfigError as error:
        return note_form(context, _text_of(error))
    return context.redirect("/tenant", name=name, done="note")


def _note(context: Context) -> str:
    return context.field("note").strip()


def download_env(context: Context) -> Response:
    """Return a secret as a .env file. A browser without scripts sends it here."""
    name = context.field("name")[:60] or "key"
    content = _env(context.hidden_field("secret"))
    return Response(content.get(), content_type="text/plain; charset=utf-8", headers=attachment(f"{name}.env"))


def _env(secret: Hidden[str]) -> Hidden[str]:
    """Return the line of a .env file; a shell can read it too."""
    if re.search(r"['\r\n]", secret.get()):
        raise ConfigError("the secret has a quote or a line end, which a .env file cannot contain")
    return hide(f"HMAC_GUARD_KEY='{secret.get()}'\n")


def _form_page(
    context: Context, template: str, tenant: str, stored: tuple[StoredKey, ...], problem: str, **more: object
) -> Response:
    form, known = context.request.form, _known(context)
    return context.page(
        template,
        400 if form else 200,
        tenant=tenant,
        problem=problem,
        # The id is chosen with the form, so that a form that is sent twice makes one key.
        key_id=form.get("id") or new_id(context.now()),
        newest=known if known < math.inf else max((key.made_at for key in stored), default=context.now()),
        note=form.get("note", ""),
        name=form.get("name", context.arg("name")),
        source=form.get("source", "generated"),
        form=form.get("form", "text"),
        mode=form.get("mode", "report"),
        forms=_FORM_NAMES,
        **more,
    )


def _given(context: Context) -> Hidden[str | None]:
    """Return the customer's own secret, or None if one is to be generated."""
    if context.field("source") != "own":
        return hide(None)
    secret: Hidden[str | None] = hide(context.request.form.get("secret", ""))
    if not (secret.get() or "").strip():
        raise ConfigError("SqlKeys: the customer's secret is empty; enter it, or choose to generate one")
    return secret


def _draft(context: Context) -> dict[str, str]:
    form = context.field("form")
    if form not in FORMS:
        raise ConfigError("SqlKeys: choose the form of the secret")
    return {"form": form, "key_id": context.field("id") or new_id(context.now()), "note": _note(context)}


def _grace(context: Context) -> float:
    """Return how many seconds the old keys stay valid."""
    chosen = context.field("end")
    if chosen in WINDOWS:
        return float(chosen)
    if chosen != "at":
        raise ConfigError("SqlKeys: choose when the old key ends")
    try:
        at = datetime.strptime(context.field("at"), "%Y-%m-%dT%H:%M").replace(tzinfo=timezone.utc)
    except ValueError:
        raise ConfigError("SqlKeys: write the time like 2027-01-31T08:00, in UTC") from None
    grace = at.timestamp() - context.now()
    if grace < 0 or in_utc(at.timestamp()) is None:
        raise ConfigError("SqlKeys: that time is in the past; choose a later one, or Now")
    return grace


def _known(context: Context) -> float:
    """Return when the newest key was added that the sender of the form has seen."""
    return max(context.request.form.getlist("newest", type=float), default=math.inf)


def _added(context: Context, keys: tuple[StoredKey, ...]) -> list[StoredKey]:
    """Return the keys that were added after the form was loaded, the newest first."""
    return [key for key in keys if key.made_at > _known(context)]


def _why_refused(context: Context, tenant: str, error: ConfigError) -> str:
    """Return why no key was made; "" if the form itself says it."""
    key_id = context.field("id")
    added = _added(context, context.console.keys.list(tenant))
    if (key_id, context.operator.name) not in {(key.id, key.made_by) for key in added}:
        return "" if isinstance(error, NewerKey) else _text_of(error)
    if context.field("source") == "own":
        return f"this form was sent twice. The key {key_id!r} exists"
    return (
        f"this form was sent twice. The key {key_id!r} exists, and its secret was in the answer to the first sending. "
        f"If you did not see it, end {key_id!r} and make another key"
    )


def _text_of(error: ConfigError) -> str:
    """Return an error in the words of the form."""
    text = str(error).removeprefix("SqlKeys: ")
    fault = re.sub(r"Key\.from_\w+: the text", "the secret", text)
    return text if fault == text else f'{fault}; correct it, or choose another form at "Written as"'


def _shown(context: Context, new: NewKey) -> Response:
    """Return the only page that shows a secret. The page is built last, so nothing can fail after it."""
    is_weak = new.secret is None and _is_weak(context)
    return context.page("new_secret.html", tenant=new.tenant, key_id=new.id, new=new, is_weak=is_weak)


def _is_weak(context: Context) -> bool:
    """Return whether the customer's secret, which was stored, is short enough to guess."""
    return (
        len(secret_of(key_from_text("the secret", context.hidden_field("secret"), context.field("form")))) < WEAK_BELOW
    )
