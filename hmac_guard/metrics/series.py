"""The labels of a decision. They have few values, and are never an id."""

from hmac_guard.core.verdict import NOT_CHECKED

#: What became of a request.
VERIFIED, REFUSED, REPORTED, SKIPPED = "verified", "refused", "reported", "skipped"
_SKIPPED = frozenset(reason.value for reason in NOT_CHECKED)

#: Seconds. A decision over known keys takes some ten microseconds; one that waits for a database, milliseconds.
BUCKETS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


def result_of(reason: str, refused: bool) -> str:
    """Return what became of the request of a decision: `VERIFIED`, `REFUSED`, `REPORTED` or `SKIPPED`."""
    if reason == VERIFIED:
        return VERIFIED
    if refused:
        return REFUSED
    return SKIPPED if reason in _SKIPPED else REPORTED
