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
        tenant: The tenant, or None.
        refused: Why the request cannot be judged, or None.
        message: The bytes that were signed; None if `refused`.
        request: The request.
        times: The text of each time, by name; only if the scheme has times.
        outside: The time that is outside of its window, after the judgement, and by how much.
        tenant_is_certain: Whether the tenant was found, and each place of it was read to its end.
        verdict: The judgement; only with a single-use store.
        used: The answer of the single-use store; only with one.
    """

    # No `__init__`: a call of one would be a twentieth of what the guard costs.
    ids: Mapping[str, str]
    tenant: str | None
    tenant_is_certain: bool
    refused: Refused | None
    message: bytes | None
    request: Request
    times: dict[str, str]
    outside: Refused
    verdict: Verdict | None
    used: Any
