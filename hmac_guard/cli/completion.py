"""`hmac-guard completion`: prints what makes a shell complete the command."""

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete


class _Bash(BashComplete):
    """Adds no space behind `name=`, since its value follows."""

    source_template = BashComplete.source_template.replace(
        "COMPREPLY+=($value)", "COMPREPLY+=($value)\n            [[ $value == *= ]] && compopt -o nospace"
    )


class _Zsh(ZshComplete):
    """Adds no space behind `name=`, since its value follows."""

    source_template = ZshComplete.source_template.replace(
        "compadd -U -V unsorted -a completions",
        "compadd -U -V unsorted -S '' -- ${(M)completions:#*=}\n        compadd -U -V unsorted -- ${completions:#*=}",
    )


SHELLS: dict[str, type[ShellComplete]] = {"bash": _Bash, "zsh": _Zsh, "fish": FishComplete}


@click.command("completion")
@click.argument("shell", type=click.Choice(list(SHELLS)))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that makes SHELL complete commands, options, schemes and ids.

    \b
      hmac-guard completion bash > ~/.hmac-guard.bash  # source it in ~/.bashrc
      hmac-guard completion zsh > ~/.zfunc/_hmac-guard
      hmac-guard completion fish > ~/.config/fish/completions/hmac-guard.fish
    """
    click.echo(SHELLS[shell](ctx.find_root().command, {}, "hmac-guard", "_HMAC_GUARD_COMPLETE").source())
