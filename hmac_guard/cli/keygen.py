"""`hmac-guard keygen`: makes a random key."""

import base64
import secrets
import sys
from collections.abc import Callable, Mapping

import click

KEY_BYTES = 32

_WRITTEN: Mapping[str, Callable[[bytes], str]] = {
    "text": lambda secret: base64.urlsafe_b64encode(secret).rstrip(b"=").decode(),
    "hex": bytes.hex,
    "base64": lambda secret: base64.b64encode(secret).decode(),
    "whsec": lambda secret: "whsec_" + base64.b64encode(secret).decode(),
}


@click.command("keygen")
@click.option(
    "--form", type=click.Choice(list(_WRITTEN)), default="text", show_default=True, help="How the key is written."
)
def command(form: str) -> None:
    """Print a key of 32 random bytes.

    The form "text" is URL-safe and is used unchanged. Keys in the forms "hex",
    "base64" and "whsec" (Standard Webhooks) are decoded before use: give the
    same form to the guard.

    In a file or a pipe the key has no newline at its end, because the newline
    would become part of the key.

    \b
      hmac-guard keygen > inbox.key
      hmac-guard keygen --form whsec
    """
    click.echo(_WRITTEN[form](secrets.token_bytes(KEY_BYTES)), nl=sys.stdout.isatty())
