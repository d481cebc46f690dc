"""The options of a command that name its keys.

A key comes from the environment, a file or a hidden prompt. It cannot be an argument of the command: arguments are
kept in the shell's history and are visible in the list of processes.
"""

import functools
import os
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from hmac_guard.cli.errors import CliError
from hmac_guard.core.errors import WeakKeyWarning
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.key import Key, Keyring
from hmac_guard.keys.forms import FORMS, key_from_text, shown


def key_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options `key_env`, `key_file` and `key_form` to a command. `read_key` takes their values."""
    for option in (
        click.option(
            "--key-form",
            type=click.Choice(list(FORMS)),
            default="text",
            show_default=True,
            help="How the key is written: text is used unchanged, hex and base64 are decoded.",
        ),
        click.option("--key-file", type=click.Path(), metavar="PATH", help="Read the key from this file."),
        click.option("--key-env", metavar="NAME", help="Read the key from this environment variable."),
    ):
        function = option(function)
    return function


def takes_key(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a key to a command. The function gets the `Key` as its argument `key`."""

    @key_options
    @functools.wraps(function)
    def with_key(*, key_env: str | None, key_file: str | None, key_form: str, **others: Any) -> Any:
        return function(key=read_key(key_env, key_file, key_form), **others)

    return with_key


def ring_of(ring: Keyring | None, env: str | None, file: str | None, form: str) -> list[Key]:
    """Return the keys of a tenant, those in force first; without a tenant the key that `read_key` returns.

    Raises:
        CliError: A tenant and a place of a key are given, or the key cannot be read.
        ConfigError: The text cannot be used as a key.
    """
    if ring is None:
        return [read_key(env, file, form)]
    if env or file:
        raise CliError("the key is named twice; give --tenant, --key-env or --key-file, not several")
    in_force = ring.active(time.time())
    return [*in_force, *(key for key in ring.keys if key not in in_force)]


def read_key(env: str | None, file: str | None, form: str) -> Key:
    """Return the key from an environment variable, a file or a hidden prompt.

    Args:
        env: The name of an environment variable.
        file: The path of a file.
        form: How the key is written: "text", "hex" or "base64".

    Raises:
        CliError: Both places are given, or the key cannot be read.
        ConfigError: The text cannot be used as a key.
    """
    if env and file:
        raise CliError("the key is named twice; give --key-env or --key-file, not both")
    with warnings.catch_warnings(record=True) as weak:
        warnings.simplefilter("always", WeakKeyWarning)
        key = key_from_text(*written(env, file), form)
    for warning in weak:
        click.echo(f"Warning: {warning.message}", err=True)
    return key


def written(env: str | None, file: str | None) -> tuple[str, Hidden[str]]:
    """Return the place of the key, for messages, and the text in it."""
    if env:
        if env not in os.environ:
            raise CliError(f"the variable {shown(env)} is not set; export it with the key")
        return f"the variable {env}", hide(os.environ[env])
    if file:
        return f"the file {file}", _text_of(Path(file))
    if not sys.stdin.isatty():
        raise CliError("there is no key, and no terminal for a prompt; give --key-env NAME or --key-file PATH")
    return "the prompt", hide(click.prompt("Key (hidden)", hide_input=True, err=True))


def _text_of(path: Path) -> Hidden[str]:
    try:
        secret = hide(path.read_bytes())
    except OSError as error:
        raise CliError(f"the key file {path} cannot be read ({error.strerror}); give a readable file") from None
    with suppress(UnicodeDecodeError):
        return hide(secret.get().decode())
    # Raised outside of the `with` block, because the decoder's error contains the secret.
    raise CliError(f"the key file {path} is not text; write the key as hex and add --key-form hex")
