"""Follows a page of the documentation as a reader does: writes its files, and types its commands into a shell.

The page's code blocks are followed in order. What is done with a block depends on the words behind its three backticks:

- `console`: each line that begins with `$ ` is typed. The lines below it are its output.
- `console server`: the same in its own terminal, and the last command goes on running. The next `console server`
  stops it.
- `text server`: what the server has printed since its last output that the page shows.
- `console not-run`: nothing.
- any other: the block is a file. Its first line is a comment with the file's name.

In an output, a line `...` stands for any number of lines, and `[...]` for a part of a line.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ports import accepts
from waiting import TIMEOUT, becomes_true

#: uvicorn alone waits up to five seconds for a worker that has just started.
STOP_TIMEOUT = 10.0
_BLOCK = re.compile(r"^```(\w+(?: [\w-]+)?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"(?:#|//) ([\w./-]+\.\w+)\n")
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_END = "the command has ended"


@dataclass(frozen=True)
class Block:
    """A code block of a page. `kind` is what is written behind its backticks, and `line` is its place in the page."""

    kind: str
    text: str
    line: int

    def commands(self) -> Iterator[tuple[str, str]]:
        """Return each command with its output."""
        before, *commands = re.split(r"^\$ ", self.text, flags=re.MULTILINE)
        assert not before, f"line {self.line}: the block must begin with a command"
        for command in commands:
            typed, _, output = command.partition("\n")
            yield typed, output


def blocks_of(page: str) -> list[Block]:
    return [Block(found[1], found[2], page.count("\n", 0, found.start()) + 1) for found in _BLOCK.finditer(page)]


def agrees(shown: str, printed: str) -> bool:
    """Return whether this was printed, except for the places that the page leaves open."""
    lines = [
        r"(?:.*\n)*?" if line == "..." else re.escape(line).replace(re.escape("[...]"), r"\[.*\]") + "\n"
        for line in shown.rstrip("\n").split("\n")
    ]
    seen = _COLOUR.sub("", printed).rstrip("\n")
    return re.fullmatch("".join(lines), f"{seen}\n") is not None


class Terminal:
    """A shell with its own terminal, in which one command after another is run."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.shell = subprocess.Popen(
            ["bash"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environ,
            text=True,
        )

    def run(self, command: str) -> str:
        """Return what the command prints."""
        assert self.shell.stdin is not None
        assert self.shell.stdout is not None
        self.shell.stdin.write(f"{{ {command}\n}} </dev/null\nprintf '\\n{_END}\\n'\n")
        self.shell.stdin.flush()
        printed = "".join(iter(self.shell.stdout.readline, f"{_END}\n"))
        return printed.removesuffix("\n")

    def close(self) -> None:
        self.shell.communicate()


class Server:
    """A command that goes on running. It is started together with the commands before it, in one shell."""

    #: The seconds within which it must print what the page shows.
    patience = TIMEOUT

    def __init__(self, commands: list[str], folder: Path, environ: Mapping[str, str]) -> None:
        self.output = folder / "output of the server"
        self.seen = 0
        with self.output.open("wb") as out:
            self.process = subprocess.Popen(
                ["bash", "-c", "\n".join(commands)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=environ,
                start_new_session=True,
            )

    def printed(self, shown: str) -> str:
        """Return the output since the last look, as soon as it agrees with what the page shows."""
        new = ""

        def agrees_now() -> bool:
            nonlocal new
            new = self.output.read_text()[self.seen :]
            return agrees(shown, new)

        becomes_true(agrees_now, self.patience)
        self.seen += len(new)
        return new

    def close(self) -> None:
        """Stop the shell and the command, which are in one process group.

        The signal is sent again each second: a worker of gunicorn that gets it while it starts loses it.
        """
        until = time.monotonic() + STOP_TIMEOUT
        while self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(1.0)
            assert self.process.returncode is not None or time.monotonic() < until, "the command does not end"


class Reader:
    """Someone who follows a page in an empty folder. `port` is used in place of the port 8000 of the page."""

    def __init__(self, folder: Path, port: int, environ: Mapping[str, str]) -> None:
        self.folder = folder
        self.port = port
        self.environ = environ
        self.terminal = Terminal(folder, self.environ)
        self.server: Server | None = None
        self.done: list[str] = []

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self.terminal.close()
        self._stop_server()

    def follow(self, page: str) -> None:
        for block in blocks_of(page.replace("8000", str(self.port))):
            self._do(block)
            self.done.append(block.kind)

    def _do(self, block: Block) -> None:
        match block.kind:
            case "console not-run":
                pass
            case "console":
                for command, output in block.commands():
                    self._compare(block, command, output, self.terminal.run(command))
            case "console server":
                self._start_server(block)
            case "text server":
                assert self.server is not None, f"line {block.line}: there is no server"
                self._compare(block, "the server", block.text, self.server.printed(block.text))
            case _:
                named = _NAME.match(block.text)
                assert named, (
                    f"line {block.line}: a block of the kind {block.kind} must begin with the name of its file"
                )
                (self.folder / named[1]).write_text(block.text)

    def _compare(self, block: Block, command: str, shown: str, printed: str) -> None:
        assert agrees(shown, printed), f"line {block.line}: {command}\nprinted:\n{printed}\nthe page shows:\n{shown}"

    def _start_server(self, block: Block) -> None:
        self._stop_server()
        commands = list(block.commands())
        self.server = Server([command for command, _ in commands], self.folder, self.environ)
        shown = "".join(output for _, output in commands)
        self._compare(block, commands[-1][0], shown, self.server.printed(shown))
        assert becomes_true(lambda: accepts(self.port)), f"line {block.line}: nothing listens on the port"

    def _stop_server(self) -> None:
        if self.server is not None:
            self.server.close()
            assert becomes_true(lambda: not accepts(self.port))
