"""Times that are signed: both ends of each window, to the second, and what is no time at all."""

import copy
import math
import pickle
from typing import Any

import pytest

from hmac_guard import ConfigError, Header, Json, Query, Reason
from hmac_guard.core.times import Expires, Timestamp, is_time

NOW = 1_800_000_000
SOURCE = Header("X-Time")
STAMP = Timestamp(SOURCE, max_age=300, leeway=60)
END = Expires(SOURCE, max_lifetime=3_600, leeway=5)


def reason(time: Timestamp | Expires, sent: int, now: float = NOW) -> Reason | None:
    refused = time.refuse(sent, now)
    return refused and refused.reason


@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.5, 0.999])
def test_a_timestamp_is_accepted_at_both_ends_of_its_window_and_not_beyond(fraction: float) -> None:
    now = NOW + fraction  # It is rounded down.
    assert [reason(STAMP, NOW + offset, now) for offset in (-301, -300, 0, 60, 61)] == [
        Reason.EXPIRED,
        None,
        None,
        None,
        Reason.NOT_YET_VALID,
    ]


@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.5, 0.999])
def test_an_expiry_is_accepted_at_both_ends_of_its_window_and_not_beyond(fraction: float) -> None:
    now = NOW + fraction
    assert [reason(END, NOW + offset, now) for offset in (-6, -5, 0, 3_605, 3_606)] == [
        Reason.EXPIRED,
        None,
        None,
        None,
        Reason.NOT_YET_VALID,
    ]


@pytest.mark.parametrize("seconds", [1.001, 0.29, 4.35, 16.1, 300.1])
def test_a_fraction_of_a_second_is_a_whole_number_of_milliseconds(seconds: float) -> None:
    """Some of these, times 1000, are a little less than a whole number."""
    stamp, ms = Timestamp(SOURCE, max_age=seconds, leeway=seconds, unit="ms"), round(seconds * 1000)

    assert [reason(stamp, NOW * 1000 + offset) for offset in (-ms - 1, -ms, ms, ms + 1)] == [
        Reason.EXPIRED,
        None,
        None,
        Reason.NOT_YET_VALID,
    ]


def test_milliseconds_have_the_same_windows_to_the_millisecond() -> None:
    stamp = Timestamp(SOURCE, max_age=300, leeway=60, unit="ms")
    end = Expires(SOURCE, max_lifetime=3_600, unit="ms")
    now, ms = NOW + 0.25, NOW * 1000 + 250

    assert [reason(stamp, ms + offset, now) for offset in (-300_001, -300_000, 60_000, 60_001)] == [
        Reason.EXPIRED,
        None,
        None,
        Reason.NOT_YET_VALID,
    ]
    assert [reason(end, ms + offset, now) for offset in (-1, 0, 3_600_000, 3_600_001)] == [
        Reason.EXPIRED,
        None,
        None,
        Reason.NOT_YET_VALID,
    ]


def test_an_age_of_zero_accepts_one_second() -> None:
    strict = Timestamp(SOURCE, max_age=0, leeway=0)

    assert [reason(strict, NOW + offset) for offset in (-1, 0, 1)] == [Reason.EXPIRED, None, Reason.NOT_YET_VALID]


def test_a_part_of_a_second_may_be_an_age() -> None:
    half = Timestamp(SOURCE, max_age=0.5, leeway=0.5, unit="ms")

    assert [reason(half, NOW * 1000 + offset) for offset in (-501, -500, 500, 501)] == [
        Reason.EXPIRED,
        None,
        None,
        Reason.NOT_YET_VALID,
    ]


@pytest.mark.parametrize(
    ("time", "sent", "says"),
    [
        (STAMP, NOW - 312, "the timestamp is 12 seconds too old"),
        (STAMP, NOW + 3_660, "the timestamp is 3600 seconds too far in the future"),
        (END, NOW - 17, "the signature ended 12 seconds ago"),
        (END, NOW + 3_705, "the signature lasts 100 seconds longer than max_lifetime allows"),
        (Timestamp(SOURCE, unit="ms"), (NOW - 300) * 1000 - 1_500, "the timestamp is 1.5 seconds too old"),
    ],
)
def test_the_detail_says_by_how_many_seconds(time: Timestamp | Expires, sent: int, says: str) -> None:
    refused = time.refuse(sent, NOW)

    assert refused is not None
    assert refused.detail.startswith(says + ";")


def test_seconds_for_milliseconds_and_the_other_way_round_are_refused() -> None:
    assert reason(STAMP, NOW * 1000) is Reason.NOT_YET_VALID
    assert reason(END, NOW * 1000) is Reason.NOT_YET_VALID
    assert reason(Timestamp(SOURCE, unit="ms"), NOW) is Reason.EXPIRED
    assert reason(Expires(SOURCE, max_lifetime=60, unit="ms"), NOW) is Reason.EXPIRED


def test_the_largest_time_is_far_in_the_future_and_no_more() -> None:
    assert reason(STAMP, 10**16 - 1) is Reason.NOT_YET_VALID
    assert reason(Timestamp(SOURCE, unit="ms"), 10**16 - 1) is Reason.NOT_YET_VALID
    assert reason(STAMP, 1) is Reason.EXPIRED


@pytest.mark.parametrize("text", ["1", "9", "10", "1800000000", "1800000000000", "9" * 16])
def test_a_whole_number_of_at_most_16_digits_is_a_time(text: str) -> None:
    assert is_time(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "0", "01", "00", "+1800000000", "-1800000000", "1800000000.0", "1800000000.", ".5", "1.8e9", "1e9"),
        *(" 1800000000", "1800000000 ", "1800000000\n", "\n1800000000", "1_800_000_000", "1,800", "NaN", "nan"),
        *("inf", "Infinity", "now", "None", "true", "0x6b49d200", "1" * 17, "1" * 400, "\u0661\u0662\u0663"),
        *(
            "\uff11\uff18",
            "18\u0660",
            "1800000000\0",
            "2027-01-15T08:00:00Z",
            "Fri, 15 Jan 2027 08:00:00 GMT",
            "\u00b2",
        ),
    ],
)
def test_anything_else_is_no_time(text: str) -> None:
    assert not is_time(text)


def test_the_seconds_of_a_time_are_what_the_request_says() -> None:
    moments: list[Any] = [STAMP.moment(NOW), Timestamp(SOURCE, unit="ms").moment(NOW * 1000 + 123)]

    assert moments == [NOW, NOW + 0.123]
    assert [type(moment) for moment in moments] == [int, float]


@pytest.mark.parametrize("clock", [math.nan, math.inf, -math.inf])
def test_a_clock_that_gives_no_time_is_an_error_and_no_pass(clock: float) -> None:
    with pytest.raises((ValueError, OverflowError)):
        STAMP.refuse(NOW, clock)


def test_two_times_that_are_declared_alike_are_equal_and_show_how() -> None:
    assert Timestamp(Header("X-Time")) == STAMP
    assert hash(STAMP) == hash(Timestamp(Header("X-Time")))
    assert Timestamp(Header("X-Time"), leeway=61) != STAMP
    assert Expires(Header("X-Time"), max_lifetime=300) != STAMP
    assert repr(END) == "Expires(source=Header(name='X-Time', before=''), leeway=5, unit='s', max_lifetime=3600)"
    assert eval(repr(STAMP)) == STAMP
    assert copy.deepcopy(STAMP) is STAMP
    with pytest.raises(AttributeError, match="cannot be changed"):
        STAMP.leeway = 3
    with pytest.raises(pickle.PicklingError, match="not pickled"):
        pickle.dumps(STAMP)


CASES: dict[str, tuple[Any, str]] = {
    "no source": (lambda: Timestamp("X-Time"), "give a source"),  # type: ignore[arg-type]
    "an unknown unit": (lambda: Timestamp(SOURCE, unit="us"), "unit must be"),  # type: ignore[arg-type]
    "an age below zero": (lambda: Timestamp(SOURCE, max_age=-1), "max_age must be"),
    "an age that is no number": (lambda: Timestamp(SOURCE, max_age="300"), "max_age must be"),  # type: ignore[arg-type]
    "an age without an end": (lambda: Timestamp(SOURCE, max_age=math.inf), "max_age must be"),
    "an age of NaN": (lambda: Timestamp(SOURCE, max_age=math.nan), "max_age must be"),
    "an age of True": (lambda: Timestamp(SOURCE, max_age=True), "max_age must be"),
    "a leeway below zero": (lambda: Timestamp(SOURCE, leeway=-1), "leeway must be"),
    "no lifetime": (lambda: Expires(SOURCE, max_lifetime=0), "more than 0"),
    "an endless lifetime": (lambda: Expires(SOURCE, max_lifetime=math.inf), "max_lifetime must be"),
    "a lifetime below zero": (lambda: Expires(SOURCE, max_lifetime=-5), "max_lifetime must be"),
    "a leeway of NaN": (lambda: Expires(SOURCE, max_lifetime=5, leeway=math.nan), "leeway must be"),
    "a lifetime that is not given": (lambda: Expires(SOURCE), "max_lifetime"),  # type: ignore[call-arg]
    "an option of the other": (lambda: Timestamp(SOURCE, max_lifetime=5), "no option"),  # type: ignore[call-arg]
}


@pytest.mark.parametrize("case", CASES)
def test_a_time_that_cannot_be_meant_is_refused_when_it_is_made(case: str) -> None:
    make, says = CASES[case]
    with pytest.raises(ConfigError, match=says):
        make()


def test_a_time_may_be_in_any_source() -> None:
    for source in (Query("t"), Json("/t"), Header("X").item("t", separators=(",", "=")), Query("t") | Header("T")):
        assert Timestamp(source).field.source == source
