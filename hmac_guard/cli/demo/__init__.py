"""`hmac-guard demo`: sends good and bad requests to three guarded applications, and prints the answers."""

import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec

import click

from hmac_guard.cli.demo.cases import Case, all_cases
from hmac_guard.cli.demo.processes import App, running
from hmac_guard.cli.demo.samples import SAMPLES, new_keys
from hmac_guard.cli.demo.sending import HOST, Answer, send
from hmac_guard.cli.errors import CliError

NEEDED = ("flask", "fastapi", "django", "uvicorn", "waitress")
_ROW = "{:8} {:37} {:>8} {:>5}  {}"


@click.command("demo")
@click.option(
    "--serve", is_flag=True, help="Keep the servers running, and serve a page where you can try signed requests."
)
def command(serve: bool) -> None:
    """Guard a Flask, a FastAPI and a Django application, and attack them.

    The three applications run on waitress and uvicorn, on free ports of this
    machine. The demo sends them good, tampered, unsigned, duplicated and
    malformed requests over sockets. The exit code is 1 if an answer is not the
    expected one.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise CliError(f"the demo needs {', '.join(missing)}: pip install 'hmac-guard[demo]'")
    sys.exit(serve_page() if serve else send_all())


def send_all() -> int:
    """Send every request once. Return the exit code: 1 if an answer is not the expected one."""
    keys = new_keys()
    with running(keys) as apps:
        return int(run(all_cases(keys), apps) > 0)


def serve_page() -> int:
    """Serve the page until Ctrl-C. Return the exit code."""
    import waitress

    from hmac_guard.cli.demo.page import make_page
    from hmac_guard.cli.demo.traffic import console_with_traffic

    keys = new_keys()
    with suppress(KeyboardInterrupt), socket.create_server((HOST, 0)) as listener:
        origin = f"http://{HOST}:{listener.getsockname()[1]}"
        with running(keys, origin) as apps, console_with_traffic(keys, apps) as link:
            print_samples(origin, apps, keys)
            if link:
                click.echo(f"The console, with requests to the Django application: {link}")
                click.echo("It has copies of the keys: what you change there changes no application.\n")
            waitress.serve(make_page(apps, keys), sockets=[listener], _quiet=True)
    return 0


def print_samples(origin: str, apps: Mapping[str, App], keys: Mapping[str, str]) -> None:
    """Print the address of the page, and a signed request for each sample."""
    click.echo(f"Open {origin}/ in a browser, or send the requests below. Press Ctrl-C to stop.")
    for sample in SAMPLES:
        click.echo(f"\n# {sample.app}: {sample.name}, signed")
        click.echo(sample.signed(keys).curl(apps[sample.app].port))
    click.echo("\nChange an id or the signature: the guard refuses the request. The log of the guards:\n")


def run(cases: Sequence[Case], apps: Mapping[str, App]) -> int:
    """Send each request and print one table row for it. Return the number of unexpected answers."""
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
