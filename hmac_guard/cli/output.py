"""What the commands print: errors, colours, tables and JSON."""

import errno
import io
import json
import os
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, islice
from typing import IO, Any, BinaryIO

import click

from hmac_guard.core.strict import nearest
from hmac_guard.core.text import escaped, escaped_lines

#: Errors of a write alone. A read can fail with EIO, too.
_NOT_WRITTEN = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EPIPE})


class CliError(click.ClickException):
    """One sentence that says what was wrong and what to do. The exit code is 2, because 1 means "not verified"."""

    exit_code = 2

    def format_message(self) -> str:
        return escaped_lines(self.message)

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


def follow_environment(ctx: click.Context) -> None:
    """Use no colour if `NO_COLOR` is set and not empty (https://no-color.org)."""
    if os.environ.get("NO_COLOR"):
        ctx.color = False


def escape_what_stdout_cannot_encode() -> None:
    """Write an escape for each character that the encoding of stdout does not have. Python does so for stderr."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def echo_utf_8(text: str) -> None:
    """Print what programs read, such as rows and pages. It is UTF-8 in every locale."""
    click.echo(text.encode(), nl=False)


def print_note(text: str) -> None:
    """Print a sentence to stderr. It may contain text of a database."""
    click.echo(escaped(text), err=True)


def standard_input() -> BinaryIO:
    """Return the bytes of stdin.

    Raises:
        CliError: Python was started without it.
    """
    if sys.stdin is None:
        raise CliError("there is no standard input; give it a file or a pipe")
    return sys.stdin.buffer


def has_terminal() -> bool:
    """Return whether stdin is a terminal."""
    return sys.stdin is not None and sys.stdin.isatty()


@contextmanager
def reporting_lost_output() -> Iterator[None]:
    """Raise `CliError` for output that cannot be written. click exits with 1 if a pipe is closed."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NOT_WRITTEN:
            raise
        discard_output()
        raise CliError(f"the output cannot be written: {error.strerror}") from None


def discard_output() -> None:
    """Drop what is waiting for stdout. Python writes it again when it ends, and would fail again."""
    with suppress(AttributeError, OSError):  # There is no stdout, or it is not a file.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def good(text: str) -> str:
    """Return the text in green. `click.echo` removes colours if the output is not a terminal."""
    return click.style(text, fg="green")


def bad(text: str) -> str:
    """Return the text in red."""
    return click.style(text, fg="red")


def header(text: str) -> str:
    """Return the text in bold."""
    return click.style(text, bold=True)


#: The width of a table, in columns.
WIDTH = 80

#: What Python makes of the bytes of an argument that are not UTF-8.
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def print_table(header: Sequence[str], widths: Sequence[int], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table of rows below a header, escaped. Each row is printed before the next one is read.

    A cell that is too long gets its own line, and the cells after it are on the next line. The text of the last column
    is wrapped to the lines below if it is too long.

    Args:
        header: The names of the columns.
        widths: The widths of all columns except the last one, in characters.
        rows: The rows.
    """
    rest = iter(rows)
    first = list(islice(rest, 1))  # Read before the header is printed, so that a failure prints nothing.
    for row in chain([header], first, rest):
        _print_row([escaped(str(cell)) for cell in row], widths)


def print_json(rows: Iterable[Any]) -> None:
    """Print a JSON array. Each element is printed before the next one is read."""
    first = True
    for row in rows:
        sys.stdout.write(("[\n" if first else ",\n") + textwrap.indent(json.dumps(row, indent=2), "  "))
        first = False
    sys.stdout.write("[]\n" if first else "\n]\n")


def _print_row(cells: Sequence[str], widths: Sequence[int]) -> None:
    line, start = "", 0
    for cell, width in zip(cells, widths, strict=False):
        if len(cell) > width:
            before, available = f"{line.rstrip()}\n" if line.strip() else "", WIDTH - start
            sys.stdout.write(before + (f"{' ' * start}{cell}" if len(cell) <= available else cell) + "\n")
            line = " " * start + " " * (width + 2)
        else:
            line += f"{cell:{width}}  "
        start += width + 2
    if len(line) + len(cells[-1]) <= WIDTH:
        sys.stdout.write(f"{line}{cells[-1]}".rstrip() + "\n")
        return
    indent = " " * (widths[0] + 2)
    wrapped = textwrap.wrap(cells[-1], WIDTH, initial_indent=indent, subsequent_indent=indent)
    sys.stdout.write("\n".join([line.rstrip(), *wrapped]) + "\n")
