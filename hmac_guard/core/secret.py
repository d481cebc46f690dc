"""Checks of secrets. Nothing here shows a secret: not in an error, and not in a local variable.

The rule for text: it is refused if it is empty or blank, starts or ends with white space or a newline, has a byte order
mark or quotes around the whole, or is a placeholder: `<KEY>`, `${KEY}`, `$(KEY)`, `{{ key }}`, a word such as
"changeme" in any case of letters, or one character repeated. A word counts only as the whole text. A repeated character
counts only below 32 characters: a longer one is common in tests.
"""

import base64
import binascii
import re
import sys
import warnings
from typing import Any

from hmac_guard.core.errors import ConfigError, WeakKeyWarning
from hmac_guard.core.hidden import Hidden, hide

WEAK_BELOW = 16

_IS_BLANK = "is empty or blank; everyone can sign with it. Is the variable or setting set?"
_UNSEEN = {0: None, 0xFEFF: None}
# The characters that a file or a shell adds. RFC 4231 has a key of vertical tabs, so they do not count as blank.
_BLANK = b" \t\r\n\0"
_BYTE_ORDER_MARK = "\ufeff"
_QUOTES = frozenset({'""', "''", "\u2018\u2019", "\u201c\u201d"})
_TEMPLATE = re.compile(r"<.*>|\$\{.*\}|\$\(.*\)|\{\{.*\}\}", re.DOTALL)
_PLACEHOLDERS = frozenset(
    {
        *("changeme", "changeit", "change-me", "replaceme", "replace_me"),
        *("undefined", "null", "none", "nil", "todo", "secret", "password"),
        *("your-secret", "your-api-key", "your-api-key-here"),
    }
)
_WHSEC = re.compile(r"whsec_[A-Za-z0-9+/]*={0,2}")
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}|[A-Za-z0-9_-]*={0,2}")


def bytes_of(secret: Hidden[Any]) -> Hidden[bytes]:
    """Return the secret's bytes. Warn if there are few. Raise `ConfigError` if they cannot be a secret."""
    if isinstance(secret.get(), str):
        raw = utf8_of(secret)
        fault = fault_of_text(secret)
        if fault:
            raise ConfigError(f"Key: the secret {fault} (Key.from_text takes text as it is)")
    elif isinstance(secret.get(), (bytes, bytearray, memoryview)):
        raw = hide(bytes(secret.get()))
    else:
        raise ConfigError(f"Key: a secret is text or bytes, not {type(secret.get()).__name__}")
    # HMAC pads a key with NULs, so a key of NULs is the empty key.
    if not raw.get().strip(_BLANK):
        raise ConfigError(f"Key: the secret {_IS_BLANK}")
    if len(raw.get()) < WEAK_BELOW:
        _warn_caller(f"a key of {len(raw.get())} bytes is short; take 32 random ones (hmac-guard keygen)")
    return raw


def utf8_of(text: Hidden[str]) -> Hidden[bytes]:
    """Return the text as UTF-8. Raise `ConfigError` if it is blank or cannot be encoded."""
    if _is_blank(text):
        raise ConfigError(f"Key: the secret {_IS_BLANK}")
    raw = _encoded(text)
    if raw is None:
        raise ConfigError("Key: the text has a lone surrogate and no UTF-8 form")
    return raw


def _encoded(text: Hidden[str]) -> Hidden[bytes] | None:
    # An error of the codec holds the secret, so nothing is raised while it is handled.
    try:
        return hide(text.get().encode())
    except UnicodeEncodeError:
        return None


# A placeholder is short. Tests use a character 32 times, as long a key as RFC 2104 advises for SHA-256.
_REPEATED_BELOW = 32


def _is_blank(text: Hidden[str]) -> bool:
    return not text.get().translate(_UNSEEN).strip()


def fault_of_text(secret: Hidden[str]) -> str | None:
    """Return why a text is not, or hardly, a secret, and what to do about it; otherwise None."""
    length, ends = len(secret.get()), secret.get()[:1] + secret.get()[-1:]
    faults = (
        (_is_blank(secret), _IS_BLANK),
        (_BYTE_ORDER_MARK in secret.get(), "has a byte order mark (U+FEFF); save it as UTF-8 without one"),
        (secret.get() != secret.get().strip(), "starts or ends with white space or a newline; remove it"),
        (length > 1 and ends in _QUOTES, "has quotes around it; remove them"),
        (
            bool(_TEMPLATE.fullmatch(secret.get())) or secret.get().lower() in _PLACEHOLDERS,
            "is a placeholder; put the real secret in its place",
        ),
        (
            1 < length < _REPEATED_BELOW and len(set(secret.get())) == 1,
            "is one character repeated, a placeholder; put the real secret in its place",
        ),
    )
    return next((says for is_so, says in faults if is_so), None)


def from_base64(text: Hidden[Any]) -> Hidden[bytes] | None:
    """Return the decoded bytes; None if the text is not base64, in one of its two alphabets, padded or not."""
    if not isinstance(text.get(), str) or not _BASE64.fullmatch(text.get()):
        return None
    padded = hide(text.get().replace("-", "+").replace("_", "/") + "=" * (-len(text.get()) % 4))
    if text.get().endswith("=") and len(text.get()) != len(padded.get()):
        return None
    try:
        secret = hide(base64.b64decode(padded.get()))
    except binascii.Error:
        return None
    return secret if base64.b64encode(secret.get()).decode() == padded.get() else None


def from_whsec(text: Hidden[Any]) -> Hidden[bytes] | None:
    """Return the decoded bytes of a text of the form `whsec_…`; None for any other text."""
    if not isinstance(text.get(), str) or not _WHSEC.fullmatch(text.get()):
        return None
    return from_base64(hide(text.get().removeprefix("whsec_")))


def _warn_caller(message: str) -> None:
    """Warn at the line that called this package: a user cannot change a line of ours."""
    package = __name__.partition(".")[0]
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == package:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, WeakKeyWarning, stacklevel=level)
