"""What a command says when it cannot do what it was asked."""

import click


class CliError(click.ClickException):
    """One sentence that says what was wrong and what to do. The command ends with 2; 1 means "not verified"."""

    exit_code = 2
