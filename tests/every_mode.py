"""Checks that a sample of the documentation works in every mode of its guard."""

from collections.abc import Callable
from typing import Any

from support import Reply, Sent

from hmac_guard import Guard

#: The arguments of the guard in each mode. `exempt` covers the paths of the tests.
MODES: dict[str, dict[str, Any]] = {
    "enforce": {"mode": "enforce"},
    "report": {"mode": "report"},
    "off": {"mode": "off"},
    "exempt": {"only": (), "exempt": ("/inbox", "/inbox/", "/oauth/", "/partners/", "/notifications/", "/orders")},
}
ORIGIN = "https://app.example"


class MadeOtherwise:
    """Replace `Guard` in a sample: the same guard with other options."""

    def __init__(self, **changes: Any) -> None:
        self.changes = changes

    def __call__(self, *arguments: Any, **options: Any) -> Guard:
        return Guard(*arguments, **{**options, **self.changes})


def preflight_for(sent: Sent) -> Sent:
    """Return the preflight of a request. Its query may contain ids, which are not signed."""
    asked = [("Origin", ORIGIN), ("Access-Control-Request-Method", sent.method)]
    return Sent("OPTIONS", sent.path, sent.query, asked)


def check(
    mode: str, send: Callable[[Sent], Reply], signed: Sent, unsigned: Sent, ids: bytes, *, exempts: bool = True
) -> None:
    """The application answers a signed request with the ids, and another one as the mode says. `unsigned` names the
    same ids. `exempts` is false where the guard is on a view, so that its `exempt` does not count."""
    good, other = send(signed), send(unsigned)
    assert good.status == 200, good
    assert ids in good.body
    if mode == "enforce" or (mode == "exempt" and not exempts):
        assert other.status == 401, other
    else:
        assert other.status == 200, other
        assert ids in other.body
    if mode == "enforce":
        asked = send(preflight_for(unsigned))
        assert asked.status < 500, asked
        assert ids not in asked.body
