"""A change made on one host is seen by every worker within a second, and by itself again after Redis was away."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from databases import REDIS, Database, needs
from key_sources import KEY, OTHER_KEY, Source, claim_of
from redis import Redis
from wires import LOCAL, RedisServer, own_redis, wire_to

from hmac_guard import ConfigError, Key
from hmac_guard.keys import CachedKeys, RedisInvalidation, redis

SOON = 1.0


def within(seconds: float, happens: Callable[[], bool]) -> bool:
    patience = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > patience:
            return False
        time.sleep(0.002)
    return True


def key_id(keys: CachedKeys, tenant: str = "acme") -> str | None:
    ring = keys(claim_of(tenant))
    return ring.keys[0].id if ring else None


class Worker:
    """What a process has: a cache of its own, which watches."""

    def __init__(self, url: str, channel: str, source: Source, ttl: float = 3_600) -> None:
        self.keys = CachedKeys(source.sync, ttl=ttl)
        self.news = RedisInvalidation(url, channel)
        self.news.watch(self.keys)


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with own_redis() as found:
        yield found


@pytest.fixture
def channel() -> str:
    return f"keys:{uuid4().hex}"


def watching(server_url: str, channel: str, source: Source, count: int = 1, **options: float) -> list[Worker]:
    workers = [Worker(server_url, channel, source, **options) for _ in range(count)]
    listeners = Redis.from_url(server_url)
    assert within(10, lambda: listeners.pubsub_numsub(channel)[0][1] >= count)
    listeners.close()
    time.sleep(0.05)
    return workers


def close(workers: list[Worker]) -> None:
    for worker in workers:
        worker.news.close()


def test_a_change_is_seen_by_every_worker_within_a_second(channel: str) -> None:
    needs(REDIS, "Redis")
    url = REDIS.render_as_string(hide_password=False)
    source = Source(Key(KEY, "old"))
    workers = watching(url, channel, source, count=8)
    assert [key_id(worker.keys) for worker in workers] == ["old"] * 8

    source.answer = Key(OTHER_KEY, "new")
    assert [key_id(worker.keys) for worker in workers] == ["old"] * 8
    publisher = RedisInvalidation(url, channel)
    publisher.publish("acme")

    assert within(SOON, lambda: [key_id(worker.keys) for worker in workers] == ["new"] * 8)
    publisher.close()
    close(workers)


def test_a_change_of_one_tenant_leaves_the_others_cached(channel: str, server: RedisServer) -> None:
    source = Source()
    source.answer = lambda claim: Key(KEY, f"{claim.tenant}-{len(source.asked)}")
    [worker] = watching(server.url, channel, source)
    for tenant in ("acmé \N{GRINNING FACE}", "other"):
        key_id(worker.keys, tenant)
    before = key_id(worker.keys, "other")

    worker.news.publish("acmé \N{GRINNING FACE}")

    assert within(SOON, lambda: key_id(worker.keys, "acmé \N{GRINNING FACE}") == "acmé \N{GRINNING FACE}-3")
    assert key_id(worker.keys, "other") == before
    close([worker])


def test_a_rotation_in_the_database_is_seen_within_a_second(
    channel: str, server: RedisServer, sync_database: Database
) -> None:
    watcher = RedisInvalidation(server.url, channel)
    operator = sync_database.keys(on_change=RedisInvalidation(server.url, channel).publish)
    first = operator.add("acme", key_id="first")
    cached = CachedKeys(sync_database.keys(), ttl=3_600)
    watcher.watch(cached)
    time.sleep(0.2)
    assert (key_id(cached), key_id(cached, "new")) == ("first", None)

    operator.rotate("acme", key_id="second")
    operator.set_mode("acme", "report")
    operator.add("new", key_id="theirs")

    assert within(SOON, lambda: (key_id(cached), key_id(cached, "new")) == ("second", "theirs"))
    ring = cached(claim_of("acme"))
    assert ring is not None
    assert ring.mode == "report"
    assert first.secret is not None
    watcher.close()


def test_a_change_that_redis_missed_is_seen_when_it_is_back(
    channel: str, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    source = Source(Key(KEY, "old"))
    workers = watching(server.url, channel, source, count=3)
    assert [key_id(worker.keys) for worker in workers] == ["old"] * 3

    server.stop()
    source.answer = Key(OTHER_KEY, "new")
    time.sleep(0.6)
    assert [key_id(worker.keys) for worker in workers] == ["old"] * 3
    server.start()

    assert within(SOON, lambda: [key_id(worker.keys) for worker in workers] == ["new"] * 3)
    assert len([record for record in caplog.records if "Redis is away" in record.message]) == 3
    close(workers)


def test_without_redis_a_change_is_seen_within_the_ttl(channel: str, server: RedisServer) -> None:
    server.stop()
    source = Source(Key(KEY, "old"))
    worker = Worker(server.url, channel, source, ttl=0.2)
    assert key_id(worker.keys) == "old"

    source.answer = Key(OTHER_KEY, "new")

    assert within(0.2 + 0.1, lambda: key_id(worker.keys) == "new")
    server.start()
    close([worker])


def test_what_is_known_serves_while_redis_and_the_source_are_both_away(channel: str, server: RedisServer) -> None:
    source = Source(Key(KEY, "good"))
    [worker] = watching(server.url, channel, source)
    assert key_id(worker.keys) == "good"

    source.answer = ""
    server.stop()
    server.start()
    asked = len(source.asked)

    assert within(SOON, lambda: key_id(worker.keys) == "good" and len(source.asked) > asked)
    assert key_id(worker.keys) == "good"
    close([worker])


def test_a_connection_that_falls_silent_is_made_anew(
    channel: str, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis, "HEARTBEAT", 0.05)
    monkeypatch.setattr(redis, "SILENCE", 0.3)
    source = Source(Key(KEY, "old"))
    with wire_to(LOCAL, server.port) as wire:
        [worker] = watching(f"redis://{LOCAL}:{wire.port}/0", channel, source)
        assert key_id(worker.keys) == "old"

        wire.lose()
        source.answer = Key(OTHER_KEY, "new")
        RedisInvalidation(server.url, channel).publish("acme")

        assert within(SOON, lambda: key_id(worker.keys) == "new")
        close([worker])


def test_publishing_without_redis_fails_soon(channel: str, server: RedisServer) -> None:
    server.stop()
    news = RedisInvalidation(server.url, channel)
    started = time.monotonic()

    with pytest.raises(Exception, match="refused"):
        news.publish("acme")

    assert time.monotonic() - started < 2
    server.start()


def test_what_is_no_tenant_on_the_channel_does_no_harm(channel: str, server: RedisServer) -> None:
    source = Source(Key(KEY, "good"))
    [worker] = watching(server.url, channel, source)
    client = Redis.from_url(server.url)
    for junk in (b"", b"\xff\xfe", b"\0" * 10_000, b"nobody"):
        client.publish(channel, junk)
    client.close()
    source.answer = Key(OTHER_KEY, "new")
    worker.news.publish("acme")

    assert within(SOON, lambda: key_id(worker.keys) == "new")
    close([worker])


FORK = """
import os, sys, time
from redis import Redis
from hmac_guard import Claim, Key
from hmac_guard.keys import CachedKeys, RedisInvalidation

url, channel = sys.argv[1:]
asked = []
keys = CachedKeys(lambda claim: Key("8f1c6f0f5b1f4b6d9f6a2d7e4c3b2a19", str(asked.append(1) or len(asked))), ttl=3600)
RedisInvalidation(url, channel).watch(keys)
claim = Claim("", {}, "acme", b"", b"", None)
child = os.fork()
redis = Redis.from_url(url)
while redis.pubsub_numsub(channel)[0][1] < 2:
    time.sleep(0.01)
time.sleep(0.1)
first = keys(claim).keys[0].id
if child:
    time.sleep(0.3)
    redis.publish(channel, "acme")
patience = time.monotonic() + 5
while keys(claim).keys[0].id == first and time.monotonic() < patience:
    time.sleep(0.01)
print("child" if not child else "parent", keys(claim).keys[0].id != first, flush=True)
if child:
    os.waitpid(child, 0)
else:
    os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="not run: this platform cannot fork")
def test_a_forked_worker_watches_too(channel: str, server: RedisServer) -> None:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK, server.url, channel]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)

    assert sorted(run.stdout.splitlines()) == ["child True", "parent True"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        pytest.param(["localhost:6379"], "url must be like", id="no scheme"),
        pytest.param([None], "url must be like", id="no URL"),
        pytest.param(["redis://localhost", ""], "channel", id="no channel"),
        pytest.param(["redis://localhost", 7], "channel", id="a number for a channel"),
    ],
)
def test_an_option_that_cannot_work_is_refused(arguments: list[object], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        RedisInvalidation(*arguments)  # type: ignore[arg-type]


def test_what_remembers_nothing_has_nothing_to_watch() -> None:
    with pytest.raises(ConfigError, match="CachedKeys"):
        RedisInvalidation("redis://localhost").watch({"acme": KEY})  # type: ignore[arg-type]


def test_a_password_is_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    password = uuid4().hex
    news = RedisInvalidation(f"redis://:{password}@127.0.0.1:1/0")
    with caplog.at_level(logging.DEBUG):
        news.watch(CachedKeys({"acme": KEY}))
        assert within(5, lambda: "Redis is away" in caplog.text)
        news.close()

    assert password not in caplog.text + repr(news)
    assert repr(news) == "<RedisInvalidation on 'hmac_guard:keys'>"
