"""Ctrl-C for processes that a test starts."""

import signal


def restore_interrupts() -> None:
    """Let this process obey Ctrl-C: a background process of a shell ignores it, and so do its child processes."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
