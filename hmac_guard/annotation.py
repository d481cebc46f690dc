"""What a guard leaves on a request, and how its own handles find it again."""

from collections.abc import Mapping, MutableMapping
from typing import Any

from hmac_guard.core.verdict import Reason, Verdict
from hmac_guard.guard import Guard


def annotate(guard: Guard, holder: MutableMapping[str, Any], verdict: Verdict) -> None:
    """Leave the verdict in a scope or environ, and beside it whose it is."""
    holder[guard.annotate_as] = verdict
    holder[guard.issued_as] = guard.issuer


def standing_verdict(guard: Guard, holder: Mapping[str, Any]) -> Verdict | None:
    """The verdict by which this very guard has let the request through already, or None.

    A verdict of another guard does not count, be it on the same scheme: it may have other keys. Nor does an exemption:
    it went by the path, and a handle on a route is asked because the route is to be guarded.
    """
    verdict = holder.get(guard.annotate_as)
    if (
        holder.get(guard.issued_as) is guard.issuer
        and isinstance(verdict, Verdict)
        and verdict.reason is not Reason.EXEMPT
    ):
        return verdict
    return None
