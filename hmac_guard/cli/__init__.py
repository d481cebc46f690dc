"""The command `hmac-guard`: makes keys, makes and checks signatures, and explains why a request is refused.

It needs click: `pip install 'hmac-guard[cli]'`.
"""

import sys
from importlib.util import find_spec


def main() -> None:
    """Run the command. If click is not installed, print what to install and exit with code 2."""
    if find_spec("click") is None:
        print("hmac-guard needs click: pip install 'hmac-guard[cli]'", file=sys.stderr)
        sys.exit(2)
    from hmac_guard.cli.commands import hmac_guard

    hmac_guard(prog_name="hmac-guard")
