"""Keys rotate while eight clients send signed requests to real servers: a key inside its grace is never refused, and a
key past it never accepted. Both are counted."""

import http.client
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pytest
from databases import POSTGRES, REDIS, Database, database_of, needs
from rotating_server import SCHEME

from hmac_guard.keys import RedisInvalidation, SqlKeys

CLIENTS = 8
ROTATIONS = 3


class Issued(NamedTuple):
    """A key, when every worker has heard of it, and when it ends."""

    id: str
    signature: str
    since: float
    until: float


class Sent(NamedTuple):
    key: Issued
    started: float
    ended: float
    status: int


class Operator:
    """Rotates one tenant's key, and knows which key should verify when."""

    def __init__(self, keys: SqlKeys, spread: float, grace: float) -> None:  # type: ignore[type-arg]
        self._keys = keys
        self._spread = spread
        self._grace = grace
        new = keys.add("acme")
        self.issued = [Issued(new.id, SCHEME.sign(new.secret or "", a="x"), 0.0, float("inf"))]

    def rotate(self) -> None:
        new = self._keys.rotate("acme", grace=self._grace)
        ends = {key.id: key.not_after or float("inf") for key in self._keys.list("acme")}
        known = [key._replace(until=ends[key.id]) for key in self.issued]
        heard = time.time() + self._spread
        self.issued = [*known, Issued(new.id, SCHEME.sign(new.secret or "", a="x"), heard, float("inf"))]

    def now_in_force_or_past(self) -> list[Issued]:
        return [key for key in self.issued if key.since <= time.time()]


@contextmanager
def workers(database: Database, channel: str) -> Iterator[list[int]]:
    """The ports of a WSGI and an ASGI server, each a process with a cache of its own."""
    program = str(Path(__file__).with_name("rotating_server.py"))
    where = [database.url.render_as_string(hide_password=False), database.table]
    news = [REDIS.render_as_string(hide_password=False), channel]
    processes = [
        subprocess.Popen([sys.executable, program, door, *where, *news], stdout=subprocess.PIPE, text=True)
        for door in ("wsgi", "asgi")
    ]
    try:
        yield [int(process.stdout.readline()) for process in processes if process.stdout is not None]
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def client(number: int, ports: list[int], operator: Operator, stop: threading.Event) -> list[Sent]:
    """Sends with each key in turn that is in force, retiring or past."""
    connection = http.client.HTTPConnection("127.0.0.1", ports[number % len(ports)], timeout=30)
    sent = []
    while not stop.is_set():
        for key in operator.now_in_force_or_past():
            started = time.time()
            connection.request("GET", f"/?a=x&t=acme&sig={key.signature}")
            answer = connection.getresponse()
            answer.read()
            sent.append(Sent(key, started, time.time(), answer.status))
    connection.close()
    return sent


def judged(sent: list[Sent], issued: list[Issued]) -> Counter[tuple[str, int]]:
    """How often each answer was given to a key that was in force, or past, for the whole of the request."""
    final = {key.id: key for key in issued}
    counted: Counter[tuple[str, int]] = Counter()
    for key, started, ended, status in sent:
        if ended <= final[key.id].until:
            counted["in force", status] += 1
        elif started > final[key.id].until:
            counted["past", status] += 1
    return counted


@pytest.mark.parametrize(
    "seconds",
    [pytest.param(2.0, id="2 seconds"), pytest.param(10.0, id="10 seconds", marks=pytest.mark.slow)],
)
def test_no_request_falls_between_two_keys(seconds: float, tmp_path: Path) -> None:
    needs(POSTGRES, "PostgreSQL")
    needs(REDIS, "Redis")
    for server in ("waitress", "uvicorn"):
        pytest.importorskip(server, reason=f"not run: {server} is not installed")
    channel = f"keys:{uuid4().hex}"
    step = 0.3 * seconds
    with database_of("postgresql+psycopg", tmp_path) as database, workers(database, channel) as ports:
        news = RedisInvalidation(REDIS.render_as_string(hide_password=False), channel)
        keys = database.keys(on_change=news.publish)
        operator = Operator(keys, spread=min(1.0, 0.6 * step), grace=0.8 * step)
        stop = threading.Event()
        with ThreadPoolExecutor(CLIENTS) as pool:
            running = [pool.submit(client, number, ports, operator, stop) for number in range(CLIENTS)]
            stop.wait(0.1 * seconds)
            for _ in range(ROTATIONS):
                operator.rotate()
                stop.wait(step)
            stop.set()
            sent = [one for client_run in running for one in client_run.result()]
        news.close()

    counted = judged(sent, operator.issued)
    print(f"{seconds:.0f} s, {ROTATIONS} rotations, {len(sent)} requests: {dict(counted)}")
    assert set(counted) == {("in force", 200), ("past", 401)}
    assert min(counted.values()) > 20
