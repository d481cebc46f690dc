"""Sends requests at a fixed rate, however long the answers take, and records the results."""

import asyncio
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from ports import LOCAL

from acceptance.chaos.app import SCHEME
from acceptance.chaos.databases import SECRET, TENANTS

HOT, KNOWN = 20, 150
#: Requests a second of each kind.
RATES = {"hot": 60.0, "known": 12.0, "new": 3.0, "forged": 4.0, "made up": 2.0}
EXPECTED = {"hot": 200, "known": 200, "new": 200, "forged": 401, "made up": 401}


class Answer(NamedTuple):
    """A request, when it was sent, how long its answer took (both in seconds), and the status: 0 where none came."""

    kind: str
    sent: float
    seconds: float
    status: int


@dataclass
class Load:
    port: int
    seed: int
    rates: dict[str, float] = field(default_factory=lambda: dict(RATES))
    answers: list[Answer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._fresh = iter(range(KNOWN, TENANTS))
        self._signatures = {n: SCHEME.sign(SECRET.format(n), a="x") for n in range(TENANTS)}

    async def warm(self) -> None:
        """Ask for the known tenants until each worker has heard of them."""
        numbers = [number for number in range(KNOWN) for _ in range(12)]
        for some in range(0, len(numbers), 20):
            await asyncio.gather(*(self.ask("known", self.path(n)) for n in numbers[some : some + 20]))
        self.answers.clear()

    async def run(self, seconds: float) -> None:
        """Send requests of each kind, evenly, and wait for the answers."""
        self._end = time.monotonic() + seconds
        await asyncio.gather(*(self._send(kind, rate) for kind, rate in self.rates.items() if rate))

    async def _send(self, kind: str, rate: float) -> None:
        tasks, began, names = [], time.monotonic(), self._paths(kind)
        for number, path in enumerate(names):
            due = began + number / rate
            if due > self._end:
                break
            await asyncio.sleep(due - time.monotonic())
            tasks.append(asyncio.create_task(self.ask(kind, path)))
        await asyncio.gather(*tasks)

    def path(self, number: int) -> str:
        return f"/?a=x&t=tenant-{number}&sig={self._signatures[number]}"

    def _paths(self, kind: str) -> Iterator[str]:
        number = 0
        while True:
            number += 1
            if kind == "hot":
                yield self.path(number % HOT)
            elif kind == "known":
                yield self.path(self._random.randrange(HOT, KNOWN))
            elif kind == "new":
                fresh = next(self._fresh, None)
                if fresh is None:
                    return
                yield self.path(fresh)
            elif kind == "forged":
                yield f"/?a=x&t=tenant-{number % HOT}&sig={'0' * 64}"
            else:
                yield f"/?a=x&t=unknown-{self._random.getrandbits(64):x}"

    async def ask(self, kind: str, path: str, timeout: float = 30.0) -> Answer:
        sent, status = time.monotonic(), 0
        with suppress(OSError, TimeoutError, asyncio.TimeoutError, ValueError, IndexError):
            status = await asyncio.wait_for(self._status(path), timeout)
        answer = Answer(kind, sent, time.monotonic() - sent, status)
        self.answers.append(answer)
        return answer

    async def _status(self, path: str) -> int:
        reader, writer = await asyncio.open_connection(LOCAL, self.port)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            status = int((await reader.readline()).split()[1])
            await reader.read()
            return status
        finally:
            writer.close()
