"""`hmac-guard demo`: three guarded applications on real servers, and what they make of good and bad requests."""

import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec

import click

from hmac_guard.cli.demo.cases import all_cases
from hmac_guard.cli.demo.processes import App, running
from hmac_guard.cli.demo.samples import SAMPLES, new_keys
from hmac_guard.cli.demo.table import run
from hmac_guard.cli.demo.wire import HOST
from hmac_guard.cli.errors import CliError

NEEDED = ("flask", "fastapi", "django", "uvicorn", "waitress")


@click.command("demo")
@click.option("--serve", is_flag=True, help="Keep them up, with signed requests to try and a page in the browser.")
def command(serve: bool) -> None:
    """Guard a Flask, a FastAPI and a Django application, and try to get by.

    The three run on waitress and uvicorn, on free ports of this machine. Good,
    tampered, unsigned, duplicated and malformed requests are sent to them over
    sockets. The exit code is 1 where one comes out otherwise than it should.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise CliError(f"the demo needs {', '.join(missing)}: pip install 'hmac-guard[demo]'")
    sys.exit(keep_up() if serve else try_all())


def try_all() -> int:
    """Send every request once; 1 where one comes out otherwise than it should."""
    keys = new_keys()
    with running(keys) as apps:
        return int(run(all_cases(keys), apps) > 0)


def keep_up() -> int:
    """Serve the page until Ctrl-C."""
    import waitress

    from hmac_guard.cli.demo.page import make_page

    keys = new_keys()
    with suppress(KeyboardInterrupt), socket.create_server((HOST, 0)) as listener:
        origin = f"http://{HOST}:{listener.getsockname()[1]}"
        with running(keys, origin) as apps:
            invite(origin, apps, keys)
            waitress.serve(make_page(apps, keys), sockets=[listener], _quiet=True)
    return 0


def invite(origin: str, apps: Mapping[str, App], keys: Mapping[str, str]) -> None:
    """Say where the page is, and what else can be tried."""
    click.echo(f"Open {origin}/ in a browser, or send the requests below. Ctrl-C ends it.")
    for sample in SAMPLES:
        click.echo(f"\n# {sample.app}: {sample.name}, signed")
        click.echo(sample.signed(keys).curl(apps[sample.app].port))
    click.echo("\nChange an id or the signature, and it is refused. Here is what the guards log:\n")
