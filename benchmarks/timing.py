"""`make bench-timing`: measures whether the time of a refusal reveals which tenants have keys.

Two requests differ in one point: one has a wrong signature for a tenant with keys, the other names a tenant without
keys. They are sent in random order over WSGI or ASGI, and each is timed. Welch's t measures how certain the
difference between the two kinds is: below 4.5 (the bound of dudect, arXiv 1607.03494) these samples show none.
The slowest samples are left out, with the same bound for both kinds, because other processes caused them.

A look-up in a database always has a different time for an existing and a missing row. So it is measured with a cache
that has both tenants.
"""

import argparse
import asyncio
import gc
import io
import logging
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import create_engine

from benchmarks.harness import Formatting
from hmac_guard import Guard, Query, Scheme
from hmac_guard.keys import CachedKeys, MappingKeys, SqlKeys

SAMPLES = 200_000
BOUND = 4.5
KEPT = 0.9

SCHEME = Scheme(name="timing", ids={"id": Query("id")}, message="{id}", signature=Query("sig"), tenant=Query("tenant"))
KEY = "8f1c6f0f5b1f4b6d9f6a2d7e4c3b2a19"
KNOWN, UNKNOWN = "tenant-1000", "tenant-2000"
WRONG = "0" * 64

Send = Callable[[str], None]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.timing", description=__doc__)
    parser.add_argument("--samples", type=int, default=SAMPLES, help="for each row (default: 200,000)")
    samples = parser.parse_args().samples
    logger = logging.getLogger("hmac_guard")
    logger.addHandler(Formatting())
    logger.propagate = False
    print(f"{samples:,} samples a row; |t| < {BOUND}: no difference is visible\n")
    print(f"{'keys':28}{'interface':10}{'known µs':>10}{'unknown µs':>12}{'median Δ ns':>13}{'Welch t':>9}")
    with TemporaryDirectory() as folder:
        for name, keys in sources(Path(folder)).items():
            for interface, sender in {"WSGI": wsgi, "ASGI": asgi}.items():
                report(name, interface, *measure(sender(Guard(SCHEME, keys)), samples))


def sources(folder: Path) -> dict[str, Any]:
    stored = SqlKeys(create_engine(f"sqlite:///{folder / 'keys.db'}"))
    stored.create_table()
    stored.add(KNOWN, KEY)
    mapping = {KNOWN: KEY, **{f"other-{number}": f"{KEY}-{number}" for number in range(1_000)}}
    return {
        "a mapping": MappingKeys(mapping),
        "a cache of a mapping": CachedKeys(MappingKeys(mapping), ttl=3_600, negative_ttl=3_600),
        "a cache of a database": CachedKeys(stored, ttl=3_600, negative_ttl=3_600),
    }


def measure(send: Send, samples: int) -> tuple[list[int], list[int]]:
    """Return the nanoseconds of the refusals of each kind. Both kinds are sent in random order."""
    times: dict[str, list[int]] = {KNOWN: [], UNKNOWN: []}
    turns = [KNOWN, UNKNOWN] * (samples // 2)
    random.shuffle(turns)
    for tenant in turns[:2_000]:
        send(tenant)
    gc.collect()
    gc.disable()
    clock = time.perf_counter_ns
    for tenant in turns:
        kept = times[tenant].append
        started = clock()
        send(tenant)
        kept(clock() - started)
    gc.enable()
    return times[KNOWN], times[UNKNOWN]


def welch(one: list[int], other: list[int]) -> float:
    """Return Welch's t of the samples below one common bound."""
    bound = sorted(one + other)[int(KEPT * (len(one) + len(other)))]
    cropped = [[sample for sample in samples if sample <= bound] for samples in (one, other)]
    means = [statistics.fmean(samples) for samples in cropped]
    errors = [statistics.variance(samples) / len(samples) for samples in cropped]
    return float((means[0] - means[1]) / sum(errors) ** 0.5)


def report(name: str, interface: str, known: list[int], unknown: list[int]) -> None:
    medians = statistics.median(known), statistics.median(unknown)
    t = welch(known, unknown)
    verdict = "" if abs(t) < BOUND else "  a difference"
    print(
        f"{name:28}{interface:10}{medians[0] / 1_000:10.2f}{medians[1] / 1_000:12.2f}"
        f"{medians[0] - medians[1]:13.0f}{t:9.2f}{verdict}"
    )


def query(tenant: str) -> str:
    return f"id=user-42&sig={WRONG}&tenant={tenant}"


def wsgi(guard: Guard) -> Send:
    app = guard.wsgi(lambda environ, start_response: [])
    bodies = {tenant: query(tenant) for tenant in (KNOWN, UNKNOWN)}

    def send(tenant: str) -> None:
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": "/",
            "QUERY_STRING": bodies[tenant],
            "wsgi.input": io.BytesIO(),
        }
        app(environ, lambda status, headers, exc_info=None, /: print)

    return send


def asgi(guard: Guard) -> Send:
    """Run the coroutine without an event loop. This is possible because the keys are available at once."""
    loop = asyncio.new_event_loop()

    async def nothing(*_: Any) -> Any:
        return None

    app = guard.asgi(nothing)
    scopes = {tenant: scope(tenant) for tenant in (KNOWN, UNKNOWN)}
    for each in scopes.values():
        loop.run_until_complete(app(each, nothing, nothing))

    def send(tenant: str) -> None:
        try:
            app(scopes[tenant], nothing, nothing).send(None)
        except StopIteration:
            return
        raise RuntimeError("the guard waits for the event loop")

    return send


def scope(tenant: str) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "path": "/",
        "query_string": query(tenant).encode(),
        "headers": [(b"host", b"localhost")],
    }


if __name__ == "__main__":
    main()
