"""T020, T108: a wrong signature and an unknown tenant go the same way, call for call.

How long that takes is measured by `make bench-timing`; here it is held that nothing is called for one alone.
"""

import sys
from collections.abc import Callable
from types import CodeType
from typing import Any

import pytest
from key_sources import KEY, Clock
from support import Call, Sent, environ_for, request_of

from hmac_guard import Claim, Guard, Keyring, Query, Reason, Scheme, Verdict
from hmac_guard.core import judge
from hmac_guard.core.request import Request
from hmac_guard.decider import Decider, decider_of
from hmac_guard.keys import CachedKeys, ChainKeys, MappingKeys

SCHEME = Scheme(name="one", ids={"a": Query("a")}, message="{a}", signature=Query("sig"), tenant=Query("t"))

SOURCES: dict[str, Callable[[], Any]] = {
    "a mapping": lambda: MappingKeys({"acme": KEY}),
    "a cache": lambda: CachedKeys({"acme": KEY}, clock=Clock()),
    "a cache of a chain": lambda: CachedKeys(ChainKeys({"other": f"{KEY} of other"}, {"acme": KEY}), clock=Clock()),
    "its own mode": lambda: CachedKeys({"acme": Keyring(KEY, "enforce")}, clock=Clock()),
}


def calls_of(work: Callable[[], object]) -> list[str]:
    """The functions that `work` calls, Python and C, in order."""
    seen: list[str] = []
    watching: list[Any] = []  # the frames of the tests' own look at local variables

    def note(frame: Any, event: str, what: Any) -> None:
        code = frame.f_code
        if event == "call" and (watching or (code.co_name == "look" and code.co_filename.endswith("secrecy.py"))):
            watching.append(frame)
        elif event == "return" and watching:
            watching.pop()
        elif event == "call":
            seen.append(frame.f_code.co_name)
        elif event == "c_call" and not watching:
            seen.append(what.__qualname__)

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return seen


@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)
def test_an_unknown_tenant_and_a_wrong_signature_make_the_same_calls(call: Call, make: Callable[[], Any]) -> None:
    reasons = []

    def on_verdict(verdict: Verdict, claim: Claim) -> None:
        reasons.append(verdict.reason)

    guard = Guard(SCHEME, make(), on_verdict=on_verdict)
    sent = {tenant: Sent(query=f"a=x&sig={'0' * 64}&t={tenant}") for tenant in ("acme", "ecma")}
    for each in sent.values():
        call(guard, each)  # Everything is loaded after that.

    calls = {tenant: calls_of(lambda each=each: call(guard, each)) for tenant, each in sent.items()}  # type: ignore[misc]

    assert reasons == [Reason.INVALID_SIGNATURE, Reason.UNKNOWN_KEY] * 2
    assert len(calls["acme"]) > 50
    assert inside(calls["acme"]) == inside(calls["ecma"])


@pytest.mark.parametrize("code", [Decider.conclude.__code__, judge.judge.__code__], ids=["conclude", "judge"])
def test_they_are_concluded_by_the_same_instructions(code: CodeType) -> None:
    decider = decider_of("test", Guard(SCHEME, MappingKeys({"acme": KEY})))
    environ = environ_for(Sent(query=f"a=x&sig={'0' * 64}&t=acme"))
    request: Request = request_of(environ, decider.reader)
    reading = decider.reader.read(request)

    known, unknown = (
        instructions_of(code, lambda ring=ring: decider.conclude(environ, reading, ring, 0.0))  # type: ignore[misc]
        for ring in (Keyring(KEY), None)
    )

    assert len(known) > 20
    assert known == unknown


def instructions_of(code: CodeType, work: Callable[[], object]) -> list[int]:
    """The offset in `code` of each instruction that runs during `work`."""
    seen: list[int] = []

    def note(frame: Any, event: str, _: Any) -> Any:
        if frame.f_code is not code:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            seen.append(frame.f_lasti)
        return note

    before = sys.gettrace()
    sys.settrace(note)
    try:
        work()
    finally:
        sys.settrace(before)
    return seen


def inside(calls: list[str]) -> list[str]:
    """From where the guard is asked to where it has answered: what an event loop does before and after may differ."""
    return calls[calls.index("decide") : len(calls) - calls[::-1].index("on_verdict")]
