"""How a secret is written where it is kept, and under whose name. The form is named, never guessed."""

import re

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.key import Key

_MAKERS = {"text": Key.from_text, "hex": Key.from_hex, "base64": Key.from_base64}

# Words of letters, each with a short number behind it; a secret has its digits anywhere.
_WORD = "(?:[A-Z]{1,20}[0-9]{0,4}|[0-9]{1,4})"
_NAME = re.compile(f"_*{_WORD}(?:_+{_WORD})*_*")


def shown(name: str) -> str:
    """The name of a variable, or "..." for what does not look like one: who passes the secret for the name of its
    variable must not find it in a log."""
    fixed = name.replace("{tenant}", "")
    in_one_case = fixed in (fixed.upper(), fixed.lower())
    return name if in_one_case and _NAME.fullmatch(fixed.upper()) else "..."


def tenant_in(name: str, pattern: str) -> str | None:
    """The tenant for which `name` stands in `pattern`, `NANGO_KEY_{tenant}` say; None where it does not fit."""
    before, _, after = pattern.partition("{tenant}")
    tenant = name[len(before) : len(name) - len(after)]
    return tenant if tenant and name == before + tenant + after else None


def key_from_text(where: str, text: str, form: str, id: str | None = None, **times: float | None) -> Key:
    """The key that `text`, found at `where`, stands for. Raises `ConfigError` that says where, and never the text."""
    if form not in _MAKERS:
        raise ConfigError(f"{where}: form {form!r} is unknown; take one of {', '.join(_MAKERS)}")
    if text != text.strip() and text.strip():
        raise ConfigError(
            f"{where}: the secret has white space or a newline at an end, which would be part of the key; remove it"
        )
    try:
        return _MAKERS[form](text, id, **times)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
