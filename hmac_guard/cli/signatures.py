"""`hmac-guard sign` and `hmac-guard verify`: make signatures of ids, and check them with the code of a guard."""

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from time import monotonic
from time import time as clock
from typing import Any

import click

from hmac_guard.cli.arguments import other_arguments, others_in, takes_ids
from hmac_guard.cli.key_options import check_keys, key_options, ring_of, takes_key, takes_tenant
from hmac_guard.cli.options import takes_json
from hmac_guard.cli.output import CliError, bad, echo_utf_8, good, standard_input
from hmac_guard.core.errors import ConfigError
from hmac_guard.core.items import item_values, one_of
from hmac_guard.core.key import Key, Keyring
from hmac_guard.core.message import METHOD, compose
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.signed_body import read_body
from hmac_guard.core.signing import names_of_parts
from hmac_guard.core.sources import METHOD_NAME, HeaderItem
from hmac_guard.core.text import is_id
from hmac_guard.core.times import is_time
from hmac_guard.core.verdict import Reason, Refused
from hmac_guard.explain.items import items_in

Row = dict[str, Any]
#: Writes a row. Takes the text of each field that was read, and the fields to add.
_Write = Callable[[dict[str, str], Row], None]
#: Seconds between two updates of the progress bar. An update for each row would print more than the rows.
_REDRAW = 0.1

takes_rows = click.option(
    "--rows",
    type=click.Choice(["jsonl", "csv"]),
    help="Read rows from stdin: one JSON object per line, or CSV with the names in the first line.",
)

_MEANING = {
    Reason.INVALID_SIGNATURE: "the signer used another key, another id, or signed differently",
    Reason.MALFORMED: (
        "an id is empty, too long, has invalid characters, or cannot be sent where the scheme reads it; or a time, the "
        "method or the body has a wrong form"
    ),
    Reason.MISSING_ID: "the body is empty, and nothing else is signed",
    Reason.CONFLICT: "the body has an id or a time twice, or another one than is given",
    Reason.AMBIGUOUS: "an id contains the separator between it and the next id",
    Reason.EXPIRED: "the signature is correct, but it has expired",
    Reason.NOT_YET_VALID: "the signature is correct, but its time is in the future, or its lifetime is too long",
}


@click.command("sign")
@takes_ids
@takes_key
@takes_rows
def sign(scheme: Scheme, ids: dict[str, str], others: dict[str, Any], key: Key, rows: str | None) -> None:
    """Print the signature for some ids.

    SCHEME is the name of a preset (see `hmac-guard schemes`), or MODULE:OBJECT
    for your own scheme. The key comes from --key-env, --key-file or a hidden
    prompt.

    \b
      hmac-guard sign suprsend distinct_id=user-42 --key-env INBOX_SECRET
      hmac-guard sign shop.guards:ORDERS tenant_id=acme order_id=42

    Give other parts of the message like an id: timestamp=, expires=, method=,
    and body=TEXT or body=@FILE. If an id is called so, write @method= or @body=.

    \b
      hmac-guard sign stripe timestamp=$(date +%s) body=@event.json --key-env KEY

    With --rows the ids come from stdin, and each row is printed with its
    signature. SCHEME is then the only argument.

    \b
      hmac-guard sign nango --rows csv --key-file nango.key < ids.csv > signed.csv
    """
    if rows is None:
        _check_others(scheme, others)
        click.echo(scheme.sign(key, ids, **others))
        return
    check_no_arguments(ids or others)
    process_rows(rows, lambda row: {"signature": scheme.sign(key, ids_of(row, scheme.ids), **others_in(scheme, row))})


@click.command("verify")
@takes_ids
@takes_tenant
@key_options
@click.option("--signature", help="The signature, as it is sent.")
@takes_json
@takes_rows
@click.pass_context
def verify(
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
    are verified, 1 if they are not, and 2 if the command was used incorrectly.

    \b
      hmac-guard verify suprsend distinct_id=user-42 --signature 6mbM... \\
        --key-file inbox.key

    With --rows the ids and `signature` come from stdin, and each row is printed
    with `verified` and `reason`. The exit code is 0 if all rows are verified.

    \b
      hmac-guard verify nango --rows jsonl --key-env KEY < signed.jsonl
    """
    keys = ring_of(ring, key_env, key_file, key_form)
    check_keys(scheme, keys.keys)
    if rows is not None:
        check_no_arguments(ids or others or signature)
        ctx.exit(0 if _verify_rows(scheme, keys, rows) else 1)
    if signature is None:
        raise CliError("the signature is missing; add --signature SIGNATURE")
    _check_complete(scheme, ids, others, signature)
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
    try:
        others = others_in(scheme, row)
    except ConfigError:
        return Reason.MALFORMED
    if any(name not in others for name in names_of_parts(scheme)):
        return Reason.MISSING_SIGNATURE
    is_other = _other_item(scheme, ids, others, signature) is not None
    return Reason.CONFLICT if is_other else _reason(scheme, ids, others, keys, signature)


def _check_complete(scheme: Scheme, ids: dict[str, str], others: dict[str, Any], signature: str) -> None:
    """Raise `CliError` if something that is signed is missing, or differs from the header with the signature."""
    missing = [name for name in scheme.ids if name not in ids and name not in scheme.optional]
    if missing:
        raise CliError(f"the id {missing[0]!r} is missing; add {missing[0]}=VALUE")
    _check_others(scheme, others)
    other = _other_item(scheme, ids, others, signature)
    if other is not None:
        raise CliError(f"the header in --signature has another {other}; give the {other} that is in the header")


def _check_others(scheme: Scheme, others: dict[str, Any]) -> None:
    """Raise `CliError` if a time, the method or the body is missing."""
    absent = [(argument, name) for argument, name in other_arguments(scheme).items() if name not in others]
    if absent:
        argument, name = absent[0]
        raise CliError(f"the scheme signs {name}; add {argument}=VALUE")


def _other_item(scheme: Scheme, ids: dict[str, str], others: dict[str, Any], signature: str) -> str | None:
    """Return the name of an id or a time that has another value in a whole header with the signature, or None."""
    items, given = items_in(scheme, signature), {**others, **ids}
    fields = [*scheme.id_fields, *(time.field for time in scheme.times)]
    sent = [(field.name, items[field.label]) for field in fields if field.label in items]
    return next((name for name, text in sent if text != str(given.get(name, ""))), None)


def _reason(scheme: Scheme, ids: dict[str, str], others: dict[str, Any], keys: Keyring, signature: str) -> Reason:
    message = _message(scheme, ids, others)
    if isinstance(message, Reason):
        return message
    texts = _times(scheme, others)
    read = read_body(scheme, {**ids, **texts}, others.get("body", b""))
    if isinstance(read, Refused):
        return read.reason
    texts |= read
    active = keys.active(clock())
    if not active:
        return Reason.UNKNOWN_KEY
    if scheme.verifying_key(active, message, _sent(scheme, signature)) is None:
        return Reason.INVALID_SIGNATURE
    outside = (time.refuse(int(texts[time.name]), clock()) for time in scheme.times if time.name in texts)
    return next((refused.reason for refused in outside if refused is not None), Reason.VERIFIED)


def _times(scheme: Scheme, others: dict[str, Any]) -> dict[str, str]:
    return {time.name: str(others[time.name]) for time in scheme.times if time.name in others}


def _sent(scheme: Scheme, signature: str) -> bytes | tuple[bytes, ...]:
    """Return the signature, and those in it if it is the whole value of a header with items."""
    texts = [signature]
    for place in scheme.signature.places():
        if not isinstance(place, HeaderItem):
            continue
        items = item_values(signature, place.between, place.inner, {place.key})
        found = None if isinstance(items, Refused) else one_of(items.get(place.key), is_signature=True)
        texts += [found] if isinstance(found, str) else found if isinstance(found, list) else []
    first, *others = (text.encode(errors="replace") for text in texts)
    return (first, *others) if others else first


def _message(scheme: Scheme, ids: dict[str, str], others: dict[str, Any]) -> bytes | Reason:
    """Return the signed bytes, or why a guard would refuse them."""
    times = _times(scheme, others)
    method, body = str(others.get("method", "")), others["body"] if scheme.signs_body else b""
    is_well_formed = (
        all(is_id(text) and scheme.ids[name].can_carry(text) for name, text in ids.items())
        and all(map(is_time, times.values()))
        and (METHOD_NAME.fullmatch(method) or not scheme.signs_method)
        and isinstance(body, bytes)
    )
    if not is_well_formed:
        return Reason.MALFORMED
    if scheme.signs_body_alone and not body:
        return Reason.MISSING_ID
    message = compose(scheme.parts, {**ids, **times, METHOD: method})
    return Reason.AMBIGUOUS if message is None else message + body


def process_rows(form: str, work: Callable[[Row], Row]) -> None:
    """Write each row of stdin to stdout in the same form, with the fields that `work` returns added.

    The other fields stay as they are written: a float would lose digits of a number.

    Args:
        form: "jsonl" or "csv".
        work: Returns the fields to add to a row.

    Raises:
        CliError: A row cannot be read, or `work` raises a `ConfigError`. The message names the line.
    """
    with _progress() as count:
        rows = _json_rows(_lines(count)) if form == "jsonl" else _csv_rows(_lines(count))
        write = _write_json if form == "jsonl" else _csv_writer()
        for number, row, written in rows:
            try:
                write(written, work(row))
            except ConfigError as error:
                raise CliError(f"line {number}: {error}") from None


def check_no_arguments(given: object) -> None:
    """Raise `CliError` if ids or a signature are given on the command line together with --rows."""
    if given:
        raise CliError("--rows reads ids and signatures from stdin; remove them from the command")


def ids_of(row: Row, names: Any) -> dict[str, Any]:
    """Return the ids in a row. An empty cell counts as a missing id."""
    return {name: row[name] for name in names if row.get(name) not in (None, "")}


@contextmanager
def _progress() -> Iterator[Callable[[int], None]]:
    """Yield a function that takes the number of bytes read. The bar is shown if only stderr is a terminal."""
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield lambda size: None
        return
    length = os.fstat(standard_input().fileno()).st_size or None
    with click.progressbar(iter(()), length=length, label="bytes", show_pos=True, file=sys.stderr) as bar:
        waiting, shown_at = 0, monotonic()

        def count(size: int) -> None:
            nonlocal waiting, shown_at
            waiting += size
            if monotonic() - shown_at >= _REDRAW:
                bar.update(waiting)
                waiting, shown_at = 0, monotonic()

        yield count
        bar.update(waiting)


def _lines(count: Callable[[int], None]) -> Iterator[str]:
    for number, line in enumerate(standard_input(), 1):
        count(len(line))
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise CliError(f"line {number} is not UTF-8; convert the input first") from None


def _json_rows(lines: Iterator[str]) -> Iterator[tuple[int, Row, dict[str, str]]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=partial(_without_repeats, number))
            written = dict(_members(line)) if isinstance(row, dict) else None
        except (ValueError, RecursionError):
            written = None
        if written is None:
            raise CliError(f"line {number} is not a JSON object; give one object per line")
        yield number, row, written


def _members(line: str) -> Iterator[tuple[str, str]]:
    """Yield the names of a JSON object, each with the text of the whole member."""
    read, end = json.JSONDecoder().raw_decode, line.index("{") + 1
    while line[start := _next_token(line, end)] != "}":
        name, end = read(line, start)
        _, end = read(line, _next_token(line, end))
        yield name, line[start:end]


def _next_token(line: str, end: int) -> int:
    return next(index for index in range(end, len(line)) if line[index] not in " \t\r\n:,")


def _without_repeats(line: int, pairs: list[tuple[str, Any]]) -> Row:
    """Return the pairs as a dict. Raise `CliError` if a name is there twice: only one of the values would be signed."""
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in row if names.count(name) > 1)
        raise CliError(f"line {line} has the name {twice!a} twice; give each name once")
    return row


def _csv_rows(lines: Iterator[str]) -> Iterator[tuple[int, Row, dict[str, str]]]:
    reader = csv.reader(lines, strict=True)
    try:
        names = next(reader, [])
        _without_repeats(1, [(name, None) for name in names if name])
        for cells in filter(None, reader):
            if len(cells) != len(names):
                raise CliError(f"line {reader.line_num} has a different number of cells than the first line")
            # A spreadsheet adds empty columns without a name. They are written as one.
            if names.count("") > 1 and any(cell for name, cell in zip(names, cells, strict=True) if not name):
                raise CliError(f"line {reader.line_num} has a cell without a name; name its column in the first line")
            row = dict(zip(names, cells, strict=True))
            yield reader.line_num, row, row
    except csv.Error as error:
        raise CliError(f"line {reader.line_num} is not CSV: {error}") from None


def _write_json(written: dict[str, str], added: Row) -> None:
    members = written | {name: f"{json.dumps(name)}: {json.dumps(value)}" for name, value in added.items()}
    echo_utf_8(f"{{{', '.join(members.values())}}}\n")


def _csv_writer() -> _Write:
    names: list[str] = []

    def write(written: dict[str, str], added: Row) -> None:
        row = written | {
            name: str(value).lower() if isinstance(value, bool) else value for name, value in added.items()
        }
        first = not names
        names.extend(row if first else ())
        echo_utf_8((_csv_line(names) if first else "") + _csv_line([row[name] for name in names]))

    return write


def _csv_line(cells: Iterable[Any]) -> str:
    text = io.StringIO()
    # The writer quotes the characters of its line end, and a reader refuses a CR without quotes.
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue().removesuffix("\r\n") + "\n"
