"""What a request says."""

from collections.abc import Mapping
from typing import Any

from hmac_guard.core.request import Request
from hmac_guard.core.verdict import Refused, Verdict


class Reading:
    """What a request says. Its signature is on the request.

    ids      each id that is there exactly once and is valid, by name
    tenant   the tenant, or None
    refused  why the request cannot be judged, or None
    message  the bytes that were signed; None where `refused`
    request  the request
    times    the text of each time, by name; only where the scheme has times
    outside  which time is outside of its window, once that is judged, and by how much
    tenant_is_certain  whether the tenant was found, and each place in which the scheme looks for it was read to its end
    verdict, used      what was judged, and what the single-use store answered; only where there is one
    """

    # No `__init__`: a call of one would be a twentieth of what the guard costs.
    __slots__ = (
        "ids",
        "message",
        "outside",
        "refused",
        "request",
        "tenant",
        "tenant_is_certain",
        "times",
        "used",
        "verdict",
    )

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
