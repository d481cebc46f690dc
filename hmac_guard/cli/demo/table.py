"""Sends the requests of the demo and prints what became of each, in one table."""

from collections.abc import Mapping, Sequence

import click

from hmac_guard.cli.demo.cases import Case
from hmac_guard.cli.demo.processes import App
from hmac_guard.cli.demo.wire import Answer, send

_ROW = "{:8} {:37} {:>8} {:>5}  {}"


def run(cases: Sequence[Case], apps: Mapping[str, App]) -> int:
    """Print a row for each case. Gives the number of those that came out otherwise than they should."""
    click.echo(_ROW.format("APP", "REQUEST", "EXPECTED", "GOT", "REASON"))
    wrong = sum(not _row(case, apps[case.app]) for case in cases)
    click.echo()
    click.echo(f"{len(cases)} requests, {len(cases) - wrong} as expected" + (f", {wrong} NOT" if wrong else ""))
    return wrong


def _row(case: Case, app: App) -> bool:
    number = app.judged
    answer = send(case.request, app.port)
    reason = app.reason(number)
    right = (answer.status, reason) == (case.status, case.reason) and answer.document().get("ids") == case.ids
    row = _ROW.format(case.app, case.title, case.status, answer.status or "-", reason or "-")
    click.echo(row if right else click.style(f"{row}  <-- {_difference(case, answer, reason)}", fg="red"))
    return right


def _difference(case: Case, answer: Answer, reason: str) -> str:
    if reason != case.reason:
        return f"not {case.reason}"
    if answer.status != case.status:
        return f"not {case.status}"
    return f"ids {answer.document().get('ids')}, not {case.ids}"
