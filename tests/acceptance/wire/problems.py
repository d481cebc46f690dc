"""Outcomes of a request that are always a failure."""

from acceptance.wire.exchange import Ask, Outcome
from acceptance.wire.guards import BARE, NOW, WEBHOOKS
from acceptance.wire.reach import Reach

#: Seconds around NOW in which a signed time is accepted by one of the guards.
_WINDOW = 300


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
    if reach.guard in WEBHOOKS:
        return _webhook_problems(ask, reach)
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


def _webhook_problems(ask: Ask, reach: Reach) -> list[str]:
    """Each id, time and body that an application could read belongs to one webhook that was signed, and recently."""
    read = reach.messages_read()
    problems = [f"the application reads {message}, which was not signed" for message in sorted(read - ask.messages)]
    if {(message.id, message.time) for message in read} != {(reach.ids.get("message_id", ""), str(reach.signed_at))}:
        problems.append(f"verified {reach.ids} at {reach.signed_at}, the application reads {sorted(read)}")
    if reach.signed_at is None or abs(reach.signed_at - NOW) > _WINDOW:
        problems.append(f"signed at {reach.signed_at}, received at {NOW}")
    if reach.length != str(len(reach.body)):
        problems.append(f"the application gets the length {reach.length}, and reads {len(reach.body)}")
    return problems
