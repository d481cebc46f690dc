"""The keys that an explanation may try."""

from typing import NamedTuple

from hmac_guard.core.key import Key


class KnownKeys(NamedTuple):
    """The key in force, and further ones that may have been used in its place, each with what it is called.

    `variables` are the names of the settings that keys come from: one may have been used instead of its value.
    """

    current: Key
    previous: tuple[tuple[str, Key], ...] = ()
    others: tuple[tuple[str, Key], ...] = ()
    variables: tuple[str, ...] = ()


def secret_of(key: Key) -> bytes:
    """A key's bytes. They go into attempts, which are compared and forgotten, and nowhere else."""
    return key._secret.get()
