"""Colour on a terminal. `click.echo` leaves it out where the output is no terminal."""

import os

import click


def follow_environment(ctx: click.Context) -> None:
    """Use no colour if `NO_COLOR` is set and not empty (https://no-color.org)."""
    if os.environ.get("NO_COLOR"):
        ctx.color = False


def good(text: str) -> str:
    return click.style(text, fg="green")


def bad(text: str) -> str:
    return click.style(text, fg="red")


def head(text: str) -> str:
    return click.style(text, bold=True)
