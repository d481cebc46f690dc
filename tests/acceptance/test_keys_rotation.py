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
from waiting import TIMEOUT, becomes_true

from hmac_guard.keys import RedisInvalidation, SqlKeys

CLIENTS = 8
#: Seconds: a grace that lasts until a later rotation shortens it, and one that ends by itself.
LONG, SHORT = 3_600.0, 0.3
#: What each kind of request has to be answered, and how many of it are waited for.
ANSWERS = {"active": 200, "in its grace": 200, "past": 401}
ENOUGH = 25


class Issued(NamedTuple):
    """A key: when the next one was made, when it ends, and since when every worker knows that."""

    id: str
    signature: str
    followed: float = float("inf")
    until: float = float("inf")
    known: float = 0.0


class Sent(NamedTuple):
    id: str
    started: float
    ended: float
    status: int


class Operator:
    """Rotates one tenant's key, and knows which key should verify when."""

    def __init__(self, keys: SqlKeys, ports: list[int]) -> None:  # type: ignore[type-arg]
        self._keys = keys
        self._ports = ports
        self.slowest = 0.0
        new = keys.add("acme")
        self.issued = [Issued(new.id, SCHEME.sign(new.secret or "", a="x"))]

    def rotate(self, grace: float) -> None:
        """Clients use the new key once every worker is seen to take it. Each knows then, too, when the others end."""
        new = self._keys.rotate("acme", grace=grace)
        made = time.time()
        ends = {key.id: key.not_after or 0.0 for key in self._keys.list("acme")}
        signature = SCHEME.sign(new.secret or "", a="x")
        for port in self._ports:
            assert becomes_true(lambda port=port: self._is_taken(port, signature))  # type: ignore[misc]
        known = time.time()
        self.slowest = max(self.slowest, known - made)
        retired = [
            key._replace(followed=min(key.followed, made), until=ends[key.id], known=known)
            if key.until != ends[key.id]
            else key
            for key in self.issued
        ]
        self.issued = [*retired, Issued(new.id, signature)]

    def _is_taken(self, port: int, signature: str) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
        status = ask(connection, signature)
        connection.close()
        return status == 200

    def counted_answers(self, sent: list[Sent]) -> Counter[tuple[str, int]]:
        """How often each answer was given to a key that was active, in its grace or past for the whole of the
        request. What a worker answered that need not have known yet is not counted."""
        final = {key.id: key for key in self.issued}
        counted: Counter[tuple[str, int]] = Counter()
        for each in tuple(sent):
            key = final[each.id]
            if each.ended <= key.until:
                counted["active" if each.started < key.followed else "in its grace", each.status] += 1
            elif each.started > max(key.until, key.known):
                counted["past", each.status] += 1
        return counted


def ask(connection: http.client.HTTPConnection, signature: str) -> int:
    connection.request("GET", f"/?a=x&t=acme&sig={signature}")
    answer = connection.getresponse()
    answer.read()
    return answer.status


@contextmanager
def workers(database: Database, channel: str) -> Iterator[list[int]]:
    """The ports of a WSGI and an ASGI server, each a process with its own cache."""
    program = str(Path(__file__).parents[1] / "rotating_server.py")
    where = [database.url.render_as_string(hide_password=False), database.table]
    news = [REDIS.render_as_string(hide_password=False), channel]
    processes = [
        subprocess.Popen([sys.executable, program, interface, *where, *news], stdout=subprocess.PIPE, text=True)
        for interface in ("wsgi", "asgi")
    ]
    try:
        yield [int(process.stdout.readline()) for process in processes if process.stdout is not None]
    finally:
        for process in processes:
            process.kill()
            process.communicate()


@contextmanager
def clients(ports: list[int], operator: Operator) -> Iterator[list[Sent]]:
    """Start eight clients. Each sends with every key in turn, also with ended ones. Yield what they send."""
    sent: list[Sent] = []
    stop = threading.Event()

    def send(port: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
        while not stop.is_set():
            for key in operator.issued:
                started = time.time()
                status = ask(connection, key.signature)
                sent.append(Sent(key.id, started, time.time(), status))
        connection.close()

    with ThreadPoolExecutor(CLIENTS) as pool:
        running = [pool.submit(send, ports[number % len(ports)]) for number in range(CLIENTS)]
        try:
            yield sent
        finally:
            stop.set()
            for run in running:
                run.result()


@pytest.mark.parametrize(
    ("seconds", "soon"),
    [pytest.param(0.0, TIMEOUT, id="briefly"), pytest.param(2.0, 1.0, id="10 seconds", marks=pytest.mark.slow)],
)
def test_no_request_falls_between_two_keys(seconds: float, soon: float, tmp_path: Path) -> None:
    """On a machine that has nothing else to do, every worker hears of each rotation within a second."""
    needs(POSTGRES, "PostgreSQL")
    needs(REDIS, "Redis")
    for server in ("waitress", "uvicorn"):
        pytest.importorskip(server, reason=f"not run: {server} is not installed")
    channel = f"keys:{uuid4().hex}"
    with database_of("postgresql+psycopg", tmp_path) as database, workers(database, channel) as ports:
        news = RedisInvalidation(REDIS.render_as_string(hide_password=False), channel)
        operator = Operator(database.keys(on_change=news.publish), ports)

        def go_on_until_enough_are(kind: str) -> None:
            def count() -> int:
                return operator.counted_answers(sent)[kind, ANSWERS[kind]]

            goal = count() + ENOUGH
            time.sleep(seconds)
            assert becomes_true(lambda: count() >= goal), operator.counted_answers(sent)

        with clients(ports, operator) as sent:
            go_on_until_enough_are("active")
            for _ in range(2):
                operator.rotate(LONG)
                go_on_until_enough_are("in its grace")
                operator.rotate(SHORT)
                go_on_until_enough_are("past")
        news.close()

    counted = operator.counted_answers(sent)
    print(f"4 rotations, heard of within {operator.slowest:.2f} s, {len(sent)} requests: {dict(counted)}")
    assert set(counted) == set(ANSWERS.items())
    assert operator.slowest < soon
