"""Times that are signed: when a signature was made, and when it ends. Pure: the clock is an argument.

A time is sent as a whole number of seconds or milliseconds since 1970, `[1-9][0-9]{0,15}`. Nothing else is one: no
sign, no leading zero, no fraction, no exponent, no white space, no digit outside ASCII. The text is signed as it was
received.
"""

import math
from collections.abc import Collection, Iterable
from typing import ClassVar, Literal, get_args

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.frozen import Value
from hmac_guard.core.message import BODY, Part
from hmac_guard.core.message import Literal as LiteralText
from hmac_guard.core.numbers import check_seconds
from hmac_guard.core.source import Field, Source
from hmac_guard.core.verdict import Reason, Refused

MAX_DIGITS = 16
_PER_SECOND = {"s": 1, "ms": 1000}
Unit = Literal["s", "ms"]
#: The names of the units in texts.
UNIT_NAMES = {"s": "seconds", "ms": "milliseconds"}

NOT_A_TIME = "is not a Unix time; send a whole number of at most 16 digits, without sign or leading zero"


def is_time(text: str) -> bool:
    """Return whether `text` is a time as it is sent."""
    return text.isascii() and text.isdigit() and text[0] != "0" and len(text) <= MAX_DIGITS


class Time(Value):
    """The common base of `Timestamp` and `Expires`."""

    name: ClassVar[str]
    label: ClassVar[str]
    source: Source
    leeway: float
    unit: Unit
    _scale: int
    _first: float
    _last: float

    def _keep(self, source: Source, leeway: float, unit: Unit, *, before: float, after: float) -> None:
        """Set the attributes. The window reaches `before` seconds back from now, and `after` seconds ahead."""
        kind = type(self).__name__
        if not isinstance(source, Source):
            raise ConfigError(f'{kind}: give a source such as Query("{self.name}"), not {type(source).__name__}')
        if unit not in get_args(Unit):
            raise ConfigError(f'{kind}: unit must be "s" (seconds) or "ms" (milliseconds)')
        scale = _PER_SECOND[unit]
        # Rounded, since 1.001 * 1000 is less than 1001.
        first, last = round(-before * scale, 6), round(after * scale, 6)
        self._set(source=source, leeway=leeway, unit=unit, _scale=scale, _first=first, _last=last)

    @property
    def field(self) -> Field:
        return Field(self.name, self.label, self.source)

    def ticks(self, clock: float) -> int:
        """Return the Unix time `clock`, rounded down to the unit."""
        return math.floor(clock * self._scale)

    def moment(self, sent: int) -> float:
        """Return the Unix seconds of a time as it is sent: an int if the unit is seconds."""
        return sent if self.unit == "s" else sent / 1000

    def last(self, sent: int) -> float:
        """Return the last Unix time at which a time as it is sent is accepted."""
        return self.moment(sent) - self._first / self._scale

    def refuse(self, sent: int, clock: float) -> Refused | None:
        """Return why a time is outside of its window at the Unix time `clock`, or None. Both ends are inside."""
        distance = sent - math.floor(clock * self._scale)  # As `ticks` does it, without a call.
        if distance < self._first:
            return Refused(Reason.EXPIRED, self._says(self._too_early, self._first - distance))
        if distance > self._last:
            return Refused(Reason.NOT_YET_VALID, self._says(self._too_late, distance - self._last))
        return None

    _too_early: ClassVar[str]
    _too_late: ClassVar[str]

    def _says(self, text: str, ticks: float) -> str:
        return text.format(f"{ticks / self._scale:.3f}".rstrip("0").rstrip("."))

    def _description(self) -> str:
        options = "".join(f", {name}={value!r}" for name, value in vars(self).items() if name[0] != "_")
        return f"{type(self).__name__}({options[2:]})"


class Timestamp(Time):
    """When a request was signed: `Timestamp(Header("X-Timestamp"))`.

    It is accepted while `now - max_age <= time <= now + leeway`; `now` is rounded down to the unit.

    Args:
        source: Where it is sent.
        max_age: Seconds for which a signature is accepted.
        leeway: Seconds by which the signer's clock may be ahead.
        unit: The unit of the time as it is sent, "s" or "ms". `max_age` and `leeway` are always seconds.

    Raises:
        ConfigError: An argument is not valid.
    """

    name = "timestamp"
    label = "the timestamp"
    max_age: float
    _too_early = "the timestamp is {} seconds too old; sign each request when it is sent, and compare the clocks"
    _too_late = "the timestamp is {} seconds too far in the future; compare the clocks, and the unit of the time"

    def __init__(self, source: Source, *, max_age: float = 300, leeway: float = 60, unit: Unit = "s") -> None:
        check_seconds("Timestamp: max_age", max_age, zero=True)
        check_seconds("Timestamp: leeway", leeway, zero=True)
        self._keep(source, leeway, unit, before=max_age, after=leeway)
        self._set(max_age=max_age)


class Expires(Time):
    """When a signature ends: `Expires(Query("expires"), max_lifetime=86_400)`.

    It is accepted while `now - leeway <= time <= now + max_lifetime + leeway`; `now` is rounded down to the unit.

    Args:
        source: Where it is sent.
        max_lifetime: Seconds, less than 10^16, or 10^13 if the unit is "ms". A time further ahead is refused.
        leeway: Seconds for which a signature is accepted after its end.
        unit: The unit of the time as it is sent, "s" or "ms". `max_lifetime` and `leeway` are always seconds.

    Raises:
        ConfigError: An argument is not valid.
    """

    name = "expires"
    label = "the time of expiry"
    max_lifetime: float
    _too_early = "the signature ended {} seconds ago; create a new one"
    _too_late = "the signature lasts {} seconds longer than max_lifetime allows; compare the unit of the time"

    def __init__(self, source: Source, *, max_lifetime: float, leeway: float = 0, unit: Unit = "s") -> None:
        check_seconds("Expires: max_lifetime", max_lifetime)
        check_seconds("Expires: leeway", leeway, zero=True)
        self._keep(source, leeway, unit, before=leeway, after=max_lifetime + leeway)
        limit = 10**MAX_DIGITS // self._scale
        if max_lifetime >= limit:
            raise ConfigError(
                f"Expires: max_lifetime must be less than {limit:,} seconds: a time has at most {MAX_DIGITS} digits"
            )
        self._set(max_lifetime=max_lifetime)


def times_of(timestamp: object, expires: object) -> tuple[Timestamp | Expires, ...]:
    """Return the times of a scheme. Raise `ConfigError` for anything that is not a time."""
    if timestamp is not None and not isinstance(timestamp, Timestamp):
        raise ConfigError('Scheme: timestamp must be a Timestamp, such as Timestamp(Header("X-Timestamp"))')
    if expires is not None and not isinstance(expires, Expires):
        raise ConfigError('Scheme: expires must be an Expires, such as Expires(Query("expires"), max_lifetime=86_400)')
    return tuple(time for time in (timestamp, expires) if time is not None)


def check_signed(times: Iterable[Timestamp | Expires], parts: Collection[Part]) -> None:
    """Raise `ConfigError` for a time that is not signed, neither by itself nor in a signed body."""
    names = {part.name for part in parts if not isinstance(part, LiteralText)}
    for time in times:
        if time.name not in names and not (BODY in names and time.field.needs_body):
            raise ConfigError(
                f"Scheme: {time.label} is not signed, so it proves nothing; put {{{time.name}}} into message"
            )
