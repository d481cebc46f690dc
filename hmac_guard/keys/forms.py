"""Stored secrets: how they are written, and the tenant in their name. The form is named, never guessed."""

import base64
import os
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.key import Key
from hmac_guard.core.secret import fault_of_text

_MAKERS: dict[str, Callable[..., Key]] = {
    "text": Key,
    "hex": Key.from_hex,
    "base64": Key.from_base64,
    "whsec": Key.from_whsec,
}
FORMS = tuple(_MAKERS)

KEY_BYTES = 32
_WRITTEN: Mapping[str, Callable[[bytes], str]] = {
    "text": lambda secret: base64.urlsafe_b64encode(secret).rstrip(b"=").decode(),
    "hex": bytes.hex,
    "base64": lambda secret: base64.b64encode(secret).decode(),
    "whsec": lambda secret: "whsec_" + base64.b64encode(secret).decode(),
}

# Words of letters, each followed by a short number. A secret has digits anywhere.
_WORD = "(?:[A-Z]{1,20}[0-9]{0,4}|[0-9]{1,4})"
_NAME = re.compile(f"_*{_WORD}(?:_+{_WORD})*_*")
_SUFFIX = re.compile("[.][a-z]{1,6}")


def shown(name: str) -> str:
    """Return the name of a variable; "..." if it does not look like one.

    A user may pass the secret itself in place of the variable's name, and must not find it in a log.
    """
    fixed = name.replace("{tenant}", "")
    in_one_case = fixed in (fixed.upper(), fixed.lower())
    return name if in_one_case and _NAME.fullmatch(fixed.upper()) else "..."


def shown_path(path: Path) -> str:
    """Return a path; "..." if there is no such file and it does not look like a path.

    A user may pass the secret itself in place of the path, and must not find it in a log.
    """
    # `Path.is_dir` and `Path.exists` raise for a text that is too long, and in a folder without permission. Only the
    # first folder must be there: a later one may be missing or unreadable. A secret in base64 may begin with "/".
    first = 1 + bool(path.anchor)
    in_a_folder = len(path.parts) > first and os.path.isdir(Path(*path.parts[:first]))
    named = all(shown(part) == part for part in path.parts if part != path.anchor)
    return str(path) if os.path.exists(path) or in_a_folder or named or _SUFFIX.fullmatch(path.suffix) else "..."


def tenant_in(name: str, pattern: str) -> str | None:
    """Return the tenant in a name.

    Args:
        name: A name, such as "NANGO_KEY_acme".
        pattern: The pattern of such names, such as "NANGO_KEY_{tenant}".

    Returns:
        The tenant; None if the name does not match.
    """
    before, _, after = pattern.partition("{tenant}")
    tenant = name[len(before) : len(name) - len(after)]
    return tenant if tenant and name == before + tenant + after else None


def random_secret(form: str) -> Hidden[str]:
    """Return 32 random bytes, written in one of `FORMS`. Raise `ConfigError` for another form."""
    _check_form("a new secret", form)
    return hide(_WRITTEN[form](secrets.token_bytes(KEY_BYTES)))


def key_from_text(
    where: str, text: "str | Hidden[str]", form: str, id: str | None = None, **times: float | None
) -> Key:
    """Return the key that is written as `text`.

    Args:
        where: Where the text is, for messages.
        text: The text; it may be hidden.
        form: One of `FORMS`.
        id: The key's id.
        times: `not_before` and `not_after` of `Key`.

    Raises:
        ConfigError: The text is not a key. The message contains `where`, and never the text.
    """
    hidden: Hidden[Any] = hide(text)
    del text
    _check_form(where, form)
    fault = fault_of_text(hidden)
    if fault:
        raise ConfigError(f"{where}: the secret {fault}")
    try:
        return _MAKERS[form](hidden.get(), id, **times)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _check_form(where: str, form: str) -> None:
    if form not in FORMS:
        raise ConfigError(f"{where}: form {form!r} is unknown; take one of {', '.join(FORMS)}")
