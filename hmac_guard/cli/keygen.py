"""`hmac-guard keygen`: a key that nobody can guess."""

import base64
import secrets
import sys
from collections.abc import Callable, Mapping

import click

SIZE = 32

_WRITTEN: Mapping[str, Callable[[bytes], str]] = {
    "text": lambda secret: base64.urlsafe_b64encode(secret).rstrip(b"=").decode(),
    "hex": bytes.hex,
    "base64": lambda secret: base64.b64encode(secret).decode(),
}


@click.command("keygen")
@click.option(
    "--form", type=click.Choice(list(_WRITTEN)), default="text", show_default=True, help="How the key is written."
)
def command(form: str) -> None:
    """Print a key of 32 random bytes.

    As text it is URL-safe and used as it stands. As hex or base64 it is to be
    decoded before use: name the same form wherever the key is read.

    Into a file or a pipe it is written without a newline at its end, since a
    newline there would become part of the key.
    """
    click.echo(_WRITTEN[form](secrets.token_bytes(SIZE)), nl=sys.stdout.isatty())
