"""What a request says."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hmac_guard.core.request import Request
from hmac_guard.core.verdict import Refused, Verdict


@dataclass(slots=True, init=False, eq=False, repr=False)
class Reading:
    """What a request says. Its signature is on the request.

    Attributes:
        ids: Each id that is there exactly once and is valid, by name.
        others: The same for the times and the method; only if the scheme has them.
        tenant: The tenant, or None.
        refused: Why the request cannot be verified, or None.
        message: The bytes that were signed; None if `refused`.
        request: The request.
        outside: After the verdict: which time is outside of its window, and by how much.
        tenant_is_certain: Whether the tenant was found, and each place of it was read to its end.
        verdict: The verdict before the single-use store is asked; only with one.
        used: The answer of the single-use store; only with one.
    """

    # No `__init__`: its call would take 5 % of the time of the guard.
    ids: Mapping[str, str]
    others: dict[str, str]
    tenant: str | None
    tenant_is_certain: bool
    refused: Refused | None
    message: bytes | None
    request: Request
    outside: Refused
    verdict: Verdict | None
    used: Any
