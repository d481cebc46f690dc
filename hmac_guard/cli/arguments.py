"""The arguments SCHEME and ID=VALUE of the commands."""

import functools
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any

import click

from hmac_guard import schemes
from hmac_guard.cli.options import filled
from hmac_guard.cli.output import CliError
from hmac_guard.core.errors import ConfigError
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.signing import names_of_parts
from hmac_guard.core.strict import nearest

#: Returns the completions of an unfinished word, as the `shell_complete` of a parameter.
Complete = Callable[[click.Context, click.Parameter, str], list[str]]
PRESETS = {preset.name: preset for preset in vars(schemes).values() if isinstance(preset, Scheme)}


def takes_scheme(
    others: str = "", complete_others: Complete = lambda *_: []
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the argument `SCHEME`, or the option --scheme, to a command.

    Args:
        others: The arguments after `SCHEME`, as the help text names them.
        complete_others: Completes these arguments.

    Returns:
        A decorator. The command function gets the arguments `scheme`, a `Scheme`, and `words`, the other arguments.
    """

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        is_scheme = ctx.params.get("own") is None and not ctx.params.get("words")
        return (complete_preset if is_scheme else complete_others)(ctx, param, incomplete)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @click.option(
            "--scheme", "own", metavar="MODULE:OBJECT", callback=filled, help="Your own scheme, instead of SCHEME."
        )
        @click.argument("words", nargs=-1, metavar=f"SCHEME {others}".strip(), shell_complete=complete)
        @functools.wraps(function)
        def with_scheme(*, own: str | None, words: tuple[str, ...], **options: Any) -> Any:
            if own is None and (not words or "=" in words[0]):
                raise CliError(f"the scheme is missing; give its name first: {_known()}, or MODULE:OBJECT")
            name, rest = (words[0], words[1:]) if own is None else (own, words)
            return function(scheme=find_scheme(name), words=rest, **options)

        return with_scheme

    return decorate


def complete_preset(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a preset, as the `shell_complete` of a parameter."""
    return [name for name in sorted(PRESETS) if name.startswith(incomplete)]


def _complete_ids(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the names of what a preset signs. With --rows, they are not arguments."""
    own, given = ctx.params.get("own"), [str(word) for word in ctx.params.get("words") or ()]
    scheme = PRESETS.get(given[0]) if own is None and ctx.params.get("rows") is None else None
    named = {word.partition("=")[0] for word in given}
    known = [] if scheme is None else [*scheme.ids, *other_arguments(scheme)]
    return [f"{name}=" for name in known if name not in named and f"{name}=".startswith(incomplete)]


def takes_ids(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the arguments `SCHEME ID=VALUE...` to a command.

    The command gets them as `scheme`, `ids` and `others`: the times, the method and the body that the scheme signs.
    """

    @takes_scheme("ID=VALUE...", _complete_ids)
    @functools.wraps(function)
    def with_ids(*, scheme: Scheme, words: tuple[str, ...], **options: Any) -> Any:
        given = _given(scheme, words)
        ids = {name: text for name, text in given.items() if name in scheme.ids}
        return function(scheme=scheme, ids=ids, others=others_in(scheme, given, files=True), **options)

    return with_ids


def other_arguments(scheme: Scheme) -> dict[str, str]:
    """Return what a scheme signs beside its ids, by the name of its argument: `@method`, if `method` is an id."""
    return {f"@{name}" if name in scheme.ids else name: name for name in names_of_parts(scheme)}


def others_in(scheme: Scheme, given: Mapping[str, Any], *, files: bool = False) -> dict[str, Any]:
    """Return the signed values that are not ids, as `Scheme.sign` takes them.

    Args:
        scheme: The scheme.
        given: The values by name. Text of a body is encoded as UTF-8.
        files: Whether a body may be `@FILE`, and may have bytes that are not UTF-8, as an argument may. It may not in
            rows, which can come from an unknown source.

    Raises:
        CliError: The file cannot be read.
        ConfigError: The text of a body has no UTF-8 form.
    """
    others = {name: given[argument] for argument, name in other_arguments(scheme).items() if argument in given}
    body = others.get("body")
    if isinstance(body, str):
        others["body"] = _read(body[1:]) if files and body.startswith("@") else _encoded(body, files)
    return others


def _encoded(body: str, is_argument: bool) -> bytes:
    try:
        return body.encode(errors="surrogateescape" if is_argument else "strict")
    except UnicodeEncodeError:
        raise ConfigError("the body has a lone surrogate and no UTF-8 form; give the text that is sent") from None


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CliError(f"the file {path} cannot be read ({error.strerror}); name one that can") from None


def find_scheme(name: str) -> Scheme:
    """Return a scheme.

    Args:
        name: The name of a preset, or `module.path:OBJECT`.

    Raises:
        CliError: There is no such preset, or the object cannot be imported or is not a `Scheme`.
    """
    if ":" in name:
        return _imported(*name.split(":", 1))
    if name not in PRESETS:
        raise CliError(
            f"there is no preset {name!r}; {nearest(name, sorted(PRESETS))} (for your own scheme: MODULE:OBJECT)"
        )
    return PRESETS[name]


def _known() -> str:
    return ", ".join(sorted(PRESETS))


def _imported(module: str, target: str) -> Scheme:
    place = f"{module}:{target}"
    sys.path.insert(0, os.getcwd())  # A console script does not have the current folder on its path.
    try:
        imported = import_module(module)
    except ConfigError as error:
        raise CliError(f"{place} cannot be imported: {error}") from None
    except (Exception, SystemExit) as error:  # A module may call sys.exit(), and 0 means "verified".
        raise CliError(
            f"{place} cannot be imported ({type(error).__name__}); run this in the module's folder, and see what "
            f"`python -c 'import {module}'` prints"
        ) from None
    try:
        found = attrgetter(target)(imported)
    except AttributeError:
        raise CliError(f"the module {module} has no {target}; give the name of a Scheme in it") from None
    if not isinstance(found, Scheme):
        raise CliError(f"{place} is a {type(found).__name__}; name a Scheme (a guard has its scheme in GUARD.scheme)")
    return found


def _given(scheme: Scheme, pairs: Iterable[str]) -> dict[str, str]:
    ids: dict[str, str] = {}
    known = (*scheme.ids, *other_arguments(scheme))
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator:
            raise CliError(f"{pair!r} is not an id; write each id as ID=VALUE")
        if name not in known:
            raise CliError(f"the scheme {scheme.name} has no id {name!r}; {nearest(name, known)}")
        if name in ids:
            raise CliError(f"the id {name!r} is given twice; give it once")
        ids[name] = value
    return ids
