"""`hmac_guard.metrics`: the numbers are those that a client counts, and a request cannot add a series."""

import hashlib
import hmac
import http.client
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import Server, serving
from support import Call, Sent, call_wsgi
from waiting import TIMEOUT, becomes_true

from hmac_guard import ConfigError, Decision, Guard, Key, Keyring, Query, Reason, Scheme, Verdict, verdict_from
from hmac_guard.guard import Mode
from hmac_guard.metrics.for_prometheus import EndingKeys
from hmac_guard.metrics.series import BUCKETS

pytest.importorskip("prometheus_client", reason="not run: prometheus_client is not installed")
pytest.importorskip("cachetools", reason="not run: cachetools is not installed")
from hmac_guard.keys import CachedKeys  # isort: skip
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from hmac_guard.metrics import PrometheusMetrics

KEY = "8f1c6f0f5b1f4b6d9f6a2d7e4c3b2a19"
BETA = "0f8d1c6b5a4e3f2d1c0b9a8f7e6d5c4b"
SCHEME = Scheme(name="inbox", ids={"user": Query("user")}, message="{user}", signature=Query("sig"))
#: The labels of a series.
Labels = tuple[str, ...]
ONE = Server("waitress", "wsgi", "waitress", "waitress-serve --threads=4 --listen=127.0.0.1:{port} {app}")
TWO = Server(
    "gunicorn, two workers",
    "wsgi",
    "gunicorn",
    "gunicorn --bind 127.0.0.1:{port} --no-control-socket --worker-class gthread --threads 2 --workers 2 {app}",
)


def signed(key: str, user: str = "u1") -> str:
    return f"user={user}&sig={hmac.new(key.encode(), user.encode(), hashlib.sha256).hexdigest()}"


#: Kinds of requests: path and query, tenant, what the client gets, and the labels in the scrape: mode, result, reason
#: and tenant. In report the client cannot see the reason.
KINDS: list[tuple[str, str, int, Labels]] = [
    (f"/inbox?{signed(KEY)}", "acme", 200, ("enforce", "verified", "verified", "acme")),
    (f"/inbox?{signed(BETA)}", "beta", 200, ("report", "verified", "verified", "beta")),
    (f"/inbox?{signed(BETA)}", "acme", 401, ("enforce", "refused", "invalid_signature", "")),
    (f"/inbox?{signed(KEY)}", "beta", 200, ("report", "reported", "invalid_signature", "")),
    ("/inbox?user=u1", "acme", 401, ("enforce", "refused", "missing_signature", "")),
    ("/inbox?user=u1&user=u2&sig=x", "acme", 401, ("enforce", "refused", "duplicate", "")),
    (f"/inbox?{signed(KEY)}", "gone", 401, ("enforce", "refused", "unknown_key", "")),
    (f"/inbox?{signed(KEY)}", "a tenant of the client", 401, ("enforce", "refused", "unknown_key", "")),
    ("/open", "acme", 200, ("enforce", "skipped", "exempt", "")),
]


def scraped(text: str) -> dict[str, dict[tuple[Labels, str], float]]:
    """The samples of a scrape, by name: by the values of the labels, and the bound of a bucket."""
    found: dict[str, dict[tuple[Labels, str], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = dict(sample.labels)
            bound = labels.pop("le", "")
            names = ("scheme", "mode", "result", "reason", "tenant", "outcome", "days")
            values = tuple(labels[name] for name in names if name in labels)
            found.setdefault(sample.name, {})[values, bound] = sample.value
    return found


def get(client: http.client.HTTPConnection, path: str, tenant: str = "") -> tuple[int, str]:
    client.request("GET", path, headers={"X-Tenant": tenant} if tenant else {})
    answer = client.getresponse()
    return answer.status, answer.read().decode()


def compare(server: Server, number: int, folder: Path, environ: dict[str, str]) -> None:
    """Send mixed requests to a server, count them here, and compare this with a scrape."""
    assert server.version
    chosen, expected = random.Random(19), Counter[Labels]()
    with serving(server, "metrics_app:app", folder, environ) as running:
        clients = [http.client.HTTPConnection("127.0.0.1", running.port, timeout=60) for _ in range(4)]
        for index in range(number):
            path, tenant, status, labels = chosen.choice(KINDS)
            assert get(clients[index % len(clients)], path, tenant)[0] == status
            expected[("inbox", *labels)] += 1
        text = ""

        def is_complete() -> bool:
            nonlocal text
            text = get(clients[0], "/metrics")[1]
            return "hmac_guard_keys_ending{" in text

        assert becomes_true(is_complete)  # The keys that end are read beside the scrapes.
        found = scraped(text)
        for client in clients:
            client.close()
    counted = {labels: value for (labels, _), value in found["hmac_guard_requests_total"].items()}
    assert counted == expected
    assert found["hmac_guard_decision_seconds_count"] == {(("inbox",), ""): number}
    buckets = [found["hmac_guard_decision_seconds_bucket"][("inbox",), bound] for bound in bounds(found)]
    assert buckets == sorted(buckets)
    assert buckets[-1] == number
    assert 0 < found["hmac_guard_decision_seconds_sum"][("inbox",), ""] < 60 * number
    looked_up = number - expected["inbox", "enforce", "skipped", "exempt", ""]
    outcomes = {labels[0]: value for (labels, _), value in found["hmac_guard_key_cache_total"].items()}
    assert sum(outcomes.values()) == looked_up
    assert 4 <= outcomes["miss"] <= 4 * 4
    assert found["hmac_guard_keys_ending"][("30",), ""] == 0


def bounds(found: dict[str, dict[tuple[Labels, str], float]]) -> list[str]:
    given = [bound for _, bound in found["hmac_guard_decision_seconds_bucket"]]
    assert len(given) == len(BUCKETS) + 1
    return sorted(given, key=float)


def shared(folder: Path) -> dict[str, str]:
    (folder / "numbers").mkdir()
    return {"PROMETHEUS_MULTIPROC_DIR": str(folder / "numbers")}


def test_a_scrape_gives_what_the_client_counted(tmp_path: Path) -> None:
    compare(ONE, 400, tmp_path, {})


def test_a_scrape_of_two_workers_gives_what_the_client_counted(tmp_path: Path) -> None:
    compare(TWO, 400, tmp_path, shared(tmp_path))


@pytest.mark.slow
def test_a_scrape_gives_what_the_client_counted_of_ten_thousand(tmp_path: Path) -> None:
    compare(ONE, 10_000, tmp_path, {})


@pytest.mark.slow
def test_a_scrape_of_two_workers_gives_what_the_client_counted_of_ten_thousand(tmp_path: Path) -> None:
    compare(TWO, 10_000, tmp_path, shared(tmp_path))


def test_no_request_that_is_not_verified_makes_a_series(call: Call) -> None:
    registry = CollectorRegistry()
    scheme = SCHEME.replace(tenant=Query("tenant"))
    for tenants in (False, True):
        registry = CollectorRegistry()
        guard = Guard(scheme, {"acme": KEY}, on_decision=PrometheusMetrics(tenants=tenants, registry=registry))
        for number in range(50):
            call(guard, Sent(query=f"{signed(KEY, f'u{number}')}&tenant=t{number}", path=f"/{number}"))
            call(guard, Sent(query=f"{signed(KEY, f'u{number}')}&tenant=acme"))
        text = generate_latest(registry).decode()
        series = scraped(text)["hmac_guard_requests_total"]
        assert sorted(series.values()) == [50, 50]
        assert ("acme" in text) is tenants
        assert "u1" not in text
        assert "t1" not in text


def test_a_decision_falls_into_the_bucket_of_its_seconds() -> None:
    registry = CollectorRegistry()
    metrics = PrometheusMetrics(registry=registry)
    decisions: list[Any] = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "SCRIPT_NAME": "", "QUERY_STRING": signed(KEY)}

    def app(environ: Any, start_response: Any) -> list[bytes]:
        assert verdict_from(environ)
        return []

    Guard(SCHEME, KEY, on_decision=decisions.append).wsgi(app)(environ, lambda *_: lambda _: None)
    for seconds in (0.000_05, 0.000_051, 0.3, 9.0):
        metrics(decisions[0]._replace(seconds=seconds))
    found = scraped(generate_latest(registry).decode())
    in_buckets = {bound: value for (_, bound), value in found["hmac_guard_decision_seconds_bucket"].items()}
    assert [in_buckets[bound] for bound in ("5e-05", "0.0001", "0.25", "0.5", "5.0", "+Inf")] == [1, 2, 2, 3, 3, 4]
    assert found["hmac_guard_decision_seconds_sum"][("inbox",), ""] == pytest.approx(9.300_101)


@pytest.mark.parametrize("has_gil", [True, False])
def test_no_decision_of_many_threads_is_lost(has_gil: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hmac_guard.metrics.for_prometheus._HAS_GIL", has_gil)
    metrics = PrometheusMetrics(registry=(registry := CollectorRegistry()))
    verdict = Verdict(Reason.VERIFIED, "inbox")

    def count() -> None:
        for _ in range(20_000):
            metrics.count_decision(verdict, "enforce", False, 0.25)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=count) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    found = scraped(generate_latest(registry).decode())
    assert set(found["hmac_guard_requests_total"].values()) == {80_000}
    assert found["hmac_guard_decision_seconds_sum"][("inbox",), ""] == 20_000


def test_a_callback_that_only_counts_gets_what_a_decision_holds(call: Call) -> None:
    """`count_decision` is called in the place of the object itself."""
    decisions: list[Any] = []
    registries = CollectorRegistry(), CollectorRegistry()
    counting = PrometheusMetrics(registry=registries[0])
    called = PrometheusMetrics(registry=registries[1])

    def call_only(decision: Any) -> None:
        decisions.append(decision)
        called(decision)

    for callback in (counting, call_only):
        modes: list[Mode] = ["enforce", "report", "off"]
        for mode in modes:
            for query in (signed(KEY), "user=u1", "user=u1&sig=x"):
                call(Guard(SCHEME, KEY, mode=mode, on_decision=callback), Sent(query=query))
    first, second = (scraped(generate_latest(each).decode())["hmac_guard_requests_total"] for each in registries)
    assert first == second
    assert len(decisions) == sum(first.values()) == 9


def test_a_callback_that_fails_does_not_change_the_decision(call: Call, caplog: pytest.LogCaptureFixture) -> None:
    metrics = PrometheusMetrics(registry=CollectorRegistry())
    metrics._cells = None  # type: ignore[assignment]
    recorded: list[Any] = []
    on_verdict = lambda verdict, claim: recorded.append(verdict)  # noqa: E731
    reply = call(Guard(SCHEME, KEY, on_decision=metrics, on_verdict=on_verdict), Sent(query=signed(KEY)))

    assert (reply.status, len(recorded)) == (200, 1)
    assert "on_decision failed, the verdict stands: builtins.AttributeError" in caplog.text


def test_a_multiprocess_directory_set_after_the_import_is_ignored(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """prometheus_client chose where numbers are kept when it was imported: here it keeps them in memory."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    registry = CollectorRegistry()
    cache = CachedKeys(lambda claim: KEY, per_tenant=False)
    ends = Key(KEY, not_after=time.time() + 86_400)
    metrics = PrometheusMetrics(key_cache=cache, keys=[ends], registry=registry)
    guard = Guard(SCHEME, cache, on_decision=metrics)
    assert becomes_true(lambda: metrics._ending is not None and metrics._ending.value() == 1)
    for query in (signed(KEY), signed(KEY), "user=u1"):
        call(guard, Sent(query=query))
    found = scraped(generate_latest(registry).decode())

    assert found["hmac_guard_requests_total"] == {
        (("inbox", "enforce", "verified", "verified"), ""): 2,
        (("inbox", "enforce", "refused", "missing_signature"), ""): 1,
    }
    assert found["hmac_guard_decision_seconds_count"] == {(("inbox",), ""): 3}
    assert found["hmac_guard_keys_ending"] == {(("30",), ""): 1}
    assert found["hmac_guard_key_cache_total"] == {(("hit",), ""): 1, (("miss",), ""): 1}


@pytest.mark.parametrize("name", ["PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"])
@pytest.mark.parametrize("keys", [None, KEY], ids=["without keys", "with keys"])
@pytest.mark.parametrize("folder", ["", "none", "file"])
def test_a_multiprocess_directory_that_does_not_exist_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: str, keys: str | None, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    monkeypatch.setenv(name, folder)

    with pytest.raises(ConfigError, match=f"{name} is '{folder}', which is no folder"):
        PrometheusMetrics(keys=keys, registry=CollectorRegistry())


def test_the_multiprocess_directory_is_that_of_the_new_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setenv("prometheus_multiproc_dir", "none")

    PrometheusMetrics(registry=CollectorRegistry())


FORKING = f"""
import os
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from hmac_guard import Guard, Query, Scheme
from hmac_guard.keys import CachedKeys
from hmac_guard.metrics import PrometheusMetrics

SCHEME = Scheme(name="inbox", ids={{"user": Query("user")}}, message="{{user}}", signature=Query("sig"))
cache = CachedKeys(lambda claim: "{KEY}", per_tenant=False)
metrics = PrometheusMetrics(key_cache=cache, keys="{KEY}", registry=CollectorRegistry())
guarded = Guard(SCHEME, cache, on_decision=metrics).wsgi(lambda environ, start_response: [])


def ask():
    guarded({{"REQUEST_METHOD": "GET", "PATH_INFO": "/", "SCRIPT_NAME": "", "QUERY_STRING": "{signed(KEY)}"}}, None)


ask(), ask()
# As if threads of the parent read and scraped when it forks.
ending = metrics._shared._ending
ending._lock.acquire()
ending._ending._reading.acquire()
ending._ending._value = ending._ending._begun = None
metrics._lock.acquire()
if os.fork() == 0:
    ask()
    assert ending.is_kept
    while ending._ending.value() is None:
        pass
    list(metrics.collect())
    os._exit(0)
os.wait()
registry = CollectorRegistry()
MultiProcessCollector(registry)
print(generate_latest(registry).decode())
"""


def with_shared_metrics(program: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run a program whose processes share their metrics in a folder."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_forked_process_adds_what_it_has_counted_itself(tmp_path: Path) -> None:
    done = with_shared_metrics(FORKING, tmp_path)

    assert done.stderr == ""
    found = scraped(done.stdout)

    assert sum(found["hmac_guard_requests_total"].values()) == 3
    assert found["hmac_guard_key_cache_total"] == {(("hit",), ""): 2, (("miss",), ""): 1}


QUIET = f"""
import time
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from hmac_guard import Key
from hmac_guard.core.verdict import Reason, Verdict
from hmac_guard.metrics import PrometheusMetrics, for_prometheus

registry = CollectorRegistry()
MultiProcessCollector(registry)


def wait_for(number):
    while f'hmac_guard_keys_ending{{{{days="30"}}}} {{number}}\\n' not in generate_latest(registry).decode():
        time.sleep(0.01)
    print(number)


for_prometheus.EVERY = for_prometheus.PAUSE = 0.05
metrics = PrometheusMetrics(keys=[Key("{KEY}", not_after=time.time() + 86_400)], registry=CollectorRegistry())
metrics.count_decision(Verdict(Reason.VERIFIED, "inbox"), "enforce", False, 0.001)
wait_for(1.0)
for_prometheus.DAY = 0
wait_for(0.0)
for_prometheus._ending = None
wait_for("NaN")
"""


def test_with_several_processes_the_keys_that_end_are_read_without_further_requests(tmp_path: Path) -> None:
    done = with_shared_metrics(QUIET, tmp_path)

    assert done.stdout == "1.0\n0.0\nNaN\n"
    assert "the keys that end soon cannot be read: builtins.TypeError" in done.stderr


class Standing:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_keys_that_end_are_read_at_most_once_a_minute_and_beside_the_scrape() -> None:
    now, clock = time.time(), Standing()
    ends = [now + 86_400, now + 29 * 86_400, now + 31 * 86_400, now - 1, None]
    ring = Keyring([Key(f"a key that is long enough {end}", not_after=end) for end in ends])
    ending = EndingKeys({"acme": ring}, 30, clock)
    readings: list[float] = []
    count = ending._count
    ending._count = lambda seconds: readings.append(seconds) or count(seconds)  # type: ignore[func-returns-value]

    assert ending.value() is None
    assert becomes_true(lambda: ending.value() == 2)
    clock.now = 59.9
    assert ending.value() == 2
    assert readings == [30 * 86_400]
    clock.now = 60
    ending.value()
    assert becomes_true(lambda: len(readings) == 2)


def test_a_reading_that_does_not_end_gives_no_number() -> None:
    clock, go_on = Standing(), threading.Event()
    ending = EndingKeys(KEY, 30, clock)
    ending.value()
    assert becomes_true(lambda: ending.value() == 0)
    ending._count = lambda seconds: go_on.wait(TIMEOUT) and 1

    clock.now = 60
    assert ending.value() == 0
    clock.now = 120
    assert ending.value() is None
    go_on.set()
    assert becomes_true(lambda: ending.value() == 1)


class Doubled(PrometheusMetrics):
    """Its own `__call__` must be called, though the class that it extends only counts."""

    def __call__(self, decision: Decision) -> None:
        super().__call__(decision)
        super().__call__(decision)


def test_a_subclass_with_its_own_call_is_called() -> None:
    for kind, number in ((PrometheusMetrics, 1), (Doubled, 2)):
        registry = CollectorRegistry()
        guard = Guard(SCHEME, KEY, on_decision=kind(registry=registry))
        call_wsgi(guard, Sent(query=signed(KEY)))

        found = scraped(generate_latest(registry).decode())
        assert sum(found["hmac_guard_requests_total"].values()) == number


def test_the_old_name_of_the_variable_counts_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("prometheus_multiproc_dir", str(tmp_path))

    assert PrometheusMetrics(registry=CollectorRegistry())._shared is not None


def test_keys_of_a_database_that_end_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy", reason="not run: SQLAlchemy is not installed")
    from hmac_guard.keys import SqlKeys

    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'keys.db'}")
    keys = SqlKeys(engine)
    keys.create_table()
    for number in range(3):
        keys.add(f"tenant {number}", f"a key that is long enough {number}", not_after=time.time() + 86_400 * 10**number)
    registry = CollectorRegistry()
    PrometheusMetrics(keys=keys, registry=registry)
    monkeypatch.setattr("hmac_guard.metrics.for_prometheus._PAGE", 1)

    def ending() -> Any:
        return scraped(generate_latest(registry).decode()).get("hmac_guard_keys_ending")

    assert becomes_true(lambda: ending() == {(("30",), ""): 2})
    engine.dispose()


def test_a_second_set_of_metrics_in_one_registry_is_an_error() -> None:
    registry = CollectorRegistry()
    PrometheusMetrics(registry=registry)

    with pytest.raises(ConfigError, match="make one for each process, and give it to every guard"):
        PrometheusMetrics(registry=registry)


def test_keys_of_an_async_engine_are_refused_when_the_metrics_are_made() -> None:
    pytest.importorskip("aiosqlite", reason="not run: aiosqlite is not installed")
    asyncio_engines = pytest.importorskip("sqlalchemy.ext.asyncio", reason="not run: SQLAlchemy is not installed")
    from hmac_guard.keys import SqlKeys

    keys = SqlKeys(asyncio_engines.create_async_engine("sqlite+aiosqlite:///none.db"))
    with pytest.raises(ConfigError, match="needs a SqlKeys with a sync engine; make a second one for it"):
        PrometheusMetrics(keys=keys, registry=CollectorRegistry())


def test_a_failing_source_gives_no_number(caplog: pytest.LogCaptureFixture) -> None:
    clock = Standing()
    ending = EndingKeys(KEY, 30, clock)
    ending._value = 7

    def fail(seconds: float) -> int:
        raise OSError

    ending._count = fail
    ending.value()
    assert becomes_true(lambda: "the keys that end soon cannot be read: builtins.OSError" in caplog.text)
    assert ending.value() is None

    clock.now = 60
    ending.value()
    assert becomes_true(lambda: "the source of the metrics still fails: 2 times in 60 s" in caplog.text)


def test_wrong_arguments_are_errors() -> None:
    causes: dict[str, Callable[[], object]] = {
        "ending_days": lambda: PrometheusMetrics(ending_days=0, keys=KEY),
        "key_cache must be a CachedKeys, not str": lambda: PrometheusMetrics(key_cache="x"),
        "cannot be listed; leave keys= out": lambda: PrometheusMetrics(keys=lambda claim: KEY),
        "keys of CachedKeys cannot be listed; .* give the SqlKeys itself": lambda: PrometheusMetrics(
            keys=CachedKeys(KEY)
        ),
        "PrometheusMetrics: tenants must be True or False": lambda: PrometheusMetrics(
            tenants="false"  # type: ignore[arg-type]
        ),
        "registry must be a CollectorRegistry .*, not NoneType; leave registry= out": lambda: PrometheusMetrics(
            registry=None  # type: ignore[arg-type]
        ),
        "registry must be a CollectorRegistry .*, not str": lambda: PrometheusMetrics(
            registry="x"  # type: ignore[arg-type]
        ),
    }
    for error, cause in causes.items():
        with pytest.raises(ConfigError, match=error):
            cause()


@pytest.fixture
def reader() -> Iterator[Any]:
    sdk = pytest.importorskip("opentelemetry.sdk.metrics", reason="not run: opentelemetry-sdk is not installed")
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    reader = InMemoryMetricReader()
    reader.provider = sdk.MeterProvider([reader])  # type: ignore[attr-defined]
    yield reader
    reader.provider.shutdown()  # type: ignore[attr-defined]


def test_wrong_arguments_for_opentelemetry_are_errors() -> None:
    pytest.importorskip("opentelemetry.metrics", reason="not run: opentelemetry-api is not installed")
    from hmac_guard.metrics import OpenTelemetryMetrics

    with pytest.raises(ConfigError, match=r"meter_provider must be a MeterProvider .*, not str; leave it out"):
        OpenTelemetryMetrics("x")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="OpenTelemetryMetrics: tenants must be True or False"):
        OpenTelemetryMetrics(tenants="no")  # type: ignore[arg-type]


def test_opentelemetry_counts_and_names_the_code_of_the_client(call: Call, reader: Any) -> None:
    from hmac_guard.metrics import OpenTelemetryMetrics

    scheme = SCHEME.replace(tenant=Query("tenant"))
    keys = {"acme": Keyring(KEY), "beta": Keyring(BETA, mode="report")}
    metrics = OpenTelemetryMetrics(reader.provider, tenants=True)
    guard = Guard(scheme, keys, on_decision=metrics, exempt=("/open",))
    for query, path, times in [
        (f"{signed(KEY)}&tenant=acme", "/", 3),
        ("user=u1&user=u2&tenant=acme", "/", 2),
        ("user=u1&tenant=beta", "/", 4),
        ("", "/open", 5),
    ]:
        for _ in range(times):
            call(guard, Sent(query=query, path=path))

    [resource] = reader.get_metrics_data().resource_metrics
    [scope] = resource.scope_metrics
    requests, duration = scope.metrics
    names = ("mode", "result", "reason", "tenant")
    counted = {
        (*(point.attributes.get(f"hmac_guard.{name}") for name in names), point.attributes.get("error.type")): point
        for point in requests.data.data_points
    }
    assert {labels: point.value for labels, point in counted.items()} == {
        ("enforce", "verified", "verified", "acme", None): 3,
        ("enforce", "refused", "duplicate", None, "invalid_signature"): 2,
        ("report", "reported", "missing_signature", None, "missing_signature"): 4,
        ("enforce", "skipped", "exempt", None, None): 5,
    }
    assert {point.attributes["hmac_guard.scheme"] for point in counted.values()} == {"inbox"}
    assert (requests.name, duration.name, duration.unit) == ("hmac_guard.requests", "hmac_guard.decision.duration", "s")
    assert sum(point.count for point in duration.data.data_points) == 14
