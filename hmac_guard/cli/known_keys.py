"""The keys that `explain` may try: the one in force, and further ones that may have been taken for it."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import click

from hmac_guard.cli.key_options import key_options, read_key
from hmac_guard.core.key import Key
from hmac_guard.explain.keys import KnownKeys


def takes_known_keys(function: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command the options of a key and of further ones; `function` gets them as `keys`."""

    @key_options
    @click.option("--previous-env", multiple=True, metavar="NAME", help="Also try a key that was in force before.")
    @click.option("--previous-file", multiple=True, metavar="PATH", help="The same, from a file.")
    @click.option("--other-env", multiple=True, metavar="NAME", help="Also try another tenant's key.")
    @click.option("--other-file", multiple=True, metavar="PATH", help="The same, from a file.")
    @functools.wraps(function)
    def with_keys(
        *,
        key_env: str | None,
        key_file: str | None,
        key_form: str,
        previous_env: tuple[str, ...],
        previous_file: tuple[str, ...],
        other_env: tuple[str, ...],
        other_file: tuple[str, ...],
        **others: Any,
    ) -> Any:
        keys = KnownKeys(
            read_key(key_env, key_file, key_form),
            tuple(_named(previous_env, previous_file, key_form)),
            tuple(_named(other_env, other_file, key_form)),
            (key_env,) if key_env else (),
        )
        return function(keys=keys, **others)

    return with_keys


def _named(variables: tuple[str, ...], files: tuple[str, ...], form: str) -> Iterator[tuple[str, Key]]:
    for name in variables:
        yield f"of the variable {name}", read_key(name, None, form)
    for path in files:
        yield f"of the file {path}", read_key(None, path, form)
