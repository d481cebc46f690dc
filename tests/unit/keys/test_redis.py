"""A change made on one host is seen by every worker within a second, and by itself again after Redis was away."""

import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from databases import REDIS, Database, needs
from key_sources import KEY, OTHER_KEY, Clock, Source, claim_of, follow
from ports import LOCAL, own_port
from redis import BlockingConnectionPool, Redis, RedisCluster, Sentinel
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import TimeoutError as NoAnswer
from waiting import TIMEOUT, becomes_true
from wires import RedisServer, Wire, own_redis, wire_to

from hmac_guard import ConfigError, Key
from hmac_guard.keys import CachedKeys, RedisInvalidation, redis


@pytest.fixture(
    params=[pytest.param(TIMEOUT, id="in time"), pytest.param(1.0, id="within a second", marks=pytest.mark.slow)]
)
def soon(request: pytest.FixtureRequest) -> float:
    """How long a change may take to be seen: a second, on a machine that has nothing else to do."""
    found: float = request.param
    return found


def key_id(keys: CachedKeys, tenant: str = "acme") -> str | None:
    ring = keys(claim_of(tenant))
    return ring.keys[0].id if ring else None


def mode(keys: CachedKeys) -> str | None:
    ring = keys(claim_of("acme"))
    return ring.mode if ring else None


class Worker:
    """The cache of one process. Only a change that Redis announces makes it look up a tenant again."""

    def __init__(self, url: str, channel: str, source: Source) -> None:
        self.keys = CachedKeys(source.sync, ttl=3_600, timeout=TIMEOUT)
        self.news = RedisInvalidation(url, channel)
        follow(self.keys, self.news, "acme")


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with own_redis() as found:
        yield found


@pytest.fixture
def channel() -> str:
    return f"keys:{uuid4().hex}"


def close(workers: list[Worker]) -> None:
    for worker in workers:
        worker.news.close()


def test_a_change_is_seen_by_every_worker_within_a_second(channel: str, soon: float) -> None:
    needs(REDIS, "Redis")
    url = REDIS.render_as_string(hide_password=False)
    source = Source(Key(KEY, "old"))
    workers = [Worker(url, channel, source) for _ in range(8)]
    assert [key_id(worker.keys) for worker in workers] == ["old"] * 8

    source.answer = Key(OTHER_KEY, "new")
    assert [key_id(worker.keys) for worker in workers] == ["old"] * 8
    publisher = RedisInvalidation(url, channel)
    publisher.publish("acme")

    assert becomes_true(lambda: [key_id(worker.keys) for worker in workers] == ["new"] * 8, soon)
    publisher.close()
    close(workers)


def test_a_change_of_one_tenant_leaves_the_others_cached(channel: str, server: RedisServer) -> None:
    source = Source()
    source.answer = lambda claim: Key(KEY, str(len(source.asked)))
    worker = Worker(server.url, channel, source)
    changed, other = (key_id(worker.keys, tenant) for tenant in ("acmé \N{GRINNING FACE}", "other"))

    worker.news.publish("acmé \N{GRINNING FACE}")

    assert becomes_true(lambda: key_id(worker.keys, "acmé \N{GRINNING FACE}") != changed)
    assert key_id(worker.keys, "other") == other
    close([worker])


@pytest.mark.parametrize("tenant", ["acm\N{LATIN SMALL LETTER E WITH ACUTE}", "\N{GRINNING FACE}"])
@pytest.mark.parametrize("decodes", [False, True], ids=["bytes", "text"])
@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_a_tenant_is_the_same_with_each_encoding_of_a_client(
    channel: str, server: RedisServer, encoding: str, decodes: bool, tenant: str
) -> None:
    source = Source(Key(KEY, "old"))
    worker = Worker(server.url, channel, source)
    with Redis(host=LOCAL, port=server.port, encoding=encoding, decode_responses=decodes, socket_timeout=1) as client:
        keys, news = CachedKeys(source.sync, ttl=3_600, timeout=TIMEOUT), RedisInvalidation(client, channel)
        news.watch(keys)
        assert [key_id(each, tenant) for each in (worker.keys, keys)] == ["old", "old"]
        source.answer = Key(OTHER_KEY, "new")
        news.publish(tenant)

        assert becomes_true(lambda: [key_id(each, tenant) for each in (worker.keys, keys)] == ["new", "new"])
        news.close()
    close([worker])


def test_a_rotation_in_the_database_is_seen_within_a_second(
    channel: str, server: RedisServer, sync_database: Database, soon: float
) -> None:
    watcher = RedisInvalidation(server.url, channel)
    operator = sync_database.keys(on_change=RedisInvalidation(server.url, channel).publish)
    first = operator.add("acme", key_id="first")
    cached = CachedKeys(sync_database.keys(), ttl=3_600, negative_ttl=3_600, timeout=TIMEOUT)
    follow(cached, watcher, "acme")
    assert (key_id(cached), key_id(cached, "new")) == ("first", None)

    operator.rotate("acme", key_id="second")
    operator.set_mode("acme", "report")
    operator.add("new", key_id="theirs")

    assert becomes_true(
        lambda: (key_id(cached), key_id(cached, "new"), mode(cached)) == ("second", "theirs", "report"), soon
    )
    assert first.secret is not None
    watcher.close()


def test_a_change_that_redis_missed_is_seen_when_it_is_back(
    channel: str, server: RedisServer, caplog: pytest.LogCaptureFixture, soon: float
) -> None:
    source = Source(Key(KEY, "old"))
    workers = [Worker(server.url, channel, source) for _ in range(3)]
    assert [key_id(worker.keys) for worker in workers] == ["old"] * 3

    def away() -> int:
        return len([record for record in caplog.records if "Redis is not available" in record.message])

    server.stop()
    source.answer = Key(OTHER_KEY, "new")
    assert becomes_true(lambda: away() == 3)
    time.sleep(2.5 * redis.RETRY)  # In this time they try again, and do not log the failure again.
    assert (away(), [key_id(worker.keys) for worker in workers]) == (3, ["old"] * 3)
    server.start()

    # This Redis has lost its count, so the workers look up everything again, at most once in RENEW_EVERY seconds.
    assert becomes_true(lambda: [key_id(worker.keys) for worker in workers] == ["new"] * 3, redis.RENEW_EVERY + soon)
    close(workers)


def test_without_redis_a_change_is_seen_within_the_ttl(channel: str, server: RedisServer) -> None:
    server.stop()
    source, clock = Source(Key(KEY, "old")), Clock()
    keys = CachedKeys(source.sync, ttl=60, clock=clock)
    news = RedisInvalidation(server.url, channel)
    news.watch(keys)
    assert key_id(keys) == "old"

    source.answer = Key(OTHER_KEY, "new")
    clock.pass_by(60)

    assert key_id(keys) == "new"
    server.start()
    news.close()


def test_what_is_known_serves_while_redis_and_the_source_are_both_away(channel: str, server: RedisServer) -> None:
    source = Source(Key(KEY, "good"))
    worker = Worker(server.url, channel, source)
    assert key_id(worker.keys) == "good"

    source.answer = ""
    server.stop()
    server.start()
    asked = len(source.asked)

    assert becomes_true(lambda: key_id(worker.keys) == "good" and len(source.asked) > asked)
    assert key_id(worker.keys) == "good"
    close([worker])


def test_a_connection_that_falls_silent_is_made_anew(
    channel: str, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis, "HEARTBEAT", 0.05)
    monkeypatch.setattr(redis, "SILENCE", 0.3)
    source = Source(Key(KEY, "old"))
    with wire_to(LOCAL, server.port) as wire:
        worker = Worker(f"redis://{LOCAL}:{wire.port}/0", channel, source)
        assert key_id(worker.keys) == "old"

        wire.lose()
        source.answer = Key(OTHER_KEY, "new")
        RedisInvalidation(server.url, channel).publish("acme")

        assert becomes_true(lambda: key_id(worker.keys) == "new")
        close([worker])


def test_a_worker_that_was_cut_off_and_missed_nothing_keeps_its_keys(channel: str, server: RedisServer) -> None:
    source = Source()
    with wire_to(LOCAL, server.port) as wire:
        worker = Worker(f"redis://{LOCAL}:{wire.port}/0", channel, source)
        known = worker.keys(claim_of("acme"))
        for number in range(2, 5):
            wire.drop()
            assert becomes_true(lambda: number_of_watchers(server, channel) == 0)
            assert becomes_true(lambda: number_of_watchers(server, channel) == 1)
            assert becomes_true(lambda: number_of_counts_read(server) == number)  # noqa: B023 - called at once
        RedisInvalidation(server.url, channel).publish("another")
        time.sleep(0.5)

        assert worker.keys(claim_of("acme")) is known
        close([worker])


@pytest.mark.parametrize("loses_data", [False, True], ids=["the count goes on", "the count is lost"])
def test_a_worker_that_was_cut_off_and_missed_a_change_acts_on_it(
    channel: str, server: RedisServer, loses_data: bool
) -> None:
    source = Source(Key(KEY, "old"))
    with wire_to(LOCAL, server.port) as wire, Redis.from_url(server.url) as client:
        RedisInvalidation(server.url, channel).publish("acme")
        worker = Worker(f"redis://{LOCAL}:{wire.port}/0", channel, source)
        wire.cut()
        if loses_data:
            client.flushall()
        source.answer = Key(OTHER_KEY, "new")
        RedisInvalidation(server.url, channel).publish("acme")
        assert key_id(worker.keys) == "old"
        wire.restore()

        assert becomes_true(lambda: key_id(worker.keys) == "new")
        close([worker])


def uncounted(channel: str, client: Redis, reconnect: Callable[[], None]) -> None:
    client.publish(channel, "other")


def refused_to_count(channel: str, client: Redis, reconnect: Callable[[], None]) -> None:
    client.config_set("maxmemory", 1)
    with pytest.raises(Exception, match="maxmemory"):
        RedisInvalidation(client, channel).publish("other")
    client.config_set("maxmemory", 0)


def stalled(channel: str, client: Redis, reconnect: Callable[[], None]) -> None:
    """A publisher that has counted its change, and publishes it after the worker has connected again."""
    client.incr(f"{channel}:changes")
    reconnect()
    client.publish(channel, "other")


def counted(channel: str, client: Redis, reconnect: Callable[[], None]) -> None:
    RedisInvalidation(client, channel).publish("other")


@pytest.mark.parametrize("announce", [uncounted, refused_to_count, stalled, counted])
def test_no_message_hides_a_change_that_a_worker_misses_later(
    channel: str, server: RedisServer, announce: Callable[[str, Any, Callable[[], None]], None]
) -> None:
    source = Source(Key(KEY, "old"))
    with wire_to(LOCAL, server.port) as wire, Redis.from_url(server.url) as client:

        def reconnect() -> None:
            wire.drop()
            assert becomes_true(lambda: number_of_counts_read(server) == 2)

        worker = Worker(f"redis://{LOCAL}:{wire.port}/0", channel, source)
        time.sleep(0.5)
        announce(channel, client, reconnect)
        time.sleep(0.5)
        assert key_id(worker.keys) == "old"
        wire.cut()
        source.answer = Key(OTHER_KEY, "new")
        RedisInvalidation(client, channel).publish("acme")
        assert key_id(worker.keys) == "old"
        wire.restore()

        assert becomes_true(lambda: key_id(worker.keys) == "new")
        close([worker])


class Interrupted(Redis):
    """A client during whose first reading of the count another worker makes a change."""

    server_url: str
    is_interrupted = False

    def get(self, name: Any) -> Any:
        if not self.is_interrupted:
            self.is_interrupted = True
            with Redis.from_url(self.server_url) as client:
                client.incr(name)
                client.publish(str(name).removesuffix(":changes"), "another")
        return super().get(name)


def test_a_change_between_the_subscription_and_the_count_hides_no_later_one(channel: str, server: RedisServer) -> None:
    source = Source(Key(KEY, "old"))
    keys = CachedKeys(source.sync, ttl=3_600, timeout=TIMEOUT)
    with wire_to(LOCAL, server.port) as wire:
        client = Interrupted(host=LOCAL, port=wire.port, socket_timeout=1.0)
        client.server_url = server.url
        news = RedisInvalidation(client, channel)
        follow(keys, news, "acme")
        time.sleep(0.5)
        wire.cut()
        source.answer = Key(OTHER_KEY, "new")
        RedisInvalidation(server.url, channel).publish("acme")
        assert key_id(keys) == "old"
        wire.restore()

        assert becomes_true(lambda: key_id(keys) == "new", 5.0)
        news.close()


def number_of_watchers(server: RedisServer, channel: str) -> int:
    with Redis.from_url(server.url) as client:
        [(_, number)] = client.pubsub_numsub(channel)
    return int(number)


def number_of_counts_read(server: RedisServer) -> int:
    with Redis.from_url(server.url) as client:
        commands = client.info("commandstats")
    return int(commands.get("cmdstat_get", {"calls": 0})["calls"])


def after(*steps: int | None) -> list[bool]:
    """Whether everything is renewed after each step: a connection with that count, or a message (None)."""
    changes, renewed = redis._Changes(), []
    for second, step in enumerate(steps):
        changes.heard() if step is None else changes.connected(step)
        renewed.append(changes.must_renew(float(second)))
    return renewed


def test_nothing_is_renewed_where_there_was_no_change() -> None:
    assert after(70, 70, 70, 70) == [True, False, False, False]


def test_all_is_renewed_at_once_where_a_change_was_missed() -> None:
    assert after(70, None, 72, 72, 73) == [True, False, True, False, True]


def test_all_is_renewed_at_once_after_changes_even_if_as_many_messages_were_received() -> None:
    assert after(70, None, None, 72, 72, 72) == [True, False, False, True, False, False]


def test_a_redis_that_forgets_its_count_causes_one_renewal_in_five_seconds() -> None:
    forgetful = [2**40 + 2**30 * number for number in range(12)]

    assert after(*forgetful) == [True, *[False] * 4, True, *[False] * 4, True, False]


def test_what_publishes_without_counting_is_noticed_and_the_count_is_trusted_no_longer() -> None:
    uncounted = after(70, None, 70, 70, 70, 70, 70, 70, 70, 70, 70)

    assert uncounted == [True, False, False, False, False, True, False, False, False, False, True]


def test_a_count_that_cannot_be_read_causes_one_renewal_in_five_seconds() -> None:
    changes = redis._Changes()
    renewed = []
    for second in range(11):
        changes.connected(None)
        renewed.append(changes.must_renew(float(second)))

    assert renewed == [True, *[False] * 4, True, *[False] * 4, True]


@contextmanager
def server_as_text(server: RedisServer, folder: Path) -> Iterator[Any]:
    """A client whose answers are text."""
    with Redis.from_url(server.url, decode_responses=True) as client:
        yield client


@contextmanager
def sentinel_of(master: RedisServer, folder: Path) -> Iterator[Any]:
    """A client of the master, found by one sentinel."""
    config = folder / "sentinel.conf"
    config.write_text(
        f"sentinel monitor keys {LOCAL} {master.port} 1\n"
        "sentinel down-after-milliseconds keys 300\nsentinel failover-timeout keys 3000\n"
    )
    with own_redis([str(config), "--sentinel"], dir=str(folder)) as watching:
        sentinel = Sentinel([(LOCAL, watching.port)], socket_timeout=1.0)  # type: ignore[no-untyped-call]
        yield sentinel.master_for("keys", socket_timeout=1.0)  # type: ignore[no-untyped-call]


@contextmanager
def node_in(folder: Path) -> Iterator[RedisServer]:
    """A node of a cluster, which knows no other node yet."""
    folder.mkdir(exist_ok=True)
    with (
        own_port() as bus,
        own_redis(
            dir=str(folder),
            cluster_enabled="yes",
            cluster_config_file="nodes.conf",
            cluster_port=str(bus),
            cluster_node_timeout="1000",
            repl_diskless_sync_delay="0",
            repl_ping_replica_period="1",
        ) as node,
    ):
        yield node


def serve_all_slots(node: RedisServer) -> None:
    with Redis.from_url(node.url) as client:
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16_383)
        assert becomes_true(lambda: b"cluster_state:ok" in client.execute_command("CLUSTER", "INFO", NEVER_DECODE=[]))


@contextmanager
def cluster_of(_: RedisServer, folder: Path) -> Iterator[Any]:
    """A client of a cluster of one node, which is another server."""
    with node_in(folder) as node:
        serve_all_slots(node)
        yield RedisCluster(host=LOCAL, port=node.port, socket_timeout=1.0)


@pytest.mark.parametrize("client_of", [server_as_text, sentinel_of, cluster_of], ids=["server", "sentinel", "cluster"])
def test_a_client_of_the_users_own_is_used_and_left_open(
    channel: str, server: RedisServer, tmp_path: Path, client_of: Any
) -> None:
    source = Source(Key(KEY, "old"))
    with client_of(server, tmp_path) as client:
        keys, news = CachedKeys(source.sync, ttl=3_600, timeout=TIMEOUT), RedisInvalidation(client, channel)
        follow(keys, news, "acme")
        source.answer = Key(OTHER_KEY, "new")
        news.publish("acme")

        assert becomes_true(lambda: key_id(keys) == "new")
        news.close()
        assert client.ping()


@pytest.mark.slow
def test_changes_are_seen_again_after_a_sentinel_has_promoted_a_replica(
    channel: str, server: RedisServer, tmp_path: Path
) -> None:
    source = Source(Key(KEY, "old"))
    with own_redis(replicaof=f"{LOCAL} {server.port}") as replica, sentinel_of(server, tmp_path) as client:
        keys, news = CachedKeys(source.sync, ttl=3_600, timeout=TIMEOUT), RedisInvalidation(client, channel)
        follow(keys, news, "acme")
        with Redis.from_url(replica.url) as direct:
            assert becomes_true(lambda: direct.info("replication")["master_link_status"] == "up")
            assert becomes_true(lambda: client.connection_pool.sentinel_manager.sentinels[0].sentinel_slaves("keys"))
            server.stop()
            assert becomes_true(lambda: direct.info("replication")["role"] == "master")
        source.answer = Key(OTHER_KEY, "new")
        assert becomes_true(lambda: number_of_watchers(replica, channel) == 1)
        RedisInvalidation(replica.url, channel).publish("acme")

        assert becomes_true(lambda: key_id(keys) == "new")
        news.close()
        server.start()


def test_changes_are_seen_again_after_a_replica_has_taken_over_in_a_cluster(channel: str, tmp_path: Path) -> None:
    source = Source(Key(KEY, "old"))
    with node_in(tmp_path / "first") as first, node_in(tmp_path / "second") as second:
        serve_all_slots(first)
        with Redis.from_url(first.url) as direct, Redis.from_url(second.url) as replica:
            name = direct.execute_command("CLUSTER", "MYID")
            replica.execute_command("CLUSTER", "MEET", LOCAL, first.port, direct.config_get()["cluster-port"])
            assert becomes_true(lambda: name in replica.execute_command("CLUSTER", "NODES", NEVER_DECODE=[]))
            replica.execute_command("CLUSTER", "REPLICATE", name)
            assert becomes_true(lambda: replica.info("replication").get("master_link_status") == "up")
            client: Any = RedisCluster(host=LOCAL, port=first.port, socket_timeout=1.0)
            assert becomes_true(lambda: client.nodes_manager.initialize() or len(client.get_nodes()) == 2)
            keys, news = CachedKeys(source.sync, ttl=3_600, timeout=TIMEOUT), RedisInvalidation(client, channel)
            follow(keys, news, "acme")

            first.stop()
            replica.execute_command("CLUSTER", "FAILOVER", "TAKEOVER")
            source.answer = Key(OTHER_KEY, "new")
            assert becomes_true(lambda: number_of_watchers(second, channel) == 1)
            RedisInvalidation(second.url, channel).publish("acme")

            assert becomes_true(lambda: key_id(keys) == "new")
            news.close()
            client.close()
        first.start()


@pytest.mark.parametrize("break_connections", [Wire.end_when_used, Wire.lose], ids=["closed", "lost silently"])
def test_a_change_is_announced_although_all_connections_in_the_pool_are_lost(
    channel: str, server: RedisServer, break_connections: Callable[[Wire], None]
) -> None:
    worker = Worker(server.url, channel, Source())
    known = worker.keys(claim_of("acme"))
    with wire_to(LOCAL, server.port) as wire:
        news = RedisInvalidation(f"redis://{LOCAL}:{wire.port}/0", channel)
        with news._redis.get().client() as other:
            other.ping()
            news.publish("another")
        break_connections(wire)

        news.publish("acme")

        assert becomes_true(lambda: worker.keys(claim_of("acme")) is not known)
        with news._redis.get().client():
            news.publish("acme")
        news.close()
    close([worker])


def test_a_client_with_the_documented_options_announces_although_its_connection_is_lost(
    channel: str, server: RedisServer
) -> None:
    with wire_to(LOCAL, server.port) as wire:
        url = f"redis://{LOCAL}:{wire.port}/0"
        with Redis.from_url(url, socket_timeout=0.3, retry_on_error=[NoAnswer]) as client:
            news = RedisInvalidation(client, channel)
            news.publish("acme")
            before = int(client.get(f"{channel}:changes"))
            wire.lose()

            news.publish("acme")

            assert int(client.get(f"{channel}:changes")) == before + 1
            news.close()


class Refusing:
    """A client of the user's own, which has repeated the command already if it is to be repeated."""

    def __init__(self) -> None:
        self.attempts = 0

    def _refuse(self, *_: Any, **__: Any) -> None:
        self.attempts += 1
        raise LostConnection

    publish = pubsub = incr = get = set = _refuse


def test_a_client_of_the_users_own_decides_itself_what_it_repeats() -> None:
    client = Refusing()
    with pytest.raises(LostConnection):
        RedisInvalidation(client).publish("acme")

    assert client.attempts == 1


def test_publishing_without_redis_fails(channel: str, server: RedisServer) -> None:
    server.stop()

    with pytest.raises(Exception, match="refused"):
        RedisInvalidation(server.url, channel).publish("acme")

    server.start()


def test_a_change_that_a_full_redis_does_not_count_is_announced(channel: str, server: RedisServer) -> None:
    worker = Worker(server.url, channel, Source())
    known = worker.keys(claim_of("acme"))
    with Redis.from_url(server.url) as client:
        client.config_set("maxmemory", 1)

    with pytest.raises(Exception, match="maxmemory"):
        RedisInvalidation(server.url, channel).publish("acme")

    assert becomes_true(lambda: worker.keys(claim_of("acme")) is not known)
    close([worker])


def test_publishing_to_a_redis_that_hangs_fails_at_the_first_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis, "TIMEOUT", 0.1)
    with socket.create_server((LOCAL, 0)) as silent:
        with pytest.raises(Exception, match="Timeout"):
            RedisInvalidation(f"redis://{LOCAL}:{silent.getsockname()[1]}/0").publish("acme")

        silent.setblocking(False)
        attempts = 0
        with suppress(BlockingIOError):
            while True:
                silent.accept()[0].close()
                attempts += 1
    assert attempts == 1


def test_what_is_no_tenant_on_the_channel_does_no_harm(channel: str, server: RedisServer) -> None:
    source = Source(Key(KEY, "good"))
    worker = Worker(server.url, channel, source)
    client = Redis.from_url(server.url)
    for junk in (b"", b"\xff\xfe", b"\0" * 10_000, b"unknown"):
        client.publish(channel, junk)
    client.close()
    source.answer = Key(OTHER_KEY, "new")
    worker.news.publish("acme")

    assert becomes_true(lambda: key_id(worker.keys) == "new")
    close([worker])


FORK = """
import os, sys
from types import SimpleNamespace
from hmac_guard import Key
from hmac_guard.keys import CachedKeys, RedisInvalidation
from key_sources import follow
from waiting import becomes_true

url, channel = sys.argv[1:]
keys = CachedKeys(lambda claim: Key("8f1c6f0f5b1f4b6d9f6a2d7e4c3b2a19"), ttl=3600)
news = RedisInvalidation(url, channel)
follow(keys, news, "acme")
claim = SimpleNamespace(tenant="acme")
known = keys(claim)
ready, tell = os.pipe()
child = os.fork()
if child:
    os.close(tell)
    os.read(ready, 1)
    news.publish("acme")
else:
    # The child looks up a known tenant again only if its own thread has begun to watch.
    assert becomes_true(lambda: keys(claim) is not known)
    known = keys(claim)
    os.write(tell, b".")
heard = becomes_true(lambda: keys(claim) is not known)
# In one piece, since the other one may be writing at that moment.
os.write(1, f"{'parent' if child else 'child'} {heard}\\n".encode())
if child:
    os.waitpid(child, 0)
else:
    os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="not run: this platform cannot fork")
def test_a_forked_worker_watches_too(channel: str, server: RedisServer) -> None:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK, server.url, channel]
    paths = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    run = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": paths})

    assert sorted(run.stdout.splitlines()) == ["child True", "parent True"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        pytest.param(["localhost:6379"], "give a URL like", id="no scheme"),
        pytest.param([None], "give a URL like", id="no URL"),
        pytest.param([object()], "give a URL like", id="no client"),
        pytest.param([AsyncRedis()], "give a URL like", id="an async client"),
        pytest.param([Redis().pipeline()], "give a URL like", id="a pipeline, which would send nothing"),
        pytest.param(["redis://localhost?foo=1"], "give a URL like", id="an unknown option in the URL"),
        pytest.param(["redis://localhost?protocol=4"], "give a URL like", id="an unknown protocol in the URL"),
        pytest.param([Redis(decode_responses=True, encoding="ascii")], "decode some names", id="ASCII"),
        pytest.param(
            [Redis(decode_responses=True, encoding="ascii", encoding_errors="replace")],
            "decode some names.*leave encoding and",
            id="an encoding that replaces characters",
        ),
        pytest.param(
            ["redis://localhost?decode_responses=true&encoding=ascii&encoding_errors=ignore"],
            "decode some names",
            id="an encoding in the URL that ignores characters",
        ),
        pytest.param(["rediss://localhost?ssl_cert_reqs=x"], "give a URL like", id="an unknown rule for certificates"),
        pytest.param(["redis://localhost", ""], "channel", id="no channel"),
        pytest.param(["redis://localhost", 7], "channel", id="a number for a channel"),
        pytest.param(["redis://localhost", "\ud800"], "channel must be printable", id="half a character for a channel"),
    ],
)
def test_an_option_that_cannot_work_is_refused(arguments: list[object], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        RedisInvalidation(*arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "client_of",
    [
        pytest.param("{}?max_connections=1".format, id="a URL"),
        pytest.param(
            lambda url: Redis(connection_pool=BlockingConnectionPool.from_url(url, max_connections=1, timeout=1)),
            id="a client",
        ),
    ],
)
def test_one_connection_is_enough_to_publish_and_not_to_watch(
    channel: str, server: RedisServer, client_of: Callable[[str], Any]
) -> None:
    source = Source(Key(KEY, "old"))
    worker = Worker(server.url, channel, source)
    assert key_id(worker.keys) == "old"
    source.answer = Key(OTHER_KEY, "new")
    news = RedisInvalidation(client_of(server.url), channel)

    news.publish("acme")

    assert becomes_true(lambda: key_id(worker.keys) == "new")
    with pytest.raises(ConfigError, match="at least two in max_connections"):
        news.watch(worker.keys)
    close([worker])


def test_what_remembers_nothing_has_nothing_to_watch() -> None:
    with pytest.raises(ConfigError, match="CachedKeys"):
        RedisInvalidation("redis://localhost").watch({"acme": KEY})  # type: ignore[arg-type]


def test_a_password_is_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    password = uuid4().hex
    news = RedisInvalidation(f"redis://:{password}@127.0.0.1:1/0")
    # In some releases of redis-py, the attributes of a client show the password.
    assert not any(isinstance(value, Redis) for value in vars(news).values())
    with caplog.at_level(logging.DEBUG):
        news.watch(CachedKeys({"acme": KEY}))
        assert becomes_true(lambda: "Redis is not available" in caplog.text)
        news.close()

    assert password not in caplog.text + repr(news)
    assert repr(news) == "<RedisInvalidation on 'hmac_guard:keys'>"
