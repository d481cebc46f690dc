"""When a source of keys is well, slow or failing. Times are seconds of no clock."""

import pytest

from hmac_guard import Keyring
from hmac_guard.keys.cache_state import (
    MAX_STUCK,
    PROBE_TENANT,
    SLOW_AFTER,
    Entries,
    Kind,
    Lookup,
    LookupQueue,
    LookupResult,
    SourceState,
)
from hmac_guard.keys.cached import WATCH_EVERY


def test_with_a_ttl_of_four_seconds_a_source_counts_as_slow_before_the_keys_of_a_tenant_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """docs/keys.md says so of a tenant with ten requests per ttl."""
    ttl = 4.0
    monkeypatch.setattr("random.uniform", min)
    entries = Entries(ttl, negative_ttl=10.0, maxsize=1, stale=300.0)
    entries.keep("acme", Keyring("k" * 32), since=0.0)
    entry = entries.current["acme"]

    assert entry.refresh_at + ttl / 10 + SLOW_AFTER + WATCH_EVERY < entry.fresh_until


def state_of(source: SourceState) -> str:
    return "failing" if source.is_failing else "slow" if source.is_slow else "well"


@pytest.fixture
def source() -> SourceState:
    """One that has given keys to two tenants."""
    found = SourceState()
    for tenant in ("acme", "globex"):
        found.answered(tenant, 1.0, 1.1, has_keys=True)
    return found


def test_a_source_is_well_until_something_is_known() -> None:
    assert state_of(SourceState()) == "well"


@pytest.mark.parametrize(("kind", "state"), [(Kind.KNOWN, "slow"), (Kind.PROBE, "slow"), (Kind.NEW, "well")])
def test_a_look_up_without_an_answer_makes_the_source_slow_unless_a_client_made_its_name_up(
    source: SourceState, kind: Kind, state: str
) -> None:
    source.unanswered(kind, 9.0)

    assert state_of(source) == state
    assert source.next_probe(10.0)


def test_a_source_that_answers_within_a_second_is_well_again(source: SourceState) -> None:
    source.unanswered(Kind.KNOWN, 9.0)
    source.answered("acme", 10.0, 11.5, has_keys=True)
    assert state_of(source) == "slow"

    source.answered("made up", 12.0, 12.5, has_keys=False)

    assert state_of(source) == "well"


@pytest.mark.parametrize(
    ("failures", "state"),
    [
        pytest.param([("acme", Kind.KNOWN)], "well", id="one tenant"),
        pytest.param([("acme", Kind.KNOWN)] * 3, "well", id="one tenant, three times"),
        pytest.param([("acme", Kind.KNOWN), ("globex", Kind.KNOWN)], "failing", id="two tenants"),
        pytest.param([("a\0", Kind.NEW), ("b\0", Kind.NEW), ("c\0", Kind.NEW)], "well", id="names never seen"),
        pytest.param([("acme", Kind.KNOWN), ("a\0", Kind.NEW)], "well", id="one tenant and a name never seen"),
        pytest.param([("acme", Kind.PROBE)], "failing", id="a probe"),
    ],
)
def test_what_makes_a_source_failing(source: SourceState, failures: list[tuple[str, Kind]], state: str) -> None:
    for tenant, kind in failures:
        source.failed(tenant, kind, 10.0, 10.0)

    assert state_of(source) == state


def test_failures_of_two_tenants_with_an_answer_between_do_not_count(source: SourceState) -> None:
    source.failed("acme", Kind.KNOWN, 10.0, 10.0)
    source.answered("globex", 11.0, 11.1, has_keys=True)
    source.failed("globex", Kind.KNOWN, 12.0, 12.0)

    assert state_of(source) == "well"


def test_a_failure_that_began_before_the_last_answer_does_not_count(source: SourceState) -> None:
    source.answered("acme", 20.0, 20.1, has_keys=True)
    source.failed("globex", Kind.PROBE, 19.0, 19.0)

    assert state_of(source) == "well"


def test_any_failure_starts_at_most_one_probe_a_second(source: SourceState) -> None:
    assert source.next_probe(10.0) == []
    probes = []
    for tenth in range(30):
        source.failed("a\0", Kind.NEW, 10.0 + tenth / 10, 10.0 + tenth / 10)
        probes += source.next_probe(10.0 + tenth / 10)

    assert len(probes) == 3


def test_a_failing_source_is_probed_each_second_until_it_answers(source: SourceState) -> None:
    source.failed("acme", Kind.PROBE, 10.0, 10.0)
    assert [bool(source.next_probe(10.0 + second)) for second in range(3)] == [True] * 3

    source.answered("acme", 13.0, 13.1, has_keys=True)

    assert (state_of(source), source.next_probe(20.0)) == ("well", [])


def test_probes_ask_for_the_tenants_with_keys_in_turn(source: SourceState) -> None:
    source.failed("acme", Kind.PROBE, 10.0, 10.0)

    assert {tenant for second in range(4) for tenant in source.next_probe(10.0 + second)} == {"acme", "globex"}


def test_a_source_that_gave_no_keys_yet_is_probed_by_a_name_of_ours_and_fails_after_a_second() -> None:
    source = SourceState()
    source.answered("made up", 1.0, 1.1, has_keys=False)
    source.unanswered(Kind.NEW, 2.0)
    assert (state_of(source), source.next_probe(2.0)) == ("well", [PROBE_TENANT])

    source.unanswered(Kind.PROBE, 3.0)

    assert state_of(source) == "failing"
    assert [source.may_try(second) for second in (3.0, 3.5, 4.0)] == [False, False, True]


def test_an_error_for_our_name_does_not_make_a_source_that_gave_no_keys_yet_failing() -> None:
    source = SourceState()
    for second in range(9):
        source.failed(f"made up {second}", Kind.NEW, float(second), float(second))
        [probe] = source.next_probe(float(second))
        source.failed(probe, Kind.PROBE, float(second), second + 0.5)
        assert state_of(source) == "well"

    source.failed(PROBE_TENANT, Kind.PROBE, 9.0, 10.0)
    assert state_of(source) == "failing"

    source.failed(PROBE_TENANT, Kind.PROBE, 11.0, 11.5)
    assert state_of(source) == "well"


def test_a_time_out_is_no_answer_in_time_for_a_source_that_gave_no_keys_yet() -> None:
    source = SourceState()
    for second in range(2):
        source.failed(PROBE_TENANT, Kind.PROBE, float(second), second + 0.5, timed_out=True)
        assert state_of(source) == "failing"


def test_a_source_that_gave_no_keys_yet_fails_if_look_ups_of_two_tenants_fail() -> None:
    source = SourceState()  # That of a process which was forked with known tenants.
    source.failed("acme", Kind.KNOWN, 10.0, 10.0)
    source.failed("globex", Kind.KNOWN, 10.0, 10.0)
    source.failed(PROBE_TENANT, Kind.PROBE, 11.0, 11.5)

    assert state_of(source) == "failing"


def test_a_request_may_try_a_failing_source_where_there_was_no_probe_for_a_while(source: SourceState) -> None:
    source.failed("acme", Kind.PROBE, 10.0, 10.0)
    source.next_probe(10.0)

    assert [source.may_try(second) for second in (11.0, 13.0, 13.5, 14.0, 14.5)] == [False, False, True, False, True]


def test_a_request_may_try_a_source_that_gave_no_keys_yet_once_a_second() -> None:
    source = SourceState()
    source.unanswered(Kind.PROBE, 9.0)
    source.next_probe(10.0)

    assert [source.may_try(10.0 + tenth / 2) for tenth in range(5)] == [True, False, True, False, True]


def lookups(kind: Kind, count: int) -> list[Lookup]:
    return [Lookup(f"{kind.name}-{number}", kind) for number in range(count)]


def run_all(queue: LookupQueue) -> list[Lookup]:
    return list(iter(lambda: queue.next(1.0), None))


@pytest.mark.parametrize(
    ("limit", "of_one_sort"), [(2, 1), (3, 2), (4, 3), (5, 3), (6, 4), (7, 5), (8, 6), (12, 9), (13, 9)]
)
def test_neither_sort_of_look_ups_takes_more_than_three_quarters(limit: int, of_one_sort: int) -> None:
    for first, second in ((Kind.NEW, Kind.KNOWN), (Kind.KNOWN, Kind.NEW)):
        queue = LookupQueue(limit, 1_000)
        for lookup in lookups(first, 50):
            queue.add(lookup)
        assert len(run_all(queue)) == of_one_sort
        for lookup in lookups(second, 50):
            queue.add(lookup)

        assert [lookup.kind for lookup in run_all(queue)] == [second] * (limit - of_one_sort)


def test_one_look_up_at_a_time_serves_both_sorts() -> None:
    queue = LookupQueue(1, 1_000)
    for kind in (Kind.NEW, Kind.KNOWN):
        queue.add(Lookup("acme", kind))
        [lookup] = run_all(queue)
        queue.running.discard(lookup)


def test_the_oldest_look_up_runs_first() -> None:
    queue, waiting = LookupQueue(4, 1_000), lookups(Kind.NEW, 9)
    for lookup in waiting:
        queue.add(lookup)
    ran = run_all(queue)
    queue.running.clear()

    assert ran + run_all(queue) == waiting[:6]
    assert (waiting[0].started, waiting[0].age(3.0)) == (1.0, 2.0)


def test_the_queue_of_each_sort_has_a_bound() -> None:
    queue = LookupQueue(12, 3)

    assert [queue.add(lookup) for lookup in lookups(Kind.NEW, 5)] == [True] * 3 + [False] * 2
    assert queue.add(Lookup("acme", Kind.KNOWN))


def test_a_look_up_that_was_removed_does_not_run() -> None:
    queue, waiting = LookupQueue(12, 3), lookups(Kind.NEW, 3)
    for lookup in waiting:
        queue.add(lookup)

    assert queue.remove(waiting[1])
    assert run_all(queue) == [waiting[0], waiting[2]]
    assert not queue.remove(waiting[0])


def test_nothing_runs_while_too_many_look_ups_are_stuck() -> None:
    queue = LookupQueue(12, 3)
    queue.add(Lookup("acme", Kind.KNOWN))

    queue.stuck = MAX_STUCK
    assert run_all(queue) == []
    queue.stuck -= 1
    assert len(run_all(queue)) == 1


def test_only_the_first_result_of_a_look_up_counts() -> None:
    lookup = Lookup("acme", Kind.NEW)
    first = LookupResult(None)
    assert lookup.result is None

    lookup.resolve(first)
    lookup.resolve(LookupResult(None, None, True))

    assert lookup.result is first


def test_the_look_ups_that_wait_to_run_on_a_loop_are_those_of_this_loop() -> None:
    queue, loop = LookupQueue(4, 1_000), object()
    on_loop = Lookup("acme", Kind.KNOWN, loop, is_on_loop=True)
    new = Lookup("new", Kind.NEW, loop, is_on_loop=True)
    on_a_thread = Lookup("other", Kind.NEW, loop)
    on_another = Lookup("another", Kind.NEW, object(), is_on_loop=True)
    for lookup in (on_loop, new, on_a_thread, on_another):
        queue.add(lookup)

    assert queue.waiting_on(loop) == [on_loop, new]
