"""What the options of the commands share."""

from collections.abc import Callable
from functools import reduce
from typing import Any, TypeVar

import click

T = TypeVar("T")


def filled(ctx: click.Context, param: click.Parameter, value: T) -> T:
    """Refuse an empty text, as the callback of an option that names a file, a variable, a URL or a tenant.

    A shell gives one for a variable that is not set. A command that took it for a missing option would generate a
    secret, or use another database.
    """
    if value == "" or (isinstance(value, tuple) and "" in value):
        otherwise = "" if param.required else ", or leave out the option"
        raise click.BadParameter(f"it is empty; give a value{otherwise}", ctx, param)
    return value


#: An option, as the decorator of a command.
Option = Callable[[Callable[..., Any]], Callable[..., Any]]


def several(*options: Option) -> Option:
    """Return one decorator for several options. The help of the command has them in this order."""
    return lambda command: reduce(lambda made, option: option(made), reversed(options), command)


takes_json = click.option("--json", "in_json", is_flag=True, help="Print JSON.")
