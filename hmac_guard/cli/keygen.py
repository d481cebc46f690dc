"""`hmac-guard keygen`: makes a random key."""

import sys

import click

from hmac_guard.keys.forms import FORMS, random_secret


@click.command("keygen")
@click.option("--form", type=click.Choice(FORMS), default="text", show_default=True, help="How the key is written.")
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
    click.echo(random_secret(form).get(), nl=sys.stdout.isatty())
