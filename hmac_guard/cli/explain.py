"""`hmac-guard explain`: why a request is refused, and how to cure it."""

import json
import sys
from pathlib import Path

import click

from hmac_guard.cli.arguments import takes_scheme
from hmac_guard.cli.errors import CliError
from hmac_guard.cli.known_keys import takes_known_keys
from hmac_guard.core.scheme import Scheme
from hmac_guard.explain import CaptureError, KnownKeys, capture, explain_captured
from hmac_guard.explain.report import as_json, as_text


@click.command("explain")
@takes_scheme("[REQUEST]")
@takes_known_keys
@click.option("--mount", default="", metavar="PATH", help="Where the guarded application is mounted, '/api' say.")
@click.option("--entry", type=int, metavar="NUMBER", help="Which entry of a whole HAR file, counted from 0.")
@click.option("--show-signature", is_flag=True, help="Show the right signature. It is as good as a key.")
@click.option("--json", "in_json", is_flag=True, help="Print JSON, for programs.")
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
    """Say why a request is refused: what the guard reads in it, which bytes are
    to be signed, and which mistake explains the signature that came.

    REQUEST is a URL, or @FILE, or is read from stdin: a URL, a curl command
    line, a raw HTTP request, or an entry of a browser's HAR file. The key comes
    from --key-env, --key-file or a hidden prompt. The exit code is 0 where the
    request is verified, 1 where it is not, and 2 where the question was wrong.

    \b
      pbpaste | hmac-guard explain nango --key-env NANGO_HMAC_KEY
      hmac-guard explain suprsend @request.har --key-file inbox.key
    """
    try:
        captured = capture(_given(words), entry)
    except CaptureError as error:
        raise CliError(str(error)) from None
    explanation = explain_captured(scheme, captured, keys, mount)
    write = as_json if in_json else as_text
    report = write(explanation, captured.notes, show_signature=show_signature)
    click.echo(report if isinstance(report, str) else json.dumps(report, indent=2))
    ctx.exit(0 if explanation.verified else 1)


def _given(words: tuple[str, ...]) -> bytes:
    if len(words) > 1:
        raise CliError("the request is in several words; put it in quotes, or into a file and give @FILE")
    if not words or words[0] == "-":
        return sys.stdin.buffer.read()
    if not words[0].startswith("@"):
        return words[0].encode(errors="surrogateescape")
    try:
        return Path(words[0][1:]).read_bytes()
    except OSError as error:
        raise CliError(f"the file {words[0][1:]} cannot be read ({error.strerror}); name one that can") from None
