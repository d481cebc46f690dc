"""The command `hmac-guard`: makes keys, makes and checks signatures, and explains why a request is refused.

It needs click and Jinja2: `pip install 'hmac-guard[cli]'`.
"""

import os
import sys
from importlib.util import find_spec

_NEEDED = {"click": "click", "jinja2": "Jinja2"}


def main() -> None:
    """Run the command.

    The exit code is 2 if click or Jinja2 is not installed, or if the output cannot be written. 1 means "not verified".
    """
    missing = " and ".join(title for name, title in _NEEDED.items() if find_spec(name) is None)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 it is open until the process ends
    if missing:
        print(f"hmac-guard needs {missing}: pip install 'hmac-guard[cli]'", file=sys.stderr)
        sys.exit(2)
    from hmac_guard.cli.commands import hmac_guard
    from hmac_guard.cli.output import CliError

    if sys.stdout is None:  # Python was started without it, and `click.echo` would write nothing.
        CliError("there is no standard output; give it a file or a pipe").show()
        sys.exit(2)
    hmac_guard(prog_name="hmac-guard")
