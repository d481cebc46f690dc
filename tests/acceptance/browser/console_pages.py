"""A console with a week of requests, and each of its pages."""

import math
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from databases import sqlite_in
from waiting import TIMEOUT

from hmac_guard import Claim, Decision, Reason, Verdict
from hmac_guard.console.standalone import Standalone, serve
from hmac_guard.keys import SqlKeys
from hmac_guard.keys.sql import VerdictCounts, VerdictLedger
from hmac_guard.keys.sql.tables import Counted
from hmac_guard.schemes import NANGO, STRIPE, SUPRSEND

ACME, GLOBEX, SOON = "pk_live_acme", "pk_live_globex", "pk_live_umbrella"
NAMES = ("pk_live_hooli", "pk_live_initech", "pk_live_soylent", "pk_test_acme", "pk_test_globex")


def fill(keys: Any) -> None:
    """Tenants in every state, and what they have sent in a week."""
    keys.add(ACME, mode="report", key_id="20261004-5d0c21aa", note="Handed to Ada on call", actor="ada@example.com")
    keys.add(GLOBEX, mode="enforce", key_id="20260911-77aa01b2", actor="bob@example.com")
    keys.rotate(GLOBEX, key_id="20261127-0be4411c", grace=80_000, actor="ada@example.com", note="Yearly rotation")
    keys.add(SOON, mode="report", key_id="20261120-9cc31e07", actor="bob@example.com")
    for name in NAMES:
        keys.add(name, mode="off" if name == "pk_test_globex" else "enforce", actor="terraform")
    sizes = {ACME: (52, {"missing_signature": 0.02, "invalid_signature": 0.006}), GLOBEX: (140, {"expired": 0.01})}
    sizes |= {SOON: (18, {}), NAMES[0]: (75, {}), NAMES[1]: (6, {"missing_signature": 0.3}), NAMES[3]: (2, {})}
    count(keys, sizes)


def refuse(keys: Any) -> VerdictCounts:
    """The last refused requests of a tenant."""
    counts = VerdictCounts(keys, refusals=24)
    for number, (reason, detail) in enumerate(
        [
            (Reason.MISSING_SIGNATURE, "the signature is missing"),
            (Reason.INVALID_SIGNATURE, "no active key made the signature"),
            (Reason.DUPLICATE, "the id 'connection_id' is there twice"),
        ]
    ):
        ids = {"integration_id": "github", "connection_id": f"user-{number + 40}"}
        claim = Claim("nango", ids, ACME, None, detail, "GET", "/oauth/connect/github")
        counts(Decision(Verdict(reason, "nango"), claim, "report", False, 0.0))
    counts.close()
    return counts


def count(keys: Any, sizes: dict[str, tuple[int, dict[str, float]]], seed: int = 7) -> None:
    chance, now = random.Random(seed), int(time.time()) // 3_600
    rows: Counter[Counted] = Counter()
    ledger = VerdictLedger(keys)
    for tenant, (size, refused) in sizes.items():
        mode, key_id = keys.list(tenant)[0].mode, keys.list(tenant)[0].id
        for back in range(168):
            wave = 0.6 + 0.4 * math.sin((now - back) / 24 * 2 * math.pi)
            number = max(0, round(size * wave * chance.uniform(0.7, 1.2)))
            rows[Counted(tenant, now - back, "nango", mode, "verified", key_id)] += number
            for reason, share in refused.items():
                wrong = round(number * share * chance.uniform(0, 2.5))
                if wrong:
                    rows[Counted(tenant, now - back, "nango", mode, reason, "")] += wrong
    known: Counter[Counted] = Counter({row: 1 for row in rows if row.reason == "missing_signature"})
    ledger.write(rows, known, now)


class Local:
    """A console of this machine, with a login."""

    def __init__(self, keys: Any, counts: VerdictCounts) -> None:
        self.keys = keys
        self.app = Standalone(keys, [NANGO, SUPRSEND, STRIPE], "ada@example.com", counts=counts)
        self.server = serve(self.app)
        self.origin = f"http://127.0.0.1:{self.server.port}"

    def link(self) -> str:
        return f"{self.origin}/login#{self.app.link.make().get()}"

    def url(self, path: str) -> str:
        return f"{self.origin}{self.app.prefix}{path}"


@contextmanager
def local_console(folder: Path, *, filled: bool = True) -> Iterator[Local]:
    keys = SqlKeys(sqlite_in(folder))
    keys.create_table()
    counts = VerdictCounts(keys)
    if filled:
        fill(keys)
        counts = refuse(keys)
    local = Local(keys, counts)
    thread = threading.Thread(target=local.server.serve_forever, args=[0.01])
    thread.start()
    try:
        yield local
    finally:
        local.server.shutdown()
        thread.join(TIMEOUT)
        local.server.server_close()


def _sent(path: str, button: str, **fields: str) -> Callable[[Any, Local], None]:
    def go(page: Any, local: Local) -> None:
        page.goto(local.url(path))
        for name, value in fields.items():
            page.locator(f'main [name="{name.replace("__", ".")}"]:visible').first.fill(value)
        page.get_by_role("button", name=button, exact=True).first.click()

    return go


def _new_secret(page: Any, local: Local) -> None:
    """Make a tenant for it: a tenant has at most eight keys."""
    name = f"pk_test_{len(local.keys.tenants()):03}"
    _sent("/new", "Create the tenant and its key", name=name)(page, local)


def _at(path: str) -> Callable[[Any, Local], None]:
    return lambda page, local: page.goto(local.url(path)) and None


_REQUEST = (
    "curl 'https://api.example.com/oauth/connect/github?connection_id=user-42&public_key=pk_live_acme&hmac="
    "5B9C6F02F6D0A9E6D6E3B19A1B7FA2D9C1F45A0E2B7D6C8F9E0A1B2C3D4E5F60'"
)

#: Each page: how to get there.
PAGES: dict[str, Callable[[Any, Local], None]] = {
    "tenants": _at("/"),
    "tenants-filtered": _at("/?show=ending"),
    "tenants-none": _at("/?prefix=nothing"),
    "tenant": _at(f"/tenant?name={ACME}"),
    "tenant-week": _at(f"/tenant?name={GLOBEX}&hours=168"),
    "tenant-unused": _at(f"/tenant?name={NAMES[2]}"),
    "new-tenant": _at("/new"),
    "new-key": _at(f"/tenant/key?name={ACME}"),
    "new-secret": _new_secret,
    "rotate": _at(f"/tenant/rotate?name={GLOBEX}"),
    "end": _at(f"/tenant/end?name={GLOBEX}&key=20261127-0be4411c"),
    "note": _at(f"/tenant/note?name={GLOBEX}&key=20261127-0be4411c"),
    "switch": _at(f"/tenant/switch?name={ACME}"),
    "switch-ready": _at(f"/tenant/switch/confirm?name={SOON}&mode=enforce"),
    "switch-unknown": _at(f"/tenant/switch/confirm?name={NAMES[2]}&mode=enforce"),
    "switch-refused": _at(f"/tenant/switch/confirm?name={ACME}&mode=enforce"),
    "check": _at(f"/check?name={ACME}"),
    "check-request": _sent("/check", "Explain", request=_REQUEST),
    "check-signature": _sent(
        f"/check?name={ACME}", "Show the right signature", id__integration_id="github", id__connection_id="user-42"
    ),
    "refusals": _at(f"/refusals?name={ACME}"),
    "refusals-none": _at("/refusals"),
    "signing": _at(f"/signing?name={ACME}"),
    "audit": _at("/audit"),
    "problem": _at("/nothing"),
}
