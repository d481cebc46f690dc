"""`hmac-guard verify`: whether a signature proves some ids, decided by what decides in a guard."""

import json
import time

import click

from hmac_guard.cli.arguments import takes_ids
from hmac_guard.cli.errors import CliError
from hmac_guard.cli.key_options import takes_key
from hmac_guard.cli.rows import Row, ids_of, pass_on, refuse_both, takes_rows
from hmac_guard.core.decision import judge
from hmac_guard.core.key import Key, Keyring
from hmac_guard.core.message import compose
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.text import is_id
from hmac_guard.core.verdict import Claim, Reason

_MEANING = {
    Reason.INVALID_SIGNATURE: "the key, an id, or the way of signing is another one",
    Reason.MALFORMED: "an id is empty, too long, has odd characters, or cannot travel where the scheme has it",
    Reason.AMBIGUOUS: "an id holds the text that separates it from the next one",
}


@click.command("verify")
@takes_ids
@takes_key
@click.option("--signature", help="The signature, as it travels.")
@click.option("--json", "in_json", is_flag=True, help="Print JSON, for programs.")
@takes_rows
@click.pass_context
def command(
    ctx: click.Context,
    scheme: Scheme,
    ids: dict[str, str],
    key: Key,
    signature: str | None,
    in_json: bool,
    rows: str | None,
) -> None:
    """Say whether a signature proves some ids, or why it does not.

    SCHEME and the key are as in `hmac-guard sign`. The exit code is 0 where the
    ids are verified, 1 where they are not, and 2 where the question was wrong.

    \b
      hmac-guard verify suprsend distinct_id=user-42 --signature 6mbM... \\
        --key-file inbox.key

    With --rows ids and `signature` come from stdin, and each row goes on with
    `verified` and `reason`. The exit code is 0 where all are verified.

    \b
      hmac-guard verify nango --rows jsonl --key-env KEY < signed.jsonl
    """
    if rows is not None:
        refuse_both(ids or signature)
        ctx.exit(0 if _verify_rows(scheme, key, rows) else 1)
    if signature is None:
        raise CliError("the signature is missing; add --signature SIGNATURE")
    reason = _reason(scheme, ids, key, signature)
    verified = reason is Reason.VERIFIED
    if in_json:
        click.echo(json.dumps(_answer(reason)))
    else:
        click.echo("verified" if verified else f"not verified: {reason} ({_MEANING[reason]})")
    ctx.exit(0 if verified else 1)


def _answer(reason: Reason) -> dict[str, str | bool]:
    return {"verified": reason is Reason.VERIFIED, "reason": reason.value}


def _verify_rows(scheme: Scheme, key: Key, form: str) -> bool:
    """Whether all rows of stdin are verified."""
    reasons: set[Reason] = set()

    def answer(row: Row) -> Row:
        reason = _row_reason(scheme, key, row)
        reasons.add(reason)
        return _answer(reason)

    pass_on(form, answer)
    return reasons <= {Reason.VERIFIED}


def _row_reason(scheme: Scheme, key: Key, row: Row) -> Reason:
    ids, signature = ids_of(row, scheme.ids), row.get("signature")
    if any(name not in ids for name in scheme.ids if name not in scheme.optional):
        return Reason.MISSING_ID
    if signature in (None, ""):
        return Reason.MISSING_SIGNATURE
    if not all(isinstance(text, str) for text in (*ids.values(), signature)):
        return Reason.MALFORMED
    return _reason(scheme, ids, key, signature)


def _reason(scheme: Scheme, ids: dict[str, str], key: Key, signature: str) -> Reason:
    missing = [name for name in scheme.ids if name not in ids and name not in scheme.optional]
    if missing:
        raise CliError(f"the id {missing[0]!r} is missing; add {missing[0]}=VALUE")
    message, problem = _message(scheme, ids)
    claim = Claim(scheme.name, ids, None, message, signature.encode(errors="replace"), problem)
    return judge(scheme, claim, Keyring(key), time.time()).reason


def _message(scheme: Scheme, ids: dict[str, str]) -> tuple[bytes, Reason | None]:
    if not all(is_id(text) and scheme.ids[name].carries(text) for name, text in ids.items()):
        return b"", Reason.MALFORMED
    message = compose(scheme.parts, ids)
    return (b"", Reason.AMBIGUOUS) if message is None else (message, None)
