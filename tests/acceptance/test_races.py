"""Fifty clients send one signed request to four workers at once: at most one of them passes, in every round."""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import race_worker
from databases import REDIS, needs
from once_stores import store_of
from race_worker import KEY, SCHEME
from waiting import TIMEOUT

pytestmark = [pytest.mark.races, pytest.mark.timeout(3_600)]

CLIENTS, WORKERS = 50, 4
ROUNDS = {"redis": 1_000, "postgres": 1_000, "sqlite": 200, "django": 200}
#: Fewer of them, to try the test itself: HMAC_GUARD_ROUNDS=20.
MAX_ROUNDS = int(os.environ.get("HMAC_GUARD_ROUNDS", "1000"))


@contextmanager
def workers(kind: str, place: str) -> Iterator[list[int]]:
    """The ports of the workers."""
    command = [sys.executable, "-W", "ignore", str(race_worker.__file__), kind, place]
    with ExitStack() as stack:
        started = [stack.enter_context(_process(command)) for _ in range(WORKERS)]
        yield [int(process.stdout.readline()) for process in started if process.stdout is not None]


@contextmanager
def _process(command: list[str]) -> "Iterator[subprocess.Popen[str]]":
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def request(number: int) -> bytes:
    fields = SCHEME.sign_fields(KEY, user_id="u1", nonce=f"n{number}")
    query = "&".join(f"{name}={value}" for name, value in fields.query.items())
    return f"GET /?{query} HTTP/1.1\r\nHost: x\r\nX-Nonce: n{number}\r\n\r\n".encode()


async def status_of(reader: asyncio.StreamReader) -> int:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), TIMEOUT)
    [length] = [line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    await reader.readexactly(int(length))
    return int(head[9:12])


async def race(ports: list[int], rounds: int) -> list[Counter[int]]:
    """The answers of each round, counted by status."""
    clients = [await asyncio.open_connection("127.0.0.1", ports[number % len(ports)]) for number in range(CLIENTS)]
    answers = []
    for number in range(rounds):
        sent = request(number)
        for _, writer in clients:
            writer.write(sent)
        answers.append(Counter(await asyncio.gather(*(status_of(reader) for reader, _ in clients))))
    for _, writer in clients:
        writer.close()
    return answers


@pytest.mark.parametrize("kind", ROUNDS)
def test_of_fifty_at_once_one_passes(kind: str, tmp_path: Path) -> None:
    rounds = min(ROUNDS[kind], MAX_ROUNDS)
    with store_of(kind, tmp_path) as used, workers(kind, used.place) as ports:
        answers = asyncio.run(race(ports, rounds))

    passed = Counter(each[200] for each in answers)
    unsure = sum(1 for each in answers if each[503])
    print(f"{kind}: {rounds} rounds of {CLIENTS} clients and {WORKERS} workers: {dict(passed)} passed; 503 in {unsure}")
    assert set(sum(answers, Counter())) <= {200, 401, 503}
    assert all(each[200] <= 1 for each in answers)
    assert all(each[200] == 1 for each in answers if not each[503])
    assert unsure < rounds / 2


def test_a_store_that_gets_and_then_sets_is_caught() -> None:
    needs(REDIS, "Redis")
    url = REDIS.render_as_string(hide_password=False)
    with workers("get-then-set", f"race@{url}") as ports:
        answers = asyncio.run(race(ports, 50))

    assert any(each[200] > 1 for each in answers)
