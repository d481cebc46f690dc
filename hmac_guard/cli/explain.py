"""`hmac-guard explain`: why a request is refused, and how to fix it."""

import functools
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import time
from typing import Any

import click

from hmac_guard.cli.arguments import takes_scheme
from hmac_guard.cli.key_options import check_keys, key_options, read_key, ring_of, takes_tenant
from hmac_guard.cli.options import filled, takes_json
from hmac_guard.cli.output import CliError, standard_input
from hmac_guard.core.key import Key, Keyring
from hmac_guard.core.scheme import Scheme
from hmac_guard.explain import CaptureError, KnownKeys, capture, explain_captured
from hmac_guard.explain.report import as_json, as_text


def takes_known_keys(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of the active keys, of previous keys and of other tenants' keys to a command.

    The function gets them as `keys`, a `KnownKeys`.
    """

    @takes_tenant
    @key_options
    @click.option(
        "--previous-env", multiple=True, callback=filled, metavar="NAME", help="Also try a previous key of the tenant."
    )
    @click.option(
        "--previous-file",
        type=click.Path(),
        multiple=True,
        callback=filled,
        metavar="PATH",
        help="The same, from a file.",
    )
    @click.option("--other-env", multiple=True, callback=filled, metavar="NAME", help="Also try another tenant's key.")
    @click.option(
        "--other-file", type=click.Path(), multiple=True, callback=filled, metavar="PATH", help="The same, from a file."
    )
    @functools.wraps(function)
    def with_keys(
        *,
        ring: Keyring | None,
        key_env: str | None,
        key_file: str | None,
        key_form: str,
        previous_env: tuple[str, ...],
        previous_file: tuple[str, ...],
        other_env: tuple[str, ...],
        other_file: tuple[str, ...],
        **others: Any,
    ) -> Any:
        keys = KnownKeys.of_ring(ring_of(ring, key_env, key_file, key_form), time())
        keys = keys._replace(
            previous=(*keys.previous, *_named(previous_env, previous_file, key_form)),
            others=tuple(_named(other_env, other_file, key_form)),
            variables=(key_env,) if key_env else (),
            tenant=click.get_current_context().params["tenant"],
        )
        return function(keys=keys, **others)

    return with_keys


def _named(variables: tuple[str, ...], files: tuple[str, ...], form: str) -> Iterator[tuple[str, Key]]:
    for name in variables:
        yield f"of the variable {name}", read_key(name, None, form)
    for path in files:
        yield f"of the file {path}", read_key(None, path, form)


@click.command("explain")
@takes_scheme("[REQUEST]")
@takes_known_keys
@click.option(
    "--mount", default="", metavar="PATH", help="Where the guarded application is mounted, for example '/api'."
)
@click.option("--entry", type=int, metavar="NUMBER", help="The number of the entry in a HAR file, counted from 0.")
@click.option("--show-signature", is_flag=True, help="Show the right signature. With it, anyone can send the request.")
@takes_json
@click.pass_context
def command(
    ctx: click.Context,
    scheme: Scheme,
    words: tuple[str, ...],
    keys: KnownKeys,
    mount: str,
    entry: int | None,
    show_signature: bool,
    in_json: bool,
) -> None:
    """Explain why a request is refused: what the guard reads in it, which bytes
    must be signed, and which mistake of the signer leads to this signature.

    REQUEST is a URL, or @FILE; without it the request is read from stdin. The
    input is a URL, a curl command line, a raw HTTP request, or an entry of a
    browser's HAR file. The key comes from --key-env, --key-file, a hidden prompt,
    or with --tenant from the database: then the request must name this tenant.
    The exit code is 0 if the request is verified, 1 if it is not verified, and 2
    if the command was used incorrectly.

    \b
      pbpaste | hmac-guard explain nango --key-env NANGO_HMAC_KEY
      hmac-guard explain suprsend @request.har --key-file inbox.key
    """
    check_keys(scheme, keys.all)
    try:
        captured = capture(_given(words), entry)
        explanation = explain_captured(scheme, captured, keys, mount)
    except CaptureError as error:
        raise CliError(str(error)) from None
    write = as_json if in_json else as_text
    report = write(explanation, captured.notes, show_signature=show_signature)
    click.echo(report if isinstance(report, str) else json.dumps(report, indent=2))
    ctx.exit(0 if explanation.verified else 1)


def _given(words: tuple[str, ...]) -> bytes:
    if len(words) > 1:
        raise CliError("the request is more than one argument; put it in quotes, or write it to a file and give @FILE")
    if not words or words[0] == "-":
        return standard_input().read()
    if not words[0].startswith("@"):
        # A copied command may be longer than a path can be, which is an error of the system.
        with suppress(OSError):
            if Path(words[0]).is_file():
                raise CliError(f"{words[0]} is a file; write @{words[0]} to read the request in it")
        return words[0].encode(errors="surrogateescape")
    try:
        return Path(words[0][1:]).read_bytes()
    except OSError as error:
        raise CliError(f"the file {words[0][1:]} cannot be read ({error.strerror}); give a readable file") from None
