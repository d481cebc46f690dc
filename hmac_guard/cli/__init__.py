"""The command `hmac-guard`: makes keys, makes and checks signatures, and explains why a request is refused.

It needs click: `pip install 'hmac-guard[cli]'`.
"""

import errno
import sys
from importlib.util import find_spec

#: Errors of a write alone. A read can fail with EIO, too.
_NOT_WRITTEN = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def main() -> None:
    """Run the command.

    The exit code is 2 if click is not installed, or if the output cannot be written. 1 means "not verified".
    """
    if find_spec("click") is None:
        print("hmac-guard needs click: pip install 'hmac-guard[cli]'", file=sys.stderr)
        sys.exit(2)
    from hmac_guard.cli.commands import hmac_guard
    from hmac_guard.cli.output import CliError, discard_output

    try:
        hmac_guard(prog_name="hmac-guard")
    except OSError as error:
        if error.errno not in _NOT_WRITTEN:
            raise
        discard_output()
        CliError(f"the output cannot be written: {error.strerror}").show()
        sys.exit(2)
