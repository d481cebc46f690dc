"""`hmac-guard demo`: sends good and bad requests to three guarded applications, and prints the answers."""

import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec

import click

from hmac_guard.cli.demo.processes import App, running
from hmac_guard.cli.demo.requests import HOST, SAMPLES, Answer, Case, all_cases, new_keys, send
from hmac_guard.cli.options import filled
from hmac_guard.cli.output import CliError, bad, good, header

NEEDED = ("flask", "fastapi", "django", "uvicorn", "waitress")
_ROW = "{:8} {:37} {:>8} {:>5}  {}"


@click.command("demo")
@click.option(
    "--serve", is_flag=True, help="Keep the servers running, and serve a page where you can try signed requests."
)
@click.option(
    "--host",
    default=HOST,
    callback=filled,
    show_default=True,
    help="With --serve: the address or name at which it listens.",
)
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="With --serve: the port; default: a free one.")
def command(serve: bool, host: str, port: int) -> None:
    """Guard a Flask, a FastAPI and a Django application, and attack them.

    The three applications run on waitress and uvicorn, on free ports of this
    machine. The demo sends them good, tampered, unsigned, duplicated and
    malformed requests over sockets. The exit code is 1 if an answer is not the
    expected one.

    \b
      hmac-guard demo
      hmac-guard demo --serve --port 8000
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise CliError(f"the demo needs {', '.join(missing)}: pip install 'hmac-guard[demo]'")
    sys.exit(serve_page(host, port) if serve else send_all())


def send_all() -> int:
    """Send every request once. Return the exit code: 1 if an answer is not the expected one."""
    keys = new_keys()
    with running(keys) as apps:
        return int(run(all_cases(keys), apps) > 0)


def serve_page(host: str = HOST, port: int = 0) -> int:
    """Serve the page until Ctrl-C. Return the exit code.

    Raises:
        CliError: The page cannot listen there.
    """
    if host in ("", "0.0.0.0", "::"):  # noqa: S104 - they are refused here
        raise CliError("--host must be the one address or name that you open in the browser, such as 127.0.0.1")
    import waitress

    from hmac_guard.cli.demo.serving import console_with_traffic, make_page

    with suppress(KeyboardInterrupt), _listener(host, port) as listener:
        keys = new_keys()
        origin = f"http://{host}:{listener.getsockname()[1]}"
        with running(keys, origin, host) as apps, console_with_traffic(keys, apps) as link:
            print_samples(origin, apps, keys, host)
            if link and host in (HOST, "localhost"):  # The console listens on loopback alone.
                click.echo(f"The console, with requests to the Django application: {link}")
                click.echo("It uses copies of the keys: a change there does not change the applications.\n")
            waitress.serve(make_page(apps, keys, host), sockets=[listener], _quiet=True)
    return 0


def _listener(host: str, port: int) -> socket.socket:
    try:
        host.encode("idna")  # A socket that cannot encode the name is not closed.
        return socket.create_server((host, port))
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", error)
        raise CliError(f"{host}:{port} cannot be used ({why}); give another --host or --port") from None


def print_samples(origin: str, apps: Mapping[str, App], keys: Mapping[str, str], host: str = HOST) -> None:
    """Print the address of the page, and a signed request for each sample."""
    click.echo(f"Open {origin}/ in a browser, or send the requests below. Press Ctrl-C to stop.")
    for sample in SAMPLES:
        click.echo(header(f"\n# {sample.app}: {sample.name}, signed"))
        click.echo(sample.signed(keys).curl(apps[sample.app].port, host))
    click.echo("\nChange an id or the signature: the guard refuses the request. The log of the guards:\n")


def run(cases: Sequence[Case], apps: Mapping[str, App]) -> int:
    """Send each request and print one table row for it. Return the number of unexpected answers."""
    click.echo(header(_ROW.format("APP", "REQUEST", "EXPECTED", "GOT", "REASON")))
    wrong = sum(not _row(case, apps[case.app]) for case in cases)
    click.echo()
    summary = f"{len(cases)} requests, {len(cases) - wrong} as expected"
    click.echo(bad(f"{summary}, {wrong} NOT") if wrong else good(summary))
    return wrong


def _row(case: Case, app: App) -> bool:
    number = app.verdict_count
    answer = send(case.request, app.port)
    reason = app.reason(number)
    right = (answer.status, reason) == (case.status, case.reason) and answer.document().get("ids") == case.ids
    row = _ROW.format(case.app, case.title, case.status, answer.status or "-", reason or "-")
    shown = row.removesuffix(reason) + (good(reason) if case.ids else reason)
    click.echo(shown if right else bad(f"{row}  <-- {_difference(case, answer, reason)}"))
    return right


def _difference(case: Case, answer: Answer, reason: str) -> str:
    if reason != case.reason:
        return f"not {case.reason}"
    if answer.status != case.status:
        return f"not {case.status}"
    return f"ids {answer.document().get('ids')}, not {case.ids}"
