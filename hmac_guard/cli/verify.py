"""`hmac-guard verify`: checks the signature of some ids, with the code that a guard runs."""

import json
from time import time as clock
from typing import Any

import click

from hmac_guard.cli.arguments import others_in, takes_ids
from hmac_guard.cli.colour import bad, good
from hmac_guard.cli.errors import CliError
from hmac_guard.cli.key_options import key_options, ring_of
from hmac_guard.cli.key_store import takes_tenant
from hmac_guard.cli.rows import Row, check_no_arguments, ids_of, process_rows, takes_rows
from hmac_guard.core.key import Keyring
from hmac_guard.core.message import METHOD, compose
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.signing import names_of_parts
from hmac_guard.core.text import is_id
from hmac_guard.core.times import is_time
from hmac_guard.core.verdict import Reason

_MEANING = {
    Reason.INVALID_SIGNATURE: "the signer used another key, another id or another way of signing",
    Reason.MALFORMED: "an id is empty, too long, has invalid characters, or cannot be sent where the scheme reads it",
    Reason.AMBIGUOUS: "an id contains the separator between it and the next id",
    Reason.EXPIRED: "the signature is correct, but its time is over",
    Reason.NOT_YET_VALID: "the signature is correct, but its time is in the future, or it lasts too long",
}


@click.command("verify")
@takes_ids
@takes_tenant
@key_options
@click.option("--signature", help="The signature, as it is sent.")
@click.option("--json", "in_json", is_flag=True, help="Print JSON.")
@takes_rows
@click.pass_context
def command(
    ctx: click.Context,
    scheme: Scheme,
    ids: dict[str, str],
    others: dict[str, Any],
    ring: Keyring | None,
    key_env: str | None,
    key_file: str | None,
    key_form: str,
    signature: str | None,
    in_json: bool,
    rows: str | None,
) -> None:
    """Check the signature of some ids, and say why it is not valid.

    SCHEME, the key and what is signed are as in `hmac-guard sign`; with --tenant
    the keys of a tenant in the database are used. The exit code is 0 if the ids
    are verified, 1 if they are not, and 2 if the command was used wrongly.

    \b
      hmac-guard verify suprsend distinct_id=user-42 --signature 6mbM... \\
        --key-file inbox.key

    With --rows the ids and `signature` come from stdin, and each row is printed
    with `verified` and `reason`. The exit code is 0 if all rows are verified.

    \b
      hmac-guard verify nango --rows jsonl --key-env KEY < signed.jsonl
    """
    keys = Keyring(ring_of(ring, key_env, key_file, key_form))
    if rows is not None:
        check_no_arguments(ids or others or signature)
        ctx.exit(0 if _verify_rows(scheme, keys, rows) else 1)
    if signature is None:
        raise CliError("the signature is missing; add --signature SIGNATURE")
    reason = _reason(scheme, ids, others, keys, signature)
    verified = reason is Reason.VERIFIED
    if in_json:
        click.echo(json.dumps(_answer(reason)))
    else:
        click.echo(good("verified") if verified else f"{bad('not verified')}: {reason} ({_MEANING[reason]})")
    ctx.exit(0 if verified else 1)


def _answer(reason: Reason) -> dict[str, str | bool]:
    return {"verified": reason is Reason.VERIFIED, "reason": reason.value}


def _verify_rows(scheme: Scheme, keys: Keyring, form: str) -> bool:
    """Verify the rows of stdin. Return whether all of them are verified."""
    reasons: set[Reason] = set()

    def answer(row: Row) -> Row:
        reason = _row_reason(scheme, keys, row)
        reasons.add(reason)
        return _answer(reason)

    process_rows(form, answer)
    return reasons <= {Reason.VERIFIED}


def _row_reason(scheme: Scheme, keys: Keyring, row: Row) -> Reason:
    ids, signature = ids_of(row, scheme.ids), row.get("signature")
    if any(name not in ids for name in scheme.ids if name not in scheme.optional):
        return Reason.MISSING_ID
    if signature in (None, ""):
        return Reason.MISSING_SIGNATURE
    if not all(isinstance(text, str) for text in (*ids.values(), signature)):
        return Reason.MALFORMED
    others = others_in(scheme, row)
    if any(name not in others for name in names_of_parts(scheme)):
        return Reason.MISSING_SIGNATURE
    return _reason(scheme, ids, others, keys, signature)


def _reason(scheme: Scheme, ids: dict[str, str], others: dict[str, Any], keys: Keyring, signature: str) -> Reason:
    missing = [name for name in scheme.ids if name not in ids and name not in scheme.optional]
    if missing:
        raise CliError(f"the id {missing[0]!r} is missing; add {missing[0]}=VALUE")
    absent = [name for name in names_of_parts(scheme) if name not in others]
    if absent:
        raise CliError(f"the scheme signs {absent[0]}; add {absent[0]}=VALUE")
    if not all(is_id(text) and scheme.ids[name].can_carry(text) for name, text in ids.items()):
        return Reason.MALFORMED
    times = [time for time in scheme.times if time.name in others]
    if not all(is_time(str(others[time.name])) for time in times):
        return Reason.MALFORMED
    named = {name: str(others[name]) for name in others if name != "body"}
    message = compose(scheme.parts, {**ids, **named, METHOD: named.get("method", "")})
    if message is None:
        return Reason.AMBIGUOUS
    message += others.get("body", b"") if scheme.signs_body else b""
    in_force = keys.active(clock())
    if not in_force:
        return Reason.UNKNOWN_KEY
    if scheme.verifying_key(in_force, message, signature.encode(errors="replace")) is None:
        return Reason.INVALID_SIGNATURE
    outside = (time.refuse(int(str(others[time.name])), clock()) for time in times)
    return next((refused.reason for refused in outside if refused is not None), Reason.VERIFIED)
