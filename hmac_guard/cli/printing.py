"""Prints rows as they come: a table with fixed widths, or a JSON array. Nothing is kept until the end."""

import json
import sys
import textwrap
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from typing import Any

WIDTH = 80


def print_table(head: Sequence[str], widths: Sequence[int], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows below a head. The last column has the rest of the line; a longer text is on the lines below it.

    A cell that is too long is on a line of its own, and the cells after it are on the next line.
    """
    rest = iter(rows)
    first = list(islice(rest, 1))  # With the head, so that a failure prints nothing.
    for row in chain([head], first, rest):
        _print_row([str(cell) for cell in row], widths)


def print_json(rows: Iterable[Any]) -> None:
    """Print an array, one element after another."""
    first = True
    for row in rows:
        sys.stdout.write(("[\n" if first else ",\n") + textwrap.indent(json.dumps(row, indent=2), "  "))
        first = False
    sys.stdout.write("[]\n" if first else "\n]\n")


def _print_row(cells: Sequence[str], widths: Sequence[int]) -> None:
    line, start = "", 0
    for cell, width in zip(cells, widths, strict=False):
        if len(cell) > width:
            before, room = f"{line.rstrip()}\n" if line.strip() else "", WIDTH - start
            sys.stdout.write(before + (f"{' ' * start}{cell}" if len(cell) <= room else cell) + "\n")
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
