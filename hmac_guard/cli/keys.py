"""`hmac-guard keys`: manages the keys of tenants in a database."""

import json
import textwrap
import time
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import Any

import click

from hmac_guard.cli.errors import CliError, Suggesting
from hmac_guard.cli.key_options import written
from hmac_guard.cli.key_store import takes_store

_WIDTH = 80
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _seconds(ctx: click.Context, param: click.Parameter, value: str) -> float:
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
    every cache learns of a change at once.

    \b
      hmac-guard keys add acme --mode report
      hmac-guard keys rotate acme --grace 24h
      hmac-guard keys readiness
    """


def _takes_secret(function: Any) -> Any:
    for option in (
        click.option("--secret-form", type=click.Choice(["text", "hex", "base64"]), default="text", show_default=True),
        click.option("--secret-file", metavar="PATH", help="Read the secret from this file; default: make one."),
        click.option("--secret-env", metavar="NAME", help="Read the secret from this environment variable."),
        click.option("--id", "key_id", help="The id of the key, as verdicts and logs show it."),
    ):
        function = option(function)
    return function


@command.command("add")
@click.argument("tenant")
@click.option("--mode", type=click.Choice(["enforce", "report", "off"]), help="Also set the mode of the tenant.")
@_takes_secret
@_as_json
@takes_store
def add(keys: Any, tenant: str, mode: str | None, as_json: bool, **given: Any) -> None:
    """Add a key to TENANT. Its other keys stay valid.

    A generated secret is shown only once.
    """
    keys.create_table()
    _show_new(keys.add(tenant, **_secret(**given), mode=mode), as_json)


@command.command("rotate")
@click.argument("tenant")
@click.option("--grace", default="24h", show_default=True, callback=_seconds, help="How long the old keys stay valid.")
@_takes_secret
@_as_json
@takes_store
def rotate(keys: Any, tenant: str, grace: float, as_json: bool, **given: Any) -> None:
    """Add a new key to TENANT, and let the old keys expire.

    The old keys stay valid for the time of --grace. Give the new secret to the
    signer when every cache knows it: at once with --redis, otherwise after the
    ttl of the caches.
    """
    _show_new(keys.rotate(tenant, **_secret(**given), grace=grace), as_json)


@command.command("retire")
@click.argument("tenant")
@click.argument("key_id", metavar="KEY")
@takes_store
def retire(keys: Any, tenant: str, key_id: str) -> None:
    """Make the key KEY of TENANT invalid now."""
    keys.retire(tenant, key_id)


@command.command("mode")
@click.argument("tenant")
@click.argument("mode", type=click.Choice(["enforce", "report", "off", "guard"]))
@takes_store
def mode(keys: Any, tenant: str, mode: str) -> None:
    """Set the mode of TENANT; "guard" stands for the mode of the guard."""
    keys.set_mode(tenant, None if mode == "guard" else mode)


@command.command("reseal")
@_as_json
@takes_store
def reseal(keys: Any, as_json: bool) -> None:
    """Encrypt every secret with the first master key."""
    count = keys.reseal()
    if as_json:
        _print_json({"sealed": count})
    else:
        click.echo(f"encrypted {count} secrets")


@command.command("list")
@click.argument("tenant", required=False)
@_as_json
@takes_store
def list_(keys: Any, tenant: str | None, as_json: bool) -> None:
    """List the keys of TENANT, or of all tenants, without their secrets."""
    stored = keys.list(tenant)
    if as_json:
        _print_json([key._asdict() for key in stored])
        return
    rows = [
        (key.tenant, key.id, key.mode or "guard", _state(key), "sealed" if key.sealed else "clear") for key in stored
    ]
    _print_table(("TENANT", "KEY", "MODE", "STATE", "STORED"), rows)


@command.command("readiness")
@_as_json
@takes_store
def readiness(keys: Any, as_json: bool) -> None:
    """Show which tenants can be switched to "enforce".

    For each tenant: how many requests of the last 24 hours were verified, and
    how many were refused, or would have been in the mode "report", and why.
    The guard must have a VerdictCounts as on_verdict: it counts the requests.
    """
    from hmac_guard.keys.sql import VerdictLedger

    ledger = VerdictLedger(keys)
    ledger.create_table()
    found = ledger.readiness()
    if as_json:
        _print_json([{**row._asdict(), "ready": row.ready} for row in found])
        return
    rows = [
        (row.tenant or "(none known)", row.mode or "guard", row.verified, sum(row.refused.values()), _verdict(row))
        for row in found
    ]
    _print_table(("TENANT", "MODE", "VERIFIED", "REFUSED", ""), rows)


def _secret(secret_env: str | None, secret_file: str | None, secret_form: str, key_id: str | None) -> dict[str, Any]:
    if secret_env and secret_file:
        raise CliError("the secret is named twice; give --secret-env or --secret-file, not both")
    given = written(secret_env, secret_file)[1] if secret_env or secret_file else None
    return {"secret": given, "form": secret_form, "key_id": key_id}


def _show_new(new: Any, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"tenant": new.tenant, "id": new.id, "secret": new.secret}, indent=2))
        return
    click.echo(f"tenant  {new.tenant}\nkey     {new.id}")
    if new.secret is not None:
        click.echo(f"secret  {new.secret}")
        click.echo("The secret is not shown again.", err=True)


def _state(key: Any) -> str:
    now = time.time()
    if key.not_after is not None and key.not_after < now:
        return f"ended {_when(key.not_after)}"
    if key.not_before is not None and key.not_before > now:
        return f"from {_when(key.not_before)}"
    return "in force" if key.not_after is None else f"until {_when(key.not_after)}"


def _when(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, timezone.utc):%Y-%m-%d %H:%M:%SZ}"


def _verdict(row: Any) -> str:
    if row.ready:
        return "ready"
    return ", ".join(f"{reason} {count}" for reason, count in row.refused.items()) or "no requests"


def _print_json(data: Any) -> None:
    click.echo(json.dumps(data, indent=2))


def _print_table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    lines = [list(head), *([str(cell) for cell in row] for row in rows)]
    aligned = _aligned(lines)
    if max(map(len, aligned)) <= _WIDTH:
        click.echo("\n".join(aligned))
        return
    # If the table is too wide, each tenant is on its own line, with the other columns below it.
    fronts = [f"  {front}  " for front in _aligned([line[1:-1] for line in lines], strip=False)]
    for (tenant, *_, last), front in zip(lines, fronts, strict=True):
        click.echo(tenant)
        wrapped = textwrap.wrap(last, _WIDTH, initial_indent=front, subsequent_indent=" " * len(front))
        click.echo("\n".join(wrapped) if wrapped else front.rstrip())


def _aligned(lines: Sequence[Sequence[str]], *, strip: bool = True) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return [row.rstrip() if strip else row for row in rows]
