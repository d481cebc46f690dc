"""The rows: a fault, a server and a source of keys; and the figures of one run."""

import asyncio
import os
import re
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from ports import LOCAL
from servers import Server as WebServer
from servers import serving
from wires import RedisServer, own_redis

from acceptance.chaos.databases import MariaDB, Postgres, Server, own
from acceptance.chaos.load import EXPECTED, Answer, Load
from acceptance.chaos.networks import FAR, Network, own_network
from acceptance.chaos.proxy import Proxy

#: Seconds of the cache's ttl, and before, while and after the fault happens.
TTL, BEFORE, DURING, AFTER = 10.0, 8.0, 14.0, 6.0
#: Seconds after which a hanging source has to be known as failing.
KNOWN_AFTER = 8.0

SERVERS = {
    "uvicorn": WebServer(
        "uvicorn",
        "asgi",
        "uvicorn",
        "uvicorn --port {port} --workers 2 --loop asyncio --http h11 --no-access-log --log-level critical {app}",
    ),
    "gunicorn": WebServer(
        "gunicorn",
        "wsgi",
        "gunicorn",
        "gunicorn --bind 127.0.0.1:{port} --no-control-socket --workers 2 --worker-class gthread --threads 16 {app}",
    ),
}


class World:
    """What faults happen to. Each part is made when it is first asked for."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    @cached_property
    def postgres(self) -> Postgres:
        return self._stack.enter_context(own(Postgres))  # type: ignore[no-any-return]

    @cached_property
    def older_postgres(self) -> Postgres:
        return self._stack.enter_context(own(Postgres))  # type: ignore[no-any-return]

    @cached_property
    def mariadb(self) -> MariaDB:
        return self._stack.enter_context(own(MariaDB))  # type: ignore[no-any-return]

    @cached_property
    def network(self) -> Network:
        return self._stack.enter_context(own_network())

    @cached_property
    def far_postgres(self) -> Postgres:
        return self._stack.enter_context(own(Postgres, host=FAR, within=self.network.within))  # type: ignore[no-any-return]

    @cached_property
    def redis(self) -> RedisServer:
        return self._stack.enter_context(own_redis())


class Scene(NamedTuple):
    """One run of a row: the database and Redis behind their proxies."""

    world: World
    database: Server
    proxy: Proxy
    redis: Proxy


@contextmanager
def frozen(scene: Scene) -> Iterator[None]:
    scene.database.freeze()
    try:
        yield
    finally:
        scene.database.thaw()


@contextmanager
def frozen_on_the_way(scene: Scene) -> Iterator[None]:
    scene.proxy.freeze()
    try:
        yield
    finally:
        scene.proxy.thaw()


@contextmanager
def killed(scene: Scene) -> Iterator[None]:
    scene.database.kill()
    try:
        yield
    finally:
        scene.database.start()


@contextmanager
def stopped(scene: Scene) -> Iterator[None]:
    scene.database.stop()
    try:
        yield
    finally:
        scene.database.start()


@contextmanager
def slow(scene: Scene) -> Iterator[None]:
    scene.proxy.delay = 1.0
    try:
        yield
    finally:
        scene.proxy.delay = 0.0


@contextmanager
def lost(scene: Scene) -> Iterator[None]:
    scene.world.network.lose_all()
    try:
        yield
    finally:
        scene.world.network.restore()


@contextmanager
def established_lost(scene: Scene) -> Iterator[None]:
    scene.world.network.lose_established()
    try:
        yield
    finally:
        scene.world.network.restore()


@contextmanager
def limited(scene: Scene) -> Iterator[None]:
    """No new connection may be made, and the old ones end."""
    scene.database.sql(
        "ALTER ROLE app CONNECTION LIMIT 0",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'",
    )
    try:
        yield
    finally:
        scene.database.sql("ALTER ROLE app CONNECTION LIMIT -1")


@contextmanager
def failed_over(scene: Scene) -> Iterator[None]:
    """The address leads to an older copy of the data, and every connection breaks."""
    older = scene.world.older_postgres
    target, scene.proxy.target = scene.proxy.target, (older.host, older.port)
    scene.proxy.cut()
    try:
        yield
    finally:
        scene.proxy.target = target
        scene.proxy.cut()


@contextmanager
def repeatedly(happens: Callable[[], None]) -> Iterator[None]:
    """It happens each second, beside what the block does."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(1.0):
            happens()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def redis_restarting(scene: Scene) -> Any:
    """It keeps nothing, not even the count of changes."""

    def restart() -> None:
        scene.world.redis.stop()
        scene.world.redis.start()

    return repeatedly(restart)


def redis_cut_off(scene: Scene) -> Any:
    return repeatedly(scene.redis.cut)


@dataclass(frozen=True)
class Row:
    """`hangs`: the source gives no answer, and no error. `is_far`: the database is in a separate network."""

    fault: str
    server: str
    source: str
    make: Callable[[Scene], Any]
    hangs: bool = False
    is_far: bool = False
    is_of_redis: bool = False

    @property
    def id(self) -> str:
        return f"{self.fault}, {self.server}, {self.source}"

    def database(self, world: World) -> Server:
        if self.is_far:
            return world.far_postgres
        return world.mariadb if "MariaDB" in self.source else world.postgres


FAULTS: list[tuple[str, Callable[[Scene], Any], dict[str, bool]]] = [
    ("frozen", frozen, {"hangs": True}),
    ("frozen on the way", frozen_on_the_way, {"hangs": True}),
    ("killed", killed, {}),
    ("stopped", stopped, {}),
    ("slow", slow, {}),
    ("connections refused", limited, {}),
    ("failed over", failed_over, {}),
    ("all packets lost", lost, {"hangs": True, "is_far": True}),
    ("connections lost", established_lost, {"is_far": True}),
    ("Redis restarting", redis_restarting, {"is_of_redis": True}),
    ("Redis cut off", redis_cut_off, {"is_of_redis": True}),
]
SOURCES = [("uvicorn", "sync"), ("uvicorn", "async"), ("gunicorn", "sync"), ("gunicorn", "sync, MariaDB")]
#: What is tried with MariaDB too: what its driver does where there is no answer.
_WITH_MARIADB = ("frozen", "killed")

ROWS = [
    Row(fault, server, source, make, **options)
    for fault, make, options in FAULTS
    for server, source in SOURCES
    if "MariaDB" not in source or fault in _WITH_MARIADB
]


@dataclass
class Figures:
    """What one run came to. Times are seconds."""

    answers: list[Answer]
    began: float
    ended: float
    packets_before: float
    packets_during: float
    lines: list[str] = field(default_factory=list)

    def count(self, *statuses: int) -> int:
        return sum(answer.status in statuses for answer in self.answers)

    @property
    def right(self) -> int:
        return sum(answer.status == EXPECTED[answer.kind] for answer in self.answers)

    @property
    def wrong(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.status not in (EXPECTED[answer.kind], 503)]

    def seconds(self, kind: str, share: float, since: float, until: float, status: int | None = None) -> float:
        """The seconds within which this share of the requests from `since` until `until` was answered."""
        found = sorted(
            answer.seconds
            for answer in self.answers
            if answer.kind == kind and since <= answer.sent < until and status in (None, answer.status)
        )
        return found[min(int(share * len(found)), len(found) - 1)] if found else 0.0

    def before(self, kind: str, share: float) -> float:
        return self.seconds(kind, share, 0.0, self.began)

    def during(self, kind: str, share: float, after: float = 0.0, status: int | None = None) -> float:
        return self.seconds(kind, share, self.began + after, self.ended, status)

    @property
    def recovery(self) -> float:
        """Seconds from the end of the fault until every answer is right."""
        late = [
            answer.sent + answer.seconds
            for answer in self.answers
            if answer.sent >= self.ended and answer.status != EXPECTED[answer.kind]
        ]
        return max([0.0, *(moment - self.ended for moment in late)])


def run_once(row: Row, world: World, folder: Path, seed: int) -> Figures:
    database = row.database(world)
    proxy = Proxy((database.host, database.port))
    redis = Proxy((LOCAL, world.redis.port if row.is_of_redis else 0))
    url = database.app_url if row.is_far else url_through(database, proxy)
    url = url.replace("+psycopg", "+asyncpg") if row.source == "async" else url
    interface = SERVERS[row.server].interface
    environ = {"CHAOS_DATABASE": url, "CHAOS_INTERFACE": interface, "CHAOS_TTL": str(TTL)}
    if row.is_of_redis:
        environ["CHAOS_REDIS"] = f"redis://{LOCAL}:{redis.port}/0"
    try:
        with serving(SERVERS[row.server], f"acceptance.chaos.app:{interface}", folder, environ) as server:
            figures = asyncio.run(_through(row, Scene(world, database, proxy, redis), Load(server.port, seed)))
            figures.lines = outage_lines(server.printed())
            return figures
    finally:
        proxy.close()
        redis.close()


async def _through(row: Row, scene: Scene, load: Load) -> Figures:
    loop = asyncio.get_running_loop()
    await load.warm()
    started, packets = time.monotonic(), [scene.proxy.packets]
    running = asyncio.create_task(load.run(BEFORE + DURING + AFTER))
    await asyncio.sleep(BEFORE)
    packets.append(scene.proxy.packets)
    fault = row.make(scene)
    began = time.monotonic()
    await loop.run_in_executor(None, fault.__enter__)
    try:
        await asyncio.sleep(DURING)
    finally:
        await loop.run_in_executor(None, fault.__exit__, None, None, None)
        ended = time.monotonic()
        packets.append(scene.proxy.packets)
    await running
    before, during = [(packets[1] - packets[0]) / (began - started), (packets[2] - packets[1]) / (ended - began)]
    return Figures(load.answers, began, ended, before, during)


def url_through(database: Server, proxy: Proxy) -> str:
    """Where the application finds the database behind the proxy."""
    return re.sub(r"@[^/]+/", f"@{LOCAL}:{proxy.port}/", database.app_url)


def outage_lines(printed: str) -> list[str]:
    """The lines of the package's log, beside the refusals that there are in health too."""
    usual = re.compile(r"refused: (invalid_signature|unknown_key|missing_signature):")
    # The further lines of a record, such as those of a traceback, are indented.
    records = re.findall(r"^\S.* hmac_guard .*(?:\n .*)*", printed, re.MULTILINE)
    return [line for record in records if not usual.search(record) for line in record.splitlines()]


HEAD = (
    "fault, server, source | requests | right | 503 | wrong | hot p50 before | during | hot p99 before | during | "
    "known p95 before | from 8 s | new 503 from 8 s | recovery | packets a second before | during | log lines | load"
)


def line_of(row: Row, runs: list[Figures]) -> str:
    def median(figure: Callable[[Figures], float]) -> str:
        return f"{statistics.median(map(figure, runs)) * 1000:.0f} ms"

    parts = [
        row.id,
        *(str(sum(map(figure, runs))) for figure in (lambda f: len(f.answers), lambda f: f.right)),
        str(sum(run.count(503) for run in runs)),
        str(sum(len(run.wrong) for run in runs)),
        median(lambda f: f.before("hot", 0.5)),
        median(lambda f: f.during("hot", 0.5)),
        median(lambda f: f.before("hot", 0.99)),
        median(lambda f: f.during("hot", 0.99)),
        median(lambda f: f.before("known", 0.95)),
        median(lambda f: f.during("known", 0.95, KNOWN_AFTER)),
        median(lambda f: f.during("new", 1.0, KNOWN_AFTER, 503)),
        f"{max(run.recovery for run in runs):.1f} s",
        *(f"{statistics.median(rates):.0f}" for rates in _rates(runs)),
        str(max(len(run.lines) for run in runs)),
        f"{os.getloadavg()[0]:.1f}",
    ]
    return " | ".join(parts)


def _rates(runs: list[Figures]) -> list[list[float]]:
    return [[run.packets_before for run in runs], [run.packets_during for run in runs]]
