"""Outcomes of a request that are always a failure."""

from acceptance.wire.exchange import Ask, Outcome
from acceptance.wire.guards import BARE
from acceptance.wire.reach import Reach


def problems_of(ask: Ask, outcome: Outcome, without_guard: int | None) -> list[str]:
    """The failures in an outcome, even if the golden files have the same."""
    problems = [problem for reach in outcome.reached if reach.guard != BARE for problem in _reach_problems(ask, reach)]
    if outcome.connection == "hangs":
        problems.append("the connection is neither of use nor closed")
    if ask.guard != BARE and (outcome.status or 0) >= 500 and outcome.status != without_guard:
        problems.append(f"answers {outcome.status}, and {without_guard} without a guard")
    return problems


def _reach_problems(ask: Ask, reach: Reach) -> list[str]:
    if reach.reason != "verified":
        return [] if reach.may_go_unsigned() else [f"reached unsigned: {reach}"]
    problems = []
    if reach.ids["id"] not in ask.signed:
        problems.append(f"no client signed {reach.ids}")
    if reach.ids_read() != {reach.ids["id"]}:
        problems.append(f"verified {reach.ids}, the application reads {reach.ids_read()}")
    if ask.document is not None and reach.body.encode("latin-1") != ask.document:
        problems.append(f"the application reads {reach.body!r}")
    if ask.document is not None and reach.length != str(len(ask.document)):
        problems.append(f"the application reads a length of {reach.length} bytes")
    return problems
