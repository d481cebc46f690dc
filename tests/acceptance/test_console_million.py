"""The console over a million tenants on PostgreSQL: every page within 150 ms of server time, in the same memory."""

import resource
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="not run: sqlalchemy is not installed")

from consoles import Browser, by_header
from databases import Database

from acceptance.test_keys_million import TENANTS, million  # noqa: F401 - a fixture
from hmac_guard.console import Console
from hmac_guard.schemes import NANGO, SUPRSEND

pytestmark = pytest.mark.slow

NAME, KEY = f"tenant-{TENANTS // 2:08}", "key-1"

PAGES: dict[str, tuple[str, dict[str, str]]] = {
    "the first page": ("/", {}),
    "a page in the middle": ("/", {"after": NAME}),
    "a prefix": ("/", {"prefix": "tenant-0012"}),
    "a prefix that few have": ("/", {"prefix": "tenant-00999999"}),
    "not ready": ("/", {"show": "not-ready"}),
    "in report": ("/", {"show": "report", "after": NAME}),
    "about to end": ("/", {"show": "ending"}),
    "never used": ("/", {"show": "unused"}),
    "a tenant": ("/tenant", {"name": NAME}),
    "a week of a tenant": ("/tenant", {"name": NAME, "hours": "168"}),
    "mode": ("/tenant/switch", {"name": NAME}),
    "confirmation of a mode": ("/tenant/switch/confirm", {"name": NAME, "mode": "enforce"}),
    "rotate": ("/tenant/rotate", {"name": NAME}),
    "end": ("/tenant/end", {"name": NAME, "key": KEY}),
    "check": ("/check", {"name": NAME}),
    "how to sign": ("/signing", {"name": NAME}),
    "refused requests": ("/refusals", {"name": NAME}),
    "audit": ("/audit", {}),
    "audit of a tenant": ("/audit", {"tenant": NAME}),
    "audit of an actor": ("/audit", {"actor": "actor-7"}),
    "audit of an action": ("/audit", {"action": "rotate"}),
}


def test_every_page_is_quick(million: Database, tmp_path: Path) -> None:  # noqa: F811
    console = Console(million.keys(), schemes=[NANGO, SUPRSEND], authorize=by_header, secret="s" * 32)
    ada = Browser(console)
    before, slow = 0, {}
    for name, (path, query) in PAGES.items():
        assert ada.get(path, **query).status_code == 200, name
        taken = sorted(_timed(ada, path, query) for _ in range(40))
        print(f"{name:28} p50 {taken[20] * 1e3:6.1f} ms  p95 {taken[38] * 1e3:6.1f} ms")
        if taken[38] > 0.150:
            slow[name] = taken[38]
        before = before or _memory()
    assert not slow
    assert _memory() - before < 64 * 1024  # kilobytes


def test_an_export_of_a_million_entries_holds_none_in_memory(million: Database) -> None:  # noqa: F811
    console = Console(million.keys(), schemes=[NANGO], authorize=by_header, secret="s" * 32)
    ada = Browser(console)
    ada.get("/audit")
    before, size = _memory(), 0
    answer: Any = ada.client.get("/console/audit.jsonl", headers=ada.headers, buffered=False)
    for part in answer.response:
        size += len(part)
        if size > 50_000_000:
            break
    answer.close()
    assert _memory() - before < 64 * 1024


def _timed(ada: Browser, path: str, query: dict[str, str]) -> float:
    started = time.perf_counter()
    ada.get(path, **query)
    return time.perf_counter() - started


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
