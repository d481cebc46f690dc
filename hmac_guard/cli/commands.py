"""The commands of `hmac-guard`."""

from importlib import import_module
from typing import Any

import click

from hmac_guard.cli.output import (
    CliError,
    Suggesting,
    escape_what_stdout_cannot_encode,
    follow_environment,
    reporting_lost_output,
)
from hmac_guard.core.errors import ConfigError, KeysUnavailable

#: Where each command is: its module in this folder, and its name in it. A module is imported when its command is used.
COMMANDS = {
    "keygen": "keygen:command",
    "sign": "signatures:sign",
    "verify": "signatures:verify",
    "explain": "explain:command",
    "snippet": "snippet:command",
    "schemes": "schemes:command",
    "keys": "keys:command",
    "console": "console:command",
    "demo": "demo:command",
    "completion": "completion:command",
}


class Commands(Suggesting):
    """Finds a command by its name, and prints errors of the configuration and of keys, and Ctrl-C, as one sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name].split(":")
        command: click.Command = getattr(import_module(f"hmac_guard.cli.{module}"), name)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with reporting_lost_output():  # Of --help and --version.
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with reporting_lost_output():
                return super().invoke(ctx)
        except (ConfigError, KeysUnavailable) as error:
            raise CliError(str(error)) from None
        except (click.Abort, EOFError, KeyboardInterrupt):  # click exits with 1, which means "not verified".
            raise CliError("stopped") from None


@click.command(cls=Commands)
@click.version_option(package_name="hmac-guard", message="%(version)s")
@click.pass_context
def hmac_guard(ctx: click.Context) -> None:
    """Make keys, make and check the signatures of ids, and explain refusals.

    \b
      hmac-guard keygen > inbox.key
      hmac-guard sign suprsend distinct_id=user-42 --key-file inbox.key
      hmac-guard demo

    On a terminal the output has colour, unless the variable NO_COLOR is set.
    """
    follow_environment(ctx)
    escape_what_stdout_cannot_encode()
