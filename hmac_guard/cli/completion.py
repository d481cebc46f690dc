"""`hmac-guard completion`: prints what makes a shell complete the command."""

import click
from click.shell_completion import get_completion_class

from hmac_guard.cli.output import CliError

SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that makes SHELL complete commands, options, schemes and ids.

    \b
      hmac-guard completion bash > ~/.hmac-guard.bash  # source it in ~/.bashrc
      hmac-guard completion zsh > ~/.zfunc/_hmac-guard
      hmac-guard completion fish > ~/.config/fish/completions/hmac-guard.fish
    """
    found = get_completion_class(shell)
    if found is None:
        raise CliError(f"click has no completion for {shell}; give one of {', '.join(SHELLS)}")
    click.echo(found(ctx.find_root().command, {}, "hmac-guard", "_HMAC_GUARD_COMPLETE").source())
