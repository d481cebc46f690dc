"""The audit: who changed what."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, islice

from werkzeug.wrappers import Response

from hmac_guard.console.context import ISO, Context, attachment, in_utc
from hmac_guard.keys.sql import AuditEntry

#: The entries of a page, and of one query of an export.
PAGE, EXPORT_PAGE = 100, 500

ACTIONS = ("add", "rotate", "retire", "mode", "note", "signature", "reseal", "purge")

#: The beginning of a text that a spreadsheet runs as a formula, also inside of quotes.
_FORMULA = re.compile(r"(^|;)(\"*)(?=[=+\-@\t\r])")


def show_audit(context: Context) -> Response:
    """Return the changes that a filter chooses, the newest first."""
    found = _read(context)(before=context.number("before"), limit=PAGE + 1)
    page = found[:PAGE]
    return context.page(
        "audit.html",
        entries=[(entry, _detail(entry)) for entry in page],
        filters=_filters(context),
        actions=ACTIONS,
        before=context.arg("before"),
        next_before=page[-1].id if len(found) > PAGE else None,
    )


def download_csv(context: Context) -> Response:
    """Return the chosen changes as CSV. Cells that a spreadsheet would run as formulas are escaped."""

    def lines() -> Iterator[str]:
        yield _csv(["number", "time", "tenant", "actor", "origin", "action", "detail"])
        for entry in _entries(context):
            detail = json.dumps(dict(entry.detail), ensure_ascii=False)
            yield _csv([entry.id, _iso(entry.at), entry.tenant, entry.actor, entry.origin, entry.action, detail])

    return _file(lines, "audit.csv", "text/csv; charset=utf-8")


def download_json_lines(context: Context) -> Response:
    """Return the chosen changes as JSON, one object per line."""

    def lines() -> Iterator[str]:
        for entry in _entries(context):
            row = {**entry._asdict(), "at": _iso(entry.at), "detail": dict(entry.detail)}
            yield json.dumps(row, ensure_ascii=False) + "\n"

    return _file(lines, "audit.jsonl", "application/x-ndjson; charset=utf-8")


def _file(lines: Callable[[], Iterator[str]], name: str, content_type: str) -> Response:
    """Return a file that is read and sent in parts. If the first query fails, it fails before the response starts."""
    rest = lines()
    first = list(islice(rest, 2))  # The head of a CSV file, and the first entry.

    def parts() -> Iterator[bytes]:
        for line in chain(first, rest):
            yield line.encode("utf-8", "replace")

    return Response(parts(), content_type=content_type, headers=attachment(name))


def _filters(context: Context) -> dict[str, str]:
    return {name: context.arg(name).strip() for name in ("tenant", "actor", "action")}


def _read(context: Context) -> Callable[..., tuple[AuditEntry, ...]]:
    given = {name: value.replace("\0", "") for name, value in _filters(context).items() if value}
    return partial(context.console.keys.audit, **given)


def _entries(context: Context) -> Iterator[AuditEntry]:
    read, before = _read(context), None
    while page := read(before=before, limit=EXPORT_PAGE):
        yield from page
        before = page[-1].id


def _detail(entry: AuditEntry) -> list[tuple[str, object]]:
    """Return the details of a change. Times are floats, other values are text."""
    found: list[tuple[str, object]] = []
    for name, value in entry.detail.items():
        is_time = name in ("not_before", "not_after", "others_end")
        found.append((name, value if is_time else _text(value)))
    return found


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={text}" for name, text in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _iso(at: float) -> str:
    moment = in_utc(at)
    return "" if moment is None else moment.strftime(ISO)


def _csv(values: list[object]) -> str:
    out = io.StringIO()
    texts = [str(value) for value in values]
    # Some spreadsheets read ";" as the end of a cell.
    csv.writer(out).writerow([_FORMULA.sub(r"\1'\2", text) for text in texts])
    return out.getvalue()
