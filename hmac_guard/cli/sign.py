"""`hmac-guard sign`: prints the signature of some ids."""

from typing import Any

import click

from hmac_guard.cli.arguments import others_in, takes_ids
from hmac_guard.cli.key_options import takes_key
from hmac_guard.cli.rows import check_no_arguments, ids_of, process_rows, takes_rows
from hmac_guard.core.key import Key
from hmac_guard.core.scheme import Scheme


@click.command("sign")
@takes_ids
@takes_key
@takes_rows
def command(scheme: Scheme, ids: dict[str, str], others: dict[str, Any], key: Key, rows: str | None) -> None:
    """Print the signature for some ids.

    SCHEME is the name of a preset (see `hmac-guard schemes`), or MODULE:OBJECT
    for your own scheme. The key comes from --key-env, --key-file or a hidden
    prompt.

    \b
      hmac-guard sign suprsend distinct_id=user-42 --key-env INBOX_SECRET
      hmac-guard sign shop.guards:ORDERS tenant_id=acme order_id=42

    What else the scheme signs is given like an id: timestamp=, expires=,
    method=, and body=TEXT or body=@FILE.

    \b
      hmac-guard sign stripe timestamp=$(date +%s) body=@event.json --key-env KEY

    With --rows the ids come from stdin, and each row is printed with its
    signature. SCHEME is then the only argument.

    \b
      hmac-guard sign nango --rows csv --key-file nango.key < ids.csv > signed.csv
    """
    if rows is None:
        click.echo(scheme.sign(key, ids, **others))
        return
    check_no_arguments(ids or others)
    process_rows(rows, lambda row: {"signature": scheme.sign(key, ids_of(row, scheme.ids), **others_in(scheme, row))})
