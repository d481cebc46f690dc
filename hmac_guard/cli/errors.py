"""The error messages of the commands."""

from typing import IO, Any

import click

from hmac_guard.cli.colour import bad
from hmac_guard.core.strict import nearest


class CliError(click.ClickException):
    """One sentence that says what was wrong and what to do. The exit code is 2, because 1 means "not verified"."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(
            f"{bad('Error')}: {self.format_message()}",
            file=file,
            err=file is None,
            color=getattr(self, "show_color", None),
        )


class Suggesting(click.Group):
    """A group that suggests a command if the given name is unknown.

    click does this since 8.4, but only for commands that it has imported.
    """

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        names = self.list_commands(ctx)
        if args and args[0] not in names and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise click.UsageError(f"No such command {args[0]!r}; {nearest(args[0], names)}", ctx)
        return super().resolve_command(ctx, args)
