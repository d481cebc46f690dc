"""The commands of `hmac-guard`.

Each is called `command` and stands in the module of its name beside this one; it is imported only where it is used.
"""

from importlib import import_module
from typing import Any

import click

from hmac_guard.cli.errors import CliError, Suggesting
from hmac_guard.core.errors import ConfigError, KeysUnavailable

COMMANDS = (
    "keygen",
    "sign",
    "verify",
    "explain",
    "snippet",
    "schemes",
    "keys",
    "demo",
)


class Commands(Suggesting):
    """Finds a command by its name, and turns a mistake in what it was given into one sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"hmac_guard.cli.{cmd_name}").command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (ConfigError, KeysUnavailable) as error:
            raise CliError(str(error)) from None


@click.command(cls=Commands)
@click.version_option(package_name="hmac-guard", message="%(version)s")
def hmac_guard() -> None:
    """Makes and checks the signatures that prove ids: keys, signatures, schemes, and a demo."""
