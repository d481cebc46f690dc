"""What the package logs of a failure."""

import logging
import traceback

from hmac_guard.core.errors import ConfigError

logger = logging.getLogger("hmac_guard")


def where(error: BaseException) -> str:
    """An exception's type and place. Not its text: a driver's may hold a password, a KeyError the key itself. Our own
    `ConfigError` never holds a secret, and says what to do."""
    text = f": {error}" if isinstance(error, ConfigError) else ""
    frames = "".join(traceback.format_tb(error.__traceback__)).rstrip()
    return f"{type(error).__module__}.{type(error).__qualname__}{text}\n{frames}"
