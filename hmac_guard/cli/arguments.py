"""What is signed and how: the scheme and the ids that a command is given."""

import functools
import os
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from operator import attrgetter
from typing import Any

import click

from hmac_guard import schemes
from hmac_guard.cli.errors import CliError
from hmac_guard.core.errors import ConfigError
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.strict import nearest

PRESETS = {preset.name: preset for preset in vars(schemes).values() if isinstance(preset, Scheme)}


def takes_scheme(others: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Gives a command the argument `SCHEME`, or --scheme, and whatever is called `others` behind it; the function gets
    them as `scheme` and `words`."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @click.option("--scheme", "own", metavar="MODULE:OBJECT", help="A scheme of your own, instead of SCHEME.")
        @click.argument("words", nargs=-1, metavar=f"SCHEME {others}".strip())
        @functools.wraps(function)
        def with_scheme(*, own: str | None, words: tuple[str, ...], **options: Any) -> Any:
            if own is None and (not words or "=" in words[0]):
                raise CliError(f"the scheme is missing; put its name first, one of {_known()}, or MODULE:OBJECT")
            name, rest = (words[0], words[1:]) if own is None else (own, words)
            return function(scheme=find_scheme(name), words=rest, **options)

        return with_scheme

    return decorate


def takes_ids(function: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command the arguments `SCHEME ID=VALUE...`; `function` gets them as `scheme` and `ids`."""

    @takes_scheme("ID=VALUE...")
    @functools.wraps(function)
    def with_ids(*, scheme: Scheme, words: tuple[str, ...], **options: Any) -> Any:
        return function(scheme=scheme, ids=_ids(scheme, words), **options)

    return with_ids


def find_scheme(name: str) -> Scheme:
    """The preset of that name, or the object at `module.path:OBJECT`. Raises `CliError`."""
    if ":" in name:
        return _imported(*name.split(":", 1))
    if name not in PRESETS:
        raise CliError(f"no preset is called {name!r}; {nearest(name, sorted(PRESETS))} (your own: MODULE:OBJECT)")
    return PRESETS[name]


def _known() -> str:
    return ", ".join(sorted(PRESETS))


def _imported(module: str, target: str) -> Scheme:
    place = f"{module}:{target}"
    sys.path.insert(0, os.getcwd())  # A console script does not look into the current folder by itself.
    try:
        found = attrgetter(target)(import_module(module))
    except ConfigError as error:
        raise CliError(f"{place} cannot be imported: {error}") from None
    except AttributeError:
        raise CliError(f"the module {module} has no {target}; give the name of a Scheme in it") from None
    except Exception as error:
        raise CliError(
            f"{place} cannot be imported ({type(error).__name__}); run this in the folder that holds it, and see what "
            f"`python -c 'import {module}'` says"
        ) from None
    if not isinstance(found, Scheme):
        raise CliError(f"{place} is a {type(found).__name__}; name a Scheme (the one of a guard is at GUARD.scheme)")
    return found


def _ids(scheme: Scheme, pairs: Iterable[str]) -> dict[str, str]:
    ids: dict[str, str] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator:
            raise CliError(f"{pair!r} is no id; write each as ID=VALUE")
        if name not in scheme.ids:
            raise CliError(f"the scheme {scheme.name} has no id {name!r}; {nearest(name, scheme.ids)}")
        if name in ids:
            raise CliError(f"the id {name!r} is given twice; give it once")
        ids[name] = value
    return ids
