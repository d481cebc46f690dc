"""What servers make of odd requests, and that none of it gets past the guard. See the docstring of the package."""

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from orders import KEY

from acceptance.wire.exchange import Outcome, Site, answers_to
from acceptance.wire.golden import Golden
from acceptance.wire.guards import BARE
from acceptance.wire.problems import problems_of
from acceptance.wire.raw_bodies import late_fields, raw_bodies
from acceptance.wire.rows import Row, bodies, mixed, other_lines, paths, signature_lines, walks
from acceptance.wire.webhook_headers import (
    ids_in_a_header,
    items_of_a_header,
    signatures_in_a_header,
    times_in_a_header,
)

pytestmark = pytest.mark.wire


@dataclass(frozen=True)
class Section:
    """Cases that have the same columns, for a server at its root or at a mount point."""

    name: str
    rows: list[Row]
    mounted: bool = False

    @property
    def columns(self) -> list[str]:
        return list(dict.fromkeys(column for row in self.rows for column in row.makers))


SECTIONS = [
    Section("headers that bear the id or the signature", signature_lines()),
    Section("headers beside them", other_lines()),
    Section("paths", paths()),
    Section("paths, mounted", paths(), mounted=True),
    Section("paths behind the mount point", paths("/api"), mounted=True),
    Section("bodies", bodies()),
    Section("walks", walks()),
    Section("walks, mounted", walks(), mounted=True),
    Section("walks behind the mount point", walks("/api"), mounted=True),
    Section("webhooks: a time in a header", times_in_a_header()),
    Section("webhooks: an id in a header", ids_in_a_header()),
    Section("webhooks: signatures in a header", signatures_in_a_header()),
    Section("webhooks: items of a header", items_of_a_header()),
    Section("webhooks: raw bodies", raw_bodies()),
    Section("fields behind the body, sent later", late_fields()),
]
CASES = [
    pytest.param(section, row, id=f"{section.name}-{ascii(row.name)[1:60]}")
    for section in SECTIONS
    for row in section.rows
]


@pytest.mark.parametrize(("section", "row"), CASES)
def test_nothing_gets_past_the_guard(
    section: Section, row: Row, golden: Golden, request: pytest.FixtureRequest
) -> None:
    site: Site = request.getfixturevalue("mounted" if section.mounted else "site")
    asks = row.asks()
    outcomes = {column: site.exchange(ask) for column, ask in asks.items()}
    without_guard = {ask.method: outcomes[column].status for column, ask in asks.items() if ask.guard == BARE}

    problems = [
        f"{column}: {problem}"
        for column, ask in asks.items()
        for problem in problems_of(ask, outcomes[column], without_guard.get(ask.method))
    ]
    assert problems == []
    line = golden.line(section.name, section.columns, row.name, {name: str(found) for name, found in outcomes.items()})
    if not request.config.getoption("--write-golden", default=False):
        assert line == golden.expected(section.name, row.name), f"{golden.written_for()}; {site.running.server.version}"


CLIENTS, REQUESTS = 200, 5


def test_two_hundred_clients_at_once_get_only_their_own_ids(site: Site) -> None:
    """More than `tests/acceptance/conformance` asks: several requests on each connection that the server keeps."""

    def be_a_client(number: int) -> list[str]:
        found = []
        for ask, answer in answers_to(site.running.port, mixed(number, REQUESTS)):
            shown = frozenset(re.findall(r"client-[0-9]+-[0-9]+", answer.body.decode()))
            if (answer.status, shown) != ((200 if ask.signed else 401), ask.signed):
                found.append(f"{sorted(ask.signed)}: {answer.status}, {sorted(shown)}")
        return found

    with ThreadPoolExecutor(CLIENTS) as clients:
        assert [problem for problems in clients.map(be_a_client, range(CLIENTS)) for problem in problems] == []
    site.record.write_text("")


def test_the_server_has_nothing_to_complain_about(site: Site, mounted: Site) -> None:
    """Last: no exception of the guard, no secret in what the server printed."""
    for printed in (site.running.printed(), mounted.running.printed()):
        assert "the guard itself failed" not in printed
        assert [trace for trace in printed.split("Traceback (most recent call last)")[1:] if is_the_guards(trace)] == []
        assert KEY not in printed

    asked = [*site.outcomes, *mounted.outcomes]
    counts = Counter(kind_of(outcome) for ask, outcome in asked if ask.guard != BARE)
    bare = Counter(kind_of(outcome) for ask, outcome in asked if ask.guard == BARE)
    print(f"{site.running.server.name}: {len(asked)} requests; guarded {dict(counts)}; without a guard {dict(bare)}")


def is_the_guards(trace: str) -> bool:
    """Whether the exception came out of the guard's own work. Some servers raise in `send` where they have answered a
    broken body themselves; that, and what the application raises, goes through the guard."""
    frames = re.findall(r'File "(.*)", line [0-9]+, in (\w+)', trace)
    own = [index for index, (file, _) in enumerate(frames) if "/hmac_guard/" in file]
    called = [function for _, function in frames[own[-1] + 1 :]] if own else []
    return bool(own) and called[:1] not in (["send"], ["_asgi_echo"], ["_wsgi_echo"])


def kind_of(outcome: Outcome) -> str:
    if outcome.reached:
        return "accepted"
    return "closed without an answer" if outcome.status is None else "refused"
