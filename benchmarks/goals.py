"""The goals and the measured values: of all rows of a goal, the best and the worst.

Ratios are medians over the rounds, each round's cost against the same round's floor.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from benchmarks.drivers import IN_LOOP, INTERFACES, WSGI
from benchmarks.function import PARSES
from benchmarks.growth import BOTH, FIELDS, HEADERS, KEYS, TENANTS
from benchmarks.harness import Result

RATIO = "median / floor"
Results = dict[str, Result]
#: The value of each row that belongs to a goal, with the name of the row.
Seen = Iterator[tuple[str, float]]


class Goal(NamedTuple):
    """One line of the table. `limit` is a maximum if `is_maximum` is true, else a minimum."""

    measure: str
    limit: float
    seen: Callable[[Results], Seen]
    is_maximum: bool = True
    aim: str = ""


class Reached(NamedTuple):
    """The best and the worst value of the rows of a goal, and the name of the worst row."""

    best: float
    worst: float
    row: str


def reached(goal: Goal, results: Results) -> Reached | None:
    """Return the measured values, or None if the suite was not run."""
    try:
        seen = sorted((value, row) for row, value in goal.seen(results))
    except KeyError:
        return None
    if not seen:
        return None
    (best, _), (worst, row) = (seen[0], seen[-1]) if goal.is_maximum else (seen[-1], seen[0])
    return Reached(best, worst, row)


def table(results: Results) -> str:
    lines = ["| measure | limit | aim | best | worst | worst row | holds |", "|---|--:|--:|--:|--:|---|---|"]
    return "\n".join([*lines, *(_line(goal, reached(goal, results)) for goal in GOALS)])


def _line(goal: Goal, seen: Reached | None) -> str:
    start = f"| {goal.measure} | {'≤' if goal.is_maximum else '≥'} {goal.limit} | {goal.aim} |"
    if seen is None:
        return f"{start} | | | not run |"
    holds = seen.worst <= goal.limit if goal.is_maximum else seen.worst >= goal.limit
    return f"{start} {seen.best:.2f} | {seen.worst:.2f} | {seen.row} | {'yes' if holds else 'NO'} |"


def _pairs(results: Results) -> Seen:
    for interface in INTERFACES:
        for shape in ("pair by query", "pair by header"):
            yield _ratio(results, "interfaces", f"{interface.name}: {shape}")


def _presets(results: Results) -> Seen:
    for interface in INTERFACES[1:]:
        for shape in ("NANGO by query", "SUPRSEND by query", "escaped pair by query"):
            yield _ratio(results, "interfaces", f"{interface.name}: {shape}")


def _json(results: Results) -> Seen:
    row, ratio = _ratio(results, "interfaces", f"{IN_LOOP.name}: one id by JSON")
    yield row, ratio - 2 * results["interfaces"][f"{row}, json.loads"][RATIO]


def _tenants(results: Results) -> Seen:
    for interface in BOTH:
        for what in ("", ", another each time"):
            row, ratio = _ratio(results, "growth", f"{interface.name}: {TENANTS[-1]} tenants{what}")
            yield row, ratio - results["growth"][f"{interface.name}: a static key"][RATIO]


def _cached(results: Results) -> Seen:
    for interface in BOTH:
        row, ratio = _ratio(results, "growth", f"{interface.name}: a cached tenant")
        yield row, ratio - results["growth"][f"{interface.name}: a static key, no cache"][RATIO]


def _ring(results: Results) -> Seen:
    for interface in BOTH:
        yield _slope(results, [f"{interface.name}: {count} keys" for count in KEYS], KEYS)


def _unnamed(results: Results) -> Seen:
    for interface in BOTH:
        for shape in ("pair by query", "pair by header"):
            for what, counts in (("query parameters", FIELDS), ("headers", HEADERS)):
                yield _slope(results, [f"{interface.name}: {count} {what}, {shape}" for count in counts], counts)


def _refused(log: str) -> Callable[[Results], Seen]:
    """Return a function that compares a refused request with an accepted one, which also runs the bare application."""

    def seen(results: Results) -> Seen:
        rows = results["interfaces"]
        for row in [row for row in rows if row.endswith(f", refused, {log}")]:
            name = row.removesuffix(f", refused, {log}")
            yield row, rows[row][RATIO] / (rows[name][RATIO] + rows[f"{name}, bare"][RATIO])

    return seen


def _by_hand(results: Results) -> Seen:
    """Yield the checks that FastAPI runs in a worker thread, and Starlette in its own task."""
    middleware, frameworks = results["middleware"], results["frameworks"]
    guard = middleware[f"{IN_LOOP.name}: guard, pair by query"][RATIO]
    yield "BaseHTTPMiddleware", middleware[f"{IN_LOOP.name}: by hand: BaseHTTPMiddleware"][RATIO] / guard
    for row, cells in frameworks.items():
        framework, _, how = row.partition(", by hand: ")
        if how in ("dependency, plain def", "BaseHTTPMiddleware"):
            yield row, cells[RATIO] / frameworks[f"{framework}, guard"][RATIO]


def _by_hand_on_the_loop(results: Results) -> Seen:
    rows = results["frameworks"]
    yield "FastAPI", rows["FastAPI, by hand: dependency"][RATIO] / rows["FastAPI, guard"][RATIO]


def _middleware(results: Results) -> Seen:
    rows = results["middleware"]
    for row, interface in (("asgi-csrf", IN_LOOP), ("18F hmac_authentication", WSGI)):
        yield row, rows[f"{interface.name}: {row}"][RATIO] / rows[f"{interface.name}: guard, pair by header"][RATIO]


def _peers(results: Results) -> Seen:
    rows = results["function"]
    ours = max(rows[f"guard, {interface}: pair by header"][RATIO] for interface in ("ASGI", "WSGI"))
    for row in PARSES:
        yield row, rows[row][RATIO] / ours


def _served(results: Results) -> Seen:
    for row, cells in results["served"].items():
        yield row, 100 * cells["share"]


def _webhooks(vendor: str) -> Callable[[Results], Seen]:
    def seen(results: Results) -> Seen:
        for row, cells in results["webhooks"].items():
            if row.startswith(vendor):
                yield row, cells["guard / library"]

    return seen


def _imports(results: Results) -> Seen:
    yield "import hmac_guard", results["imports"]["import hmac_guard"]["median ms"]


def _ratio(results: Results, suite: str, row: str) -> tuple[str, float]:
    return row, results[suite][row][RATIO]


def _slope(results: Results, rows: list[str], counts: tuple[int, ...]) -> tuple[str, float]:
    """Return the growth for each further item, from the first row to the last."""
    first, last = (results["growth"][row][RATIO] for row in (rows[0], rows[-1]))
    return rows[-1], (last - first) / (counts[-1] - counts[0])


GOALS = (
    Goal("a pair by header or query, WSGI or ASGI, above the bare app, in floors", 3.0, _pairs, aim="2.0"),
    Goal(
        "the presets and an escaped pair by query, WSGI or ASGI, above the bare app, in floors",
        3.0,
        _presets,
        aim="2.0",
    ),
    Goal("one id in 200 bytes of JSON through ASGI, less twice json.loads, in floors", 3.5, _json, aim="2.0"),
    Goal("mapping of 1,000,000 tenants above one static key, in floors", 0.2, _tenants),
    Goal("a cached tenant above one static key, in floors", 0.5, _cached),
    Goal("each further key in the ring, in floors", 0.5, _ring),
    Goal("a refused request against an accepted one, log off", 1.5, _refused("log off")),
    Goal("a refused request against an accepted one, null handler", 1.5, _refused("null handler")),
    Goal("each header or query parameter that the scheme does not name, in floors", 0.05, _unnamed),
    Goal("BaseHTTPMiddleware and FastAPI `def` dependency by hand, against the guard", 20, _by_hand, is_maximum=False),
    Goal("FastAPI `async def` dependency by hand, against the guard", 20, _by_hand_on_the_loop, is_maximum=False),
    Goal("asgi-csrf and 18F hmac_authentication, against the guard", 2, _middleware, is_maximum=False),
    Goal("peers that parse their header, against the guard's read + judge", 1, _peers, is_maximum=False),
    Goal("the guard's share of the instructions of one served request, in percent", 5, _served),
    Goal("a webhook of Stripe, against its library, in instructions", 1.5, _webhooks("Stripe")),
    Goal("a webhook of Standard Webhooks, against its library", 1.0, _webhooks("Standard Webhooks")),
    Goal("import hmac_guard above asyncio, hmac, urllib.parse, ms", 25, _imports),
)
