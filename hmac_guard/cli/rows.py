"""The option --rows: reads rows from stdin, and writes each row to stdout with the result added."""

import csv
import io
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from hmac_guard.cli.errors import CliError
from hmac_guard.core.errors import ConfigError

Row = dict[str, Any]
#: Seconds between two drawings of the progress bar. For each row, it would write more than the rows.
_REDRAW = 0.1
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")

takes_rows = click.option(
    "--rows",
    type=click.Choice(["jsonl", "csv"]),
    help="Read rows from stdin: one JSON object per line, or CSV with the names in the first line.",
)


def process_rows(form: str, work: Callable[[Row], Row]) -> None:
    """Write each row of stdin to stdout in the same form, with the fields that `work` returns added.

    Args:
        form: "jsonl" or "csv".
        work: Returns the fields to add to a row.

    Raises:
        CliError: A row cannot be read, or `work` raised a `ConfigError`. The message names the line.
    """
    with _progress() as count:
        rows = _json_rows(_lines(count)) if form == "jsonl" else _csv_rows(_lines(count))
        write = _write_json if form == "jsonl" else _csv_writer()
        for number, row in rows:
            try:
                write(row | work(row))
            except ConfigError as error:
                raise CliError(f"line {number}: {error}") from None


def check_no_arguments(given: object) -> None:
    """Raise `CliError` if ids or a signature are given on the command line together with --rows."""
    if given:
        raise CliError("--rows takes ids and signatures from stdin; leave them out of the command")


def ids_of(row: Row, names: Any) -> dict[str, Any]:
    """Return the ids in a row. An empty cell counts as a missing id."""
    return {name: row[name] for name in names if row.get(name) not in (None, "")}


@contextmanager
def _progress() -> Iterator[Callable[[int], None]]:
    """Yield a function that takes the number of bytes read. The bar is drawn if only stderr is a terminal."""
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield lambda size: None
        return
    length = os.fstat(sys.stdin.fileno()).st_size or None
    with click.progressbar(iter(()), length=length, label="bytes", show_pos=True, file=sys.stderr) as bar:
        waiting, shown_at = 0, time.monotonic()

        def count(size: int) -> None:
            nonlocal waiting, shown_at
            waiting += size
            if time.monotonic() - shown_at >= _REDRAW:
                bar.update(waiting)
                waiting, shown_at = 0, time.monotonic()

        yield count
        bar.update(waiting)


def _lines(count: Callable[[int], None]) -> Iterator[str]:
    for number, line in enumerate(sys.stdin.buffer, 1):
        count(len(line))
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise CliError(f"line {number} is not UTF-8; convert the input first") from None


def _json_rows(lines: Iterator[str]) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise CliError(f"line {number} is not a JSON object; give one object per line")
        yield number, row


def _csv_rows(lines: Iterator[str]) -> Iterator[tuple[int, Row]]:
    reader = csv.DictReader(lines, strict=True)
    try:
        for row in reader:
            if None in row or None in row.values():
                raise CliError(f"line {reader.line_num} has a different number of cells than the first line")
            yield reader.line_num, row
    except csv.Error as error:
        raise CliError(f"line {reader.line_num} is not CSV: {error}") from None


def _write_json(row: Row) -> None:
    text = json.dumps(row, ensure_ascii=False)
    # JSON can contain a lone surrogate as an escape. UTF-8 cannot, so it is written as an escape again.
    click.echo(text if _LONE_SURROGATE.search(text) is None else json.dumps(row))


def _csv_writer() -> Callable[[Row], None]:
    names: list[str] = []

    def write(row: Row) -> None:
        text = io.StringIO()
        first = not names
        names.extend(row if first else ())
        writer = csv.DictWriter(text, names, lineterminator="\n")
        if first:
            writer.writeheader()
        writer.writerow({name: str(value).lower() if isinstance(value, bool) else value for name, value in row.items()})
        click.echo(text.getvalue(), nl=False)

    return write
