"""`hmac-guard snippet`: prints the code that signs, in several languages."""

import json
from collections.abc import Sequence

import click

from hmac_guard.cli.arguments import takes_scheme
from hmac_guard.cli.output import CliError, echo_utf_8
from hmac_guard.core.scheme import Scheme
from hmac_guard.snippets import LANGUAGES, page, snippet


@click.command("snippet")
@takes_scheme()
@click.option(
    "--lang",
    multiple=True,
    type=click.Choice(list(LANGUAGES)),
    metavar="LANGUAGE",
    help="A language; may be given several times.",
)
@click.option("--all", "every", is_flag=True, help="Every language.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["code", "markdown"]),
    default="code",
    show_default=True,
    help="markdown prints a whole page: code, an example, the request.",
)
@click.option("--json", "in_json", is_flag=True, help="Print JSON: the code by language.")
def command(
    scheme: Scheme, words: tuple[str, ...], lang: tuple[str, ...], every: bool, form: str, in_json: bool
) -> None:
    """Print the code that makes the signature of a scheme, ready to copy.

    SCHEME is the name of a preset (see `hmac-guard schemes`), or MODULE:OBJECT
    for your own scheme. The languages are python, javascript, typescript,
    webcrypto, java, kotlin, ruby, go, rust, php, csharp, elixir, plpgsql and
    shell. The code uses the key as text: for standard_webhooks and svix, whose
    secrets are decoded, use the library of the vendor.

    \b
      hmac-guard snippet nango --lang go
      hmac-guard snippet shop.guards:ORDERS --format markdown > signing.md
    """
    if words:
        raise CliError(f"unexpected argument {words[0]!r}; give one scheme, and languages with --lang")
    if in_json and form == "markdown":
        raise CliError("--json prints code, not a page; leave out --json or --format markdown")
    languages = list(LANGUAGES) if every or (form == "markdown" and not lang) else list(dict.fromkeys(lang))
    if not languages:
        raise CliError("the language is missing; add --lang LANGUAGE, or --all")
    if in_json:
        click.echo(json.dumps({language: snippet(scheme, language) for language in languages}, indent=2))
    elif form == "markdown":
        echo_utf_8(page(scheme, languages))
    else:
        click.echo(_listing(scheme, languages), nl=False)


def _listing(scheme: Scheme, languages: Sequence[str]) -> str:
    if len(languages) == 1:
        return snippet(scheme, languages[0])
    return "\n".join(f"===== {LANGUAGES[one].title} =====\n{snippet(scheme, one)}" for one in languages)
