"""The check of options that name something: a file, a variable, a URL, a tenant."""

from typing import TypeVar

import click

T = TypeVar("T")


def filled(ctx: click.Context, param: click.Parameter, value: T) -> T:
    """Refuse an empty text, as the callback of an option.

    A shell gives one for a variable that is not set. A command that took it for a missing option would generate a
    secret, or use another database.
    """
    if value == "" or (isinstance(value, tuple) and "" in value):
        otherwise = "" if param.required else ", or leave out the option"
        raise click.BadParameter(f"it is empty; give a value{otherwise}", ctx, param)
    return value
