"""Ten minutes of good, forged and odd requests while keys rotate, and twenty thousand clients that hang up."""

import asyncio
import json
import math
import os
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.request import urlopen

import pytest
from ports import LOCAL
from sqlalchemy import create_engine
from waiting import becomes_true

from acceptance.chaos.app import SCHEME, TABLE
from acceptance.chaos.load import Answer, Load
from acceptance.chaos.rows import SERVERS, TTL, World
from acceptance.chaos.test_load import one_worker
from hmac_guard.keys import SqlKeys

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1_500)]

SECONDS = float(os.environ.get("CHAOS_SOAK", "600"))
CLIENTS = int(os.environ.get("CHAOS_CLIENTS", "20000"))
#: Seconds between two rotations, of one tenant each, and for which an old key still verifies.
EVERY, GRACE = 5.0, 30.0
ROTATING = 20
MIB = 2**20


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with ExitStack() as stack:
        yield World(stack)


def state_of(port: int) -> dict[str, int]:
    """What the server's process holds: threads, tasks, look-ups and bytes."""
    with urlopen(f"http://{LOCAL}:{port}/state", timeout=10) as reply:
        found: dict[str, int] = json.load(reply)
    return found


@pytest.mark.parametrize("server", SERVERS)
def test_clients_that_hang_up_leave_no_look_up_task_or_thread(server: str, world: World, tmp_path: Path) -> None:
    with one_worker(world, server, tmp_path / "run", 0.02) as (running, _):
        load = Load(running.port, 1)
        asyncio.run(load.warm())
        before = state_of(running.port)
        asyncio.run(hang_up(load))

        def is_as_before() -> bool:
            now = state_of(running.port)
            return now["look_ups"] == 0 and now["tasks"] <= before["tasks"] and now["threads"] <= most_threads

        # A pool of threads may have grown to its size.
        most_threads = before["threads"] + 12 + (16 if server == "gunicorn" else 0)
        assert becomes_true(is_as_before, 30.0), (before, state_of(running.port))
        print(f"{CLIENTS:,} clients that hang up, {server}: before {before}, after {state_of(running.port)}")
        load.answers.clear()
        assert asyncio.run(load.ask("known", load.path(0))).status == 200
        assert "Traceback" not in running.printed()


async def hang_up(load: Load) -> None:
    """Each client sends a request, of a known, a new or an unknown tenant, and closes before it is answered."""
    numbers = random.Random(1)

    async def client(number: int) -> None:
        path = load.path(number % 900) if number % 2 else f"/?a=x&t=unknown-{number}&sig={'0' * 64}"
        with suppress(OSError):
            _, writer = await asyncio.open_connection(LOCAL, load.port)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            await asyncio.sleep(numbers.random() * 0.05)
            writer.transport.abort()

    for first in range(0, CLIENTS, 100):
        await asyncio.gather(*map(client, range(first, min(first + 100, CLIENTS))))


class Rotating(Load):
    """Signs with the keys of tenants that rotate, and knows what each signature comes to."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.rotated: dict[int, list[tuple[float, str]]] = {}
        self.wrong: list[tuple[str, Answer]] = []

    async def rotate(self, keys: Any, until: float) -> int:
        count = 0
        while time.monotonic() < until:
            tenant = count % ROTATING
            secret = token_hex(32)
            await asyncio.to_thread(keys.rotate, f"tenant-{tenant}", secret, grace=GRACE)
            self.rotated[tenant].append((time.monotonic(), secret))
            count += 1
            await asyncio.sleep(EVERY)
        return count

    def signed(self, tenant: int) -> tuple[str, int | None]:
        """A path, and the status that it has to get; None if either of two is right."""
        now, (*_, last) = time.monotonic(), self.rotated[tenant]
        old = self.rotated[tenant][-2] if len(self.rotated[tenant]) > 1 else None
        since = now - last[0]
        # Another worker knows the new key once its cache has asked again.
        is_new = since > TTL + 5 or old is None
        if old is not None and self._random.random() < 0.3:
            expected = 200 if since < GRACE - 5 else 401 if since > GRACE + TTL + 5 else None
            return self._path(tenant, old[1]), expected
        return self._path(tenant, last[1]), 200 if is_new else None

    def _path(self, tenant: int, secret: str) -> str:
        return f"/?a=x&t=tenant-{tenant}&sig={SCHEME.sign(secret, a='x')}"

    async def ask_all(self, until: float) -> None:
        while time.monotonic() < until:
            await asyncio.gather(*(self._one() for _ in range(10)))
            await asyncio.sleep(0.1)

    async def _one(self) -> None:
        kind = self._random.random()
        expected: int | None
        if kind < 0.6:
            path, expected = self.signed(self._random.randrange(ROTATING))
        elif kind < 0.8:
            path, expected = f"/?a=x&t=tenant-{self._random.randrange(ROTATING)}&sig={'0' * 64}", 401
        elif kind < 0.9:
            path, expected = f"/?a=x&t=unknown-{self._random.getrandbits(64):x}&sig={'0' * 64}", 401
        else:
            path, expected = self._random.choice(ODD), 401
        answer = await self.ask("soak", path)
        if expected is not None and answer.status != expected:
            self.wrong.append((path, answer))


ODD = [
    "/?a=x&a=y&t=tenant-1&sig=0",
    "/?a=%ff&t=tenant-1&sig=0",
    f"/?a={'x' * 3_000}&t=tenant-1&sig=0",
    "/?" + "&".join(f"f{number}=1" for number in range(300)),
    "/?a=x&t=%00&sig=0",
    "/?t=tenant-1&t=tenant-2",
    "/",
]


@pytest.mark.parametrize("server", SERVERS)
def test_ten_minutes_of_rotation_and_odd_requests_end_with_no_wrong_answer_and_level_memory(
    server: str, world: World, tmp_path: Path
) -> None:
    engine = create_engine(world.postgres.url)
    keys = SqlKeys(engine, table=TABLE)
    first = {number: token_hex(32) for number in range(ROTATING)}
    for number, secret in first.items():  # Another server may have rotated them before.
        keys.rotate(f"tenant-{number}", secret, grace=0)
    with one_worker(world, server, tmp_path / "run") as (running, _):
        load = Rotating(running.port, 1)
        load.rotated = {number: [(-math.inf, secret)] for number, secret in first.items()}
        until = time.monotonic() + SECONDS
        sizes: list[int] = []

        async def measure() -> None:
            while time.monotonic() < until:
                sizes.append((await asyncio.to_thread(state_of, running.port))["bytes"])
                await asyncio.sleep(SECONDS / 60)

        async def run() -> int:
            rotations, *_ = await asyncio.gather(load.rotate(keys, until), load.ask_all(until), measure())
            return rotations

        rotations = asyncio.run(run())
        statuses = sorted({answer.status for answer in load.answers})
        level = max(sizes[len(sizes) // 2 : len(sizes) * 3 // 4]), max(sizes[len(sizes) * 3 // 4 :])
        print(
            f"soak, {server}, {SECONDS:.0f} s: {len(load.answers):,} requests, {rotations} rotations, "
            f"{len(load.wrong)} wrong, statuses {statuses}, "
            f"memory {level[0] / MIB:.1f} and then {level[1] / MIB:.1f} MiB"
        )
        assert load.wrong == []
        assert set(statuses) <= {200, 401}
        assert level[1] < level[0] + 2 * MIB
        assert "Traceback" not in running.printed()
    engine.dispose()
