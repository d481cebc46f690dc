"""Colour, progress, help and completion of the commands, on real terminals and in real shells."""

import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("click", reason="not run: click is not installed")
pytest.importorskip("jinja2", reason="not run: Jinja2 is not installed")

import click
from click.testing import CliRunner

from hmac_guard import Key
from hmac_guard.cli.commands import COMMANDS, hmac_guard

KEY = "8f1c6f0f5b1f4b6d9f6a2d7e4c3b2a19"
Key(KEY)  # `secrecy.py` then checks that no command prints it.


def on_terminal(*words: str, given: str = "", out: bool = True, **environ: str) -> str:
    """Return what a command writes to a terminal: stdout and stderr, or without `out` only stderr."""
    master, slave = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    with tempfile.TemporaryFile("w+") as rows:
        rows.write(given)
        rows.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-m", "hmac_guard.cli", *words],
            env={**kept, "KEY": KEY, "TERM": "xterm", **environ},
            stdin=rows,
            stdout=slave if out else subprocess.DEVNULL,
            stderr=slave,
        )
    with process:
        os.close(slave)
        read: list[bytes] = []
        try:
            while piece := os.read(master, 65_536):
                read.append(piece)
        except OSError:  # On Linux this means that the other end is closed.
            pass
    os.close(master)
    return b"".join(read).decode()


VERIFY = ("verify", "suprsend", "distinct_id=u1", "--key-env", "KEY", "--signature")


def test_a_terminal_gets_colour_unless_no_color_is_set() -> None:
    assert on_terminal(*VERIFY, "x").startswith("\x1b[31mnot verified\x1b[0m: invalid_signature")
    assert on_terminal(*VERIFY, "x", NO_COLOR="1").startswith("not verified: invalid_signature")
    assert "\x1b[31mError\x1b[0m: the signature is missing" in on_terminal(*VERIFY[:-1])
    assert "Error: the signature is missing" in on_terminal(*VERIFY[:-1], NO_COLOR="1")


def test_a_pipe_gets_no_colour() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "hmac_guard.cli", *VERIFY, "x"],
        env={**os.environ, "KEY": KEY},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "\x1b" not in result.stdout + result.stderr


def test_the_progress_bar_is_updated_a_few_times_per_second() -> None:
    """An update for each row would write 1.4 MB for 20,000 rows."""
    rows = "".join(f'{{"distinct_id": "user-{number}"}}\n' for number in range(5_000))
    written = on_terminal("sign", "suprsend", "--rows", "jsonl", "--key-env", "KEY", given=rows, out=False)

    assert "bytes" in written
    assert len(written) < 10_000


def every_command(group: click.Group = hmac_guard, *before: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*before, name), command
        if isinstance(command, click.Group):
            yield from every_command(command, *before, name)


ALL = dict(every_command())


@pytest.mark.parametrize("names", list(ALL), ids=" ".join)
def test_each_help_shows_examples_that_are_accepted(names: tuple[str, ...]) -> None:
    result = CliRunner().invoke(hmac_guard, [*names, "--help"])
    text = result.output.replace("\\\n", " ")
    examples = [
        re.split(r" [|<>] ", line[line.index("hmac-guard") :])[0] for line in text.splitlines() if EXAMPLE(line)
    ]

    assert (result.exit_code, bool(examples)) == (0, True)
    for example in examples:
        _, *words = shlex.split(example.replace("$(date +%s)", "1"))
        command: Any = hmac_guard
        while isinstance(command, click.Group):
            command = command.get_command(click.Context(command), words.pop(0))
        with command.make_context("example", words, resilient_parsing=False):
            pass


#: Options of text for which an empty text is a value: a filter that lets everything pass, and a signature to check.
MAY_BE_EMPTY = {"--after", "--prefix", "--mount", "--signature"}

OPTIONS = [
    pytest.param(command, option, id=" ".join((*names, option.opts[0])))
    for names, command in ALL.items()
    for option in command.params
    if isinstance(option, click.Option) and not option.is_flag and option.opts[0] not in MAY_BE_EMPTY
]


@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_an_empty_option_is_an_error_that_names_it(command: click.Command, option: click.Option) -> None:
    with pytest.raises(click.BadParameter) as raised:
        command.make_context("example", [option.opts[0], ""])

    assert raised.value.exit_code == 2
    assert raised.value.param is option


EXAMPLE = re.compile(r"^  (  )?(\w+ \| )?hmac-guard ").match


def test_each_command_is_in_the_help() -> None:
    result = CliRunner().invoke(hmac_guard, ["--help"])

    assert [name for name in COMMANDS if f"  {name} " not in result.output] == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["si"], ["sign"]),
        (["sign", "na"], ["nango"]),
        (["sign", "nango", ""], ["integration_id=", "connection_id="]),
        (["verify", "nango", "connection_id=c", ""], ["integration_id="]),
        (["sign", "stripe", "t"], ["timestamp="]),
        (["sign", "nango", "--rows", "csv", ""], []),
        (["verify", "--rows", "jsonl", "nango", "c"], []),
        (["sign", "--scheme", "app:INBOX", ""], []),
        (["snippet", "--scheme", "app:INBOX", "na"], []),
        (["snippet", "na"], ["nango"]),
        (["snippet", "nango", ""], []),
        (["snippet", "nango", "--lang", "go"], ["go"]),
        (["explain", "na"], ["nango"]),
        (["explain", "nango", ""], []),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["keys", "read"], ["readiness"]),
        (["console", "--scheme", "na"], ["nango"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_bash_completes(words: list[str], expected: list[str]) -> None:
    result = subprocess.run(
        [sys.executable, "-c", "from hmac_guard.cli import main; main()"],
        env={
            **os.environ,
            "_HMAC_GUARD_COMPLETE": "bash_complete",
            "COMP_WORDS": shlex.join(["hmac-guard", *words[:-1]]) + f" {words[-1]}",
            "COMP_CWORD": str(len(words)),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stderr == ""
    assert [line.split(",", 1)[1] for line in result.stdout.splitlines() if line] == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_accepts_its_completion_script(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"not run: {shell} is not installed")
    script = tmp_path / "script"
    script.write_text(CliRunner().invoke(hmac_guard, ["completion", shell]).output)

    assert "_HMAC_GUARD_COMPLETE" in script.read_text()
    subprocess.run([shell, "-n", str(script)], check=True)
