"""`hmac-guard console`: serves the operator's console on this machine."""

import errno
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import click

from hmac_guard.cli.arguments import complete_preset, find_scheme
from hmac_guard.cli.key_options import takes_store
from hmac_guard.cli.keys import who
from hmac_guard.cli.options import filled
from hmac_guard.cli.output import CliError, has_terminal
from hmac_guard.core.hidden import Hidden

DEFAULT_DB = "sqlite:///keys.db"

#: Seconds until the next read of a terminal that had no line.
_PAUSE = 1.0


@click.command("console")
@click.option(
    "--scheme",
    "names",
    multiple=True,
    required=True,
    metavar="SCHEME",
    callback=filled,
    shell_complete=complete_preset,
    help="The scheme of the guard: the name of a preset, or MODULE:OBJECT. Give it once for each scheme.",
)
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="The port; default: a free one.")
@partial(takes_store, default=DEFAULT_DB)
def command(keys: Any, names: tuple[str, ...], port: int) -> None:
    """Serve the console on 127.0.0.1, with pages for tenants, keys and modes.

    The default database is the SQLite file keys.db. The command creates its
    tables if they do not exist, and prints a link that works once, for 15
    minutes. Press Enter for another link, and Ctrl-C to stop.

    \b
      hmac-guard console --scheme nango
      hmac-guard console --db postgresql+psycopg://user@host/name --scheme nango
    """
    from hmac_guard.console.standalone import Standalone, serve
    from hmac_guard.keys.sql.resolver import shown_url

    schemes = [find_scheme(name) for name in names]  # Before a wrong name leaves a database behind.
    keys.create_table()
    app = Standalone(keys, schemes, who()["actor"])
    try:
        server = serve(app, port)
    except OSError as error:
        why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        raise CliError(f"the port {port} {why}; give another one with --port") from None
    click.echo(f"The console of {shown_url(keys.engine)}. Press Ctrl-C to stop.")
    new_link = partial(app.new_link, server.port)
    _print_link(new_link)
    if has_terminal():
        threading.Thread(target=_print_links, args=[new_link], daemon=True).start()
    with suppress(KeyboardInterrupt):
        server.serve_forever()
    server.server_close()


def _print_link(new_link: Callable[[], Hidden[str]]) -> None:
    click.echo(f"Open {new_link().get()}")
    click.echo("It works once, for 15 minutes." + (" Press Enter for another one." if has_terminal() else ""))


def _print_links(new_link: Callable[[], Hidden[str]]) -> None:
    """Print a link for each line of the terminal, until the terminal is closed."""
    # Without this signal a read in the background is an error. With it, the whole process stops.
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTIN})
    while has_terminal():
        if _read_line():
            _print_link(new_link)
        else:
            time.sleep(_PAUSE)


def _read_line() -> bytes:
    """Return a line of the terminal. It is empty in the background, and after Ctrl-D."""
    with suppress(OSError):
        # Not `sys.stdin`: if a thread has its lock when the interpreter ends, that is a fatal error.
        return os.read(0, 1_024)
    return b""
