"""docs/commands.md shows the help of each command, as the commands print it."""

import shlex
from collections.abc import Iterator

import pytest
from documented import blocks

pytest.importorskip("click", reason="not run: click is not installed")

import click
from click.testing import CliRunner

from hmac_guard.cli.commands import hmac_guard as command

SHOWN = {
    block.text.split("\n")[0].removeprefix("$ hmac-guard ").removesuffix(" --help"): block
    for block in blocks("docs/commands.md", "console")
    if block.text.startswith("$ hmac-guard ")
}


def names_of(group: click.Group, before: str = "") -> Iterator[str]:
    context = click.Context(group)
    for name in group.list_commands(context):
        each = group.get_command(context, name)
        if isinstance(each, click.Group):
            yield from names_of(each, f"{before}{name} ")
        else:
            yield before + name


def test_the_page_shows_every_command() -> None:
    assert sorted(SHOWN) == sorted(names_of(command))


@pytest.mark.parametrize("name", SHOWN)
def test_the_help_on_the_page_is_that_of_the_command(name: str) -> None:
    line, _, printed = SHOWN[name].code.partition("\n")

    run = CliRunner().invoke(command, shlex.split(line)[2:], prog_name="hmac-guard", env={"COLUMNS": "80"})

    assert [each.rstrip() for each in run.stdout.splitlines()] == printed.splitlines()
