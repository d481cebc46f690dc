"""`hmac-guard keys`: manages the keys of tenants in a database."""

import getpass
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from functools import partial
from typing import Any, TypeVar

import click

from hmac_guard.cli.key_options import check_texts, takes_store, written
from hmac_guard.cli.options import filled, several, takes_json
from hmac_guard.cli.output import CliError, Suggesting, discard_output, print_json, print_note, print_table
from hmac_guard.core.text import escaped
from hmac_guard.keys.forms import FORMS

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

#: The tenants of one query.
PAGE = 500

T = TypeVar("T")


def _seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    number, unit = value[:-1], value[-1:]
    if not (number.isascii() and number.isdigit()) or unit not in _UNITS:
        raise click.BadParameter(f"{value!r} is not a duration; write it like 90s, 15m, 24h or 7d", ctx, param)
    return float(number) * _UNITS[unit]


@click.group("keys", cls=Suggesting)
def command() -> None:
    """Manage the keys of tenants in a database.

    Give the SQLAlchemy URL of the database in the variable HMAC_GUARD_DB.
    Master keys encrypt the secrets: give them in HMAC_GUARD_MASTER_KEYS,
    the newest first, separated by commas. With a URL in HMAC_GUARD_REDIS,
    every cache sees a change within a second.

    \b
      hmac-guard keys add acme --mode report
      hmac-guard keys rotate acme --grace 24h
      hmac-guard keys readiness
    """


_takes_secret = several(
    click.option("--id", "key_id", callback=filled, help="The id of the key, as verdicts and logs show it."),
    click.option(
        "--secret-env", metavar="NAME", callback=filled, help="Read the secret from this environment variable."
    ),
    click.option(
        "--secret-file",
        type=click.Path(),
        metavar="PATH",
        callback=filled,
        help="Read the secret from this file; default: generate one.",
    ),
    click.option(
        "--secret-form",
        type=click.Choice(list(FORMS)),
        default="text",
        show_default=True,
        help="How the secret is written: text is used unchanged, the other forms are decoded.",
    ),
)

_takes_filters = several(
    click.option("--after", help="Start after this tenant, in the byte order of the names."),
    click.option("--limit", type=click.IntRange(1), help="Show at most this many tenants."),
    click.option("--prefix", default="", help="Only tenants whose name starts with this text."),
    click.option("--mode", type=click.Choice(["enforce", "report", "off", "guard"]), help="Only tenants in this mode."),
    click.option("--ready/--not-ready", default=None, help="Only tenants that are ready to enforce, or are not."),
    click.option("--used/--never-used", default=None, help="Only tenants with a verified request, or without."),
)


def _pages(read: Callable[..., Sequence[T]], name: Callable[[T], Any], after: Any, limit: int | None) -> Iterator[T]:
    """Yield all rows, page by page. Each page is printed before the next one is read."""
    while limit is None or limit > 0:
        size = PAGE if limit is None else min(PAGE, limit)
        page = read(after=after, limit=size)
        yield from page
        sys.stdout.flush()
        if len(page) < size:
            return
        after, limit = name(page[-1]), None if limit is None else limit - size


def who() -> dict[str, str]:
    """Return the user of the process, for the audit. The environment is not used, because anyone can change it."""
    with suppress(ImportError, KeyError):  # On Windows, and for a user without a name.
        from pwd import getpwuid

        return {"actor": getpwuid(os.getuid()).pw_name}
    return {"actor": getpass.getuser() if os.name == "nt" else f"user {os.getuid()}"}


def _progress(what: str) -> Callable[[int, str], None]:
    """Return a function that prints the progress to stderr, at most once a second."""
    last = time.monotonic()

    def show(count: int, tenant: str) -> None:
        nonlocal last
        if time.monotonic() - last >= 1:
            print_note(f"{what} {count} so far; the last tenant was {tenant}")
            last = time.monotonic()

    return show


def _warn_without_keys(keys: Any, tenant: str) -> None:
    from hmac_guard.keys.sql.listing import is_active

    if not any(is_active(key, time.time()) for key in keys.list(tenant)):
        print_note(
            f"Warning: no key of {tenant!r} is active, so each of its requests is refused as unknown_key in the mode "
            "enforce; add a key with `hmac-guard keys add`"
        )


@command.command("add")
@click.argument("tenant")
@click.option("--mode", type=click.Choice(["enforce", "report", "off"]), help="Also set the mode of the tenant.")
@_takes_secret
@takes_json
@takes_store
def add(keys: Any, tenant: str, mode: str | None, in_json: bool, **given: Any) -> None:
    """Add a key to TENANT. Its other keys stay valid.

    A generated secret is shown only once.

    \b
      hmac-guard keys add acme --mode report
      hmac-guard keys add acme --secret-file acme.key
    """
    from hmac_guard.keys.sql.store import check_tenant

    check_tenant(tenant)
    secret = _secret(**given)  # Before a secret that cannot be read leaves tables behind.
    keys.create_table()
    before = [each.mode for each in keys.tenants(prefix=tenant, limit=1) if each.name == tenant]
    _show_new(keys.add(tenant, **secret, mode=mode, **who()), in_json)
    if mode is not None and before and before[0] != mode:
        print_note(f"The mode of {tenant!r} was {before[0] or 'guard'}, and is {mode} now.")


@command.command("rotate")
@click.argument("tenant")
@click.option(
    "--grace", default="24h", show_default=True, callback=_seconds, help="How long the old keys stay valid at most."
)
@_takes_secret
@takes_json
@takes_store
def rotate(keys: Any, tenant: str, grace: float, in_json: bool, **given: Any) -> None:
    """Add a new key to TENANT, and let the old keys expire.

    The old keys stay valid for the time of --grace, or until an earlier end
    that they already have. Give the new secret to the signer when every cache
    has it: a second later with --redis, otherwise after the ttl of the caches.

    \b
      hmac-guard keys rotate acme --grace 7d
    """
    secret = _secret(**given)
    ends = {key.id: key.not_after for key in keys.list(tenant) if key.not_after is not None}
    _show_new(keys.rotate(tenant, **secret, grace=grace, **who()), in_json)
    for key in keys.list(tenant):
        if key.not_after != ends.get(key.id, key.not_after):
            print_note(f"The key {key.id} ends at {_when(key.not_after)}, and no longer at {_when(ends[key.id])}.")


@command.command("retire")
@click.argument("tenant")
@click.argument("key_id", metavar="KEY")
@takes_store
def retire(keys: Any, tenant: str, key_id: str) -> None:
    """Make the key KEY of TENANT invalid now.

    \b
      hmac-guard keys retire acme 20260102-1f2e3d4c
    """
    keys.retire(tenant, key_id, **who())
    _warn_without_keys(keys, tenant)


@command.command("mode")
@click.argument("tenant")
@click.argument("mode", type=click.Choice(["enforce", "report", "off", "guard"]))
@takes_store
def mode(keys: Any, tenant: str, mode: str) -> None:
    """Set the mode of TENANT. "guard" means that the mode of the guard applies.

    \b
      hmac-guard keys mode acme enforce
    """
    keys.set_mode(tenant, None if mode == "guard" else mode, **who())
    _warn_without_keys(keys, tenant)


@command.command("note")
@click.argument("tenant")
@click.argument("key_id", metavar="KEY")
@click.argument("text")
@takes_store
def note(keys: Any, tenant: str, key_id: str, text: str) -> None:
    """Write a note on the key KEY of TENANT; an empty TEXT removes it.

    \b
      hmac-guard keys note acme 20260102-1f2e3d4c 'their staging server'
    """
    keys.note(tenant, key_id, text, **who())


@command.command("reseal")
@click.option("--after", help="Start after this tenant.")
@click.option("--allow-clear", is_flag=True, help="Also encrypt secrets and modes that are stored unencrypted.")
@takes_json
@takes_store
def reseal(keys: Any, after: str | None, in_json: bool) -> None:
    """Encrypt every secret with the first master key.

    The tenants are done in batches. If the command is stopped, the finished
    batches are kept.

    \b
      hmac-guard keys reseal
    """
    check_texts(after=after)
    count = keys.reseal(after, progress=_progress("encrypted"), **who())
    if in_json:
        click.echo(json.dumps({"sealed": count}, indent=2))
    else:
        click.echo(f"encrypted {count} {'secret' if count == 1 else 'secrets'}")


@command.command("purge")
@click.option(
    "--older-than",
    required=True,
    callback=_seconds,
    help="Delete what is older than this, at least 1d, for example 30d.",
)
@takes_json
@takes_store
def purge(keys: Any, older_than: float, in_json: bool) -> None:
    """Delete old keys of all tenants: those that ended before a given time.

    Refused requests from before this time, which a VerdictCounts has stored,
    are also deleted.

    \b
      hmac-guard keys purge --older-than 90d
    """
    count = keys.purge(older_than=older_than, progress=_progress("deleted"), **who())
    if in_json:
        click.echo(json.dumps({"deleted": count}, indent=2))
    else:
        click.echo(f"deleted {count} {'key' if count == 1 else 'keys'}")


@command.command("list")
@click.argument("tenant", required=False)
@_takes_filters
@click.option("--ending", callback=_seconds, help="Only tenants with a key that ends within this time, for example 7d.")
@takes_json
@takes_store
def list_(
    keys: Any,
    tenant: str | None,
    after: str | None,
    limit: int | None,
    in_json: bool,
    **filters: Any,
) -> None:
    """List the keys of TENANT, or of all tenants, without their secrets.

    Tenants are in the byte order of their names. The exit code is 1 if there
    is no such tenant.

    \b
      hmac-guard keys list acme
      hmac-guard keys list --ending 7d --json
    """
    check_texts(after=after, prefix=filters["prefix"])
    if tenant is not None:
        if any(given not in (None, "") for given in (after, limit, *filters.values())):
            raise CliError(
                "the options that choose tenants are for a list of all tenants; leave them out, or leave out TENANT"
            )
        stored = keys.list(tenant)
        if not stored:
            print_note(f"There is no tenant {tenant!r}, or it has no keys.")
            click.get_current_context().exit(1)
    else:
        found = _pages(partial(keys.tenants, **filters), lambda found: found.name, after, limit)
        stored = (key for each in found for key in each.keys)
    if in_json:
        print_json(key._asdict() for key in stored)
        return
    rows = (
        (key.tenant, key.id, key.mode or "guard", _state(key), "sealed" if key.sealed else "clear") for key in stored
    )
    print_table(("TENANT", "KEY", "MODE", "STATE", "STORED"), (16, 17, 7, 26), rows)


@command.command("readiness")
@_takes_filters
@takes_json
@takes_store
def readiness(keys: Any, after: str | None, limit: int | None, in_json: bool, **filters: Any) -> None:
    """Show which tenants can be switched to "enforce".

    For each tenant: how many requests of the last 24 hours were verified, and
    how many were refused, or would have been in the mode "report", and why.
    READY is "yes" if there were verified requests and no refused ones. Anyone
    can send a request that is refused, so after a "no" look at the requests.
    The guard must have a VerdictCounts as on_decision.

    \b
      hmac-guard keys readiness --ready --mode report
    """
    from hmac_guard.keys.sql import VerdictLedger

    check_texts(after=after, prefix=filters["prefix"])
    found = _pages(partial(VerdictLedger(keys).readiness, **filters), lambda found: found.tenant, after, limit)
    if in_json:
        print_json({**row._asdict(), "ready": row.ready} for row in found)
        return
    rows = (
        (row.tenant or "(no tenant)", row.mode or "guard", row.verified, sum(row.refused.values()), *_verdict(row))
        for row in found
    )
    print_table(("TENANT", "MODE", "VERIFIED", "REFUSED", "READY", ""), (16, 7, 8, 7, 7), rows)


@command.command("audit")
@click.option("--tenant", callback=filled, help="Only changes of this tenant.")
@click.option("--actor", callback=filled, help="Only changes by this person or program.")
@click.option("--action", callback=filled, help='Only changes of this kind, for example "rotate".')
@click.option("--before", type=click.IntRange(max=2**63 - 1), help="Start before the entry with this number.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Show at most this many entries.")
@takes_json
@takes_store
def audit(keys: Any, before: int | None, limit: int, in_json: bool, **filters: Any) -> None:
    """Show who changed what, the newest change first.

    \b
      hmac-guard keys audit --tenant acme --limit 20
    """
    check_texts(**filters)

    def read(after: int | None, limit: int) -> Any:
        return keys.audit(before=after, limit=limit, **filters)

    found: Any = _pages(read, lambda entry: entry.id, before, limit)
    if in_json:
        print_json(entry._asdict() for entry in found)
        return
    rows = (
        (entry.id, _when(entry.at), entry.tenant or "(all)", entry.action, entry.actor, _detail(entry))
        for entry in found
    )
    print_table(("NUMBER", "TIME", "TENANT", "ACTION", "BY", "DETAIL"), (6, 20, 16, 7, 11), rows)


def _secret(secret_env: str | None, secret_file: str | None, secret_form: str, key_id: str | None) -> dict[str, Any]:
    if secret_env and secret_file:
        raise CliError("the secret is given twice; use --secret-env or --secret-file, not both")
    given = written(secret_env, secret_file)[1] if secret_env or secret_file else None
    return {"secret": given, "form": secret_form, "key_id": key_id}


def _show_new(new: Any, in_json: bool) -> None:
    failure = ""
    try:
        _write_new(new, in_json)
    except OSError as error:
        failure = _advice_after(error, new)
    # Raised outside of the `try` block, because the frames of the error contain the secret.
    if failure:
        discard_output()
        raise CliError(failure)
    if new.secret is not None and not in_json:
        print_note("The secret is not shown again.")


def _write_new(new: Any, in_json: bool) -> None:
    if in_json:
        click.echo(json.dumps({"tenant": new.tenant, "id": new.id, "secret": new.secret}, indent=2))
        return
    click.echo(f"tenant  {escaped(new.tenant)}\nkey     {new.id}")
    if new.secret is not None:
        click.echo(f"secret  {new.secret}")


def _advice_after(error: OSError, new: Any) -> str:
    """Return what to do with a key that is stored, but could not be shown."""
    if new.secret is None:
        return f"the key {new.id} is stored, but its id could not be written ({error.strerror}); do not add it again"
    retire = shlex.join(["hmac-guard", "keys", "retire", "--", new.tenant, new.id])
    return (
        f"the key {new.id} is stored, but its secret could not be written ({error.strerror}) and is lost; run this "
        "command again for a new key, without --id or with another one. Then retire the lost key with "
        f"`{retire}`, with the same --db and --table, if you gave them"
    )


def _state(key: Any) -> str:
    from hmac_guard.keys.sql.listing import state_of

    name, at = state_of(key, time.time())
    word = {"scheduled": "from", "ending": "until"}.get(name, name)
    return word if at is None else f"{word} {_when(at)}"


def _when(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, timezone.utc):%Y-%m-%d %H:%M:%SZ}"


def _verdict(row: Any) -> tuple[str, str]:
    """Return whether a tenant is ready, and why."""
    counted = row.verified or row.refused
    reasons = ", ".join(f"{reason} {count}" for reason, count in row.refused.items())
    if row.known:
        reasons += f" (at least {row.known} of them with ids that were also verified)"
    enforced = f"the mode of the guard is {row.applied}, so nothing is enforced" if row.guard_is_less_strict else ""
    unchecked = f"{row.unchecked} not checked (off)" if row.unchecked else ""
    why = ", ".join(filter(None, [reasons, unchecked, enforced])) or ("" if counted else "no requests")
    return "yes" if row.ready else "no" if counted else "unknown", why


def _detail(entry: Any) -> str:
    return ", ".join(
        f"{name} {_when(value) if name in ('not_before', 'not_after', 'others_end') else value}"
        for name, value in entry.detail.items()
    )
