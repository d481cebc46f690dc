"""The extra `cache`: one look-up of keys serves several requests."""

from typing import Any

from acceptance.extras.calls import SCHEME, SECRET, check, check_guard
from hmac_guard import Guard
from hmac_guard.keys import CachedKeys

asked: list[str | None] = []


def look_up(claim: Any) -> str:
    asked.append(claim.tenant)
    return SECRET


check_guard(Guard(SCHEME, CachedKeys(look_up)))
check(asked == ["acme"], f"four requests looked the keys up {len(asked)} times")
