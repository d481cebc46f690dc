"""Looks for every key that a test makes in everything that the package tells meanwhile: what is logged, at any level,
printed, warned of, raised as an error of its own, and answered to a refused request (T090 to T092). What a process
prints that a test starts counts as printed where the test reads all of it, or none.

Not seen: what the tests of the commands read off a command, and a key that a process makes for itself.
"""

import base64
import functools
import logging
import subprocess
import warnings
from collections.abc import Iterator
from typing import Any

from hmac_guard.core.errors import ConfigError, KeysUnavailable
from hmac_guard.core.key import Key

#: A shorter text, or one of fewer letters, stands in too much that is no secret.
LONG_ENOUGH, LETTERS = 12, 4


class Secrecy(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.made: set[bytes] = set()
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        # Whatever stands on a record may be formatted by somebody, its extras and arguments too.
        self.told.append(f"{record.getMessage()} {vars(record)!r} {record.exc_info and record.exc_info[1]!r}")

    def tell(self, *things: object) -> None:
        self.told += [thing.decode("latin-1") if isinstance(thing, bytes) else str(thing) for thing in things]

    def found(self) -> list[str]:
        """What was told and must not have been; after that, nothing was told yet."""
        told, self.told = "\n".join(self.told), []
        return sorted({form for secret in tuple(self.made) for form in forms_of(secret) if form in told})


@functools.cache
def forms_of(secret: bytes) -> tuple[str, ...]:
    """A secret as somebody could write it."""
    if len(secret) < LONG_ENOUGH or len(set(secret)) < LETTERS:
        return ()
    encoded = {base64.b64encode(secret).decode(), base64.urlsafe_b64encode(secret).decode()}
    texts = {secret.decode("latin-1"), secret.decode("utf-8", "replace"), secret.hex(), secret.hex().upper()}
    return tuple(texts | {repr(secret)[2:-1], ascii(secret.decode("latin-1"))[1:-1]} | {e.rstrip("=") for e in encoded})


SECRECY = Secrecy()


def watch() -> None:
    """From now on, every key that is made, every error of the package and all output of processes is noted."""
    make_key, show, communicate = Key.__init__, warnings.showwarning, subprocess.Popen.communicate

    @functools.wraps(make_key)
    def noted_key(self: Key, secret: Any, *args: Any, **more: Any) -> None:
        make_key(self, secret, *args, **more)
        SECRECY.made.add(secret.encode() if isinstance(secret, str) else bytes(secret))

    def noted_error(self: Exception, *args: object) -> None:
        Exception.__init__(self, *args)
        SECRECY.tell(*args)

    def noted_warning(message: Any, *args: Any, **more: Any) -> None:
        SECRECY.tell(message)
        show(message, *args, **more)

    def noted_output(self: Any, *args: Any, **more: Any) -> Any:
        output = communicate(self, *args, **more)
        SECRECY.tell(*output)
        return output

    Key.__init__ = noted_key  # type: ignore[method-assign]
    subprocess.Popen.communicate = noted_output  # type: ignore[method-assign]
    warnings.showwarning = noted_warning
    for error in (ConfigError, KeysUnavailable):
        error.__init__ = noted_error  # type: ignore[method-assign, assignment]


def watched() -> Iterator[None]:
    """One test: nothing that it made told a key."""
    before = set(SECRECY.made)
    SECRECY.told.clear()
    logging.getLogger().addHandler(SECRECY)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(SECRECY)
        found = SECRECY.found()
        # Keys of other tests were made by their modules, or are theirs alone.
        SECRECY.made = before
    assert not found, f"a key was told: {found}"
