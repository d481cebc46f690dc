"""The command `hmac-guard`, for those who make keys and signatures and those who wonder about one.

It needs click: `pip install 'hmac-guard[cli]'`.
"""

import sys
from importlib.util import find_spec


def main() -> None:
    """The entry point. Without click it says what to install, and exits with 2."""
    if find_spec("click") is None:
        sys.exit(_say("hmac-guard needs click: pip install 'hmac-guard[cli]'"))
    from hmac_guard.cli.commands import hmac_guard

    hmac_guard(prog_name="hmac-guard")


def _say(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 2
