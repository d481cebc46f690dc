"""Ten frameworks read what the guard verified: over the fixed requests, and over some thousand generated ones.

`make fuzz-differential` does the same for half a million a source.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import pytest

pytest.importorskip("falcon", reason="not run: the frameworks are not installed")

from support import Sent

from acceptance.differential.compare import SCHEMES, Comparison
from acceptance.differential.corpora import fixed
from acceptance.differential.deviations import DEVIATIONS, Deviation, explained, page
from acceptance.differential.generate import requests
from acceptance.differential.grammar.ids import NOW
from acceptance.differential.views import event_loop
from hmac_guard.core.found import Sent as Found
from hmac_guard.core.places import Places
from hmac_guard.core.request import Request
from hmac_guard.core.text import field_values

# A warning of a framework must not look like a request that it refused.
pytestmark = pytest.mark.filterwarnings("default")

SEED = 20260731
GENERATED = 500  # `make fuzz-differential` generates half a million


@pytest.fixture(params=list(SCHEMES))
def comparison(request: pytest.FixtureRequest) -> Iterator[Comparison]:
    with event_loop() as loop:
        yield Comparison(request.param, loop)


def unexplained(comparison: Comparison, sent: Iterable[Sent]) -> list[str]:
    return [str(finding) for one in sent for finding in comparison.findings(one) if not explained(finding)]


def test_every_framework_reads_what_was_verified_in_the_fixed_requests(comparison: Comparison) -> None:
    assert unexplained(comparison, fixed(comparison.source)) == []
    assert comparison.counts["accepted"] >= 3


@pytest.mark.without_coverage
def test_every_framework_reads_what_was_verified_in_generated_requests(comparison: Comparison) -> None:
    findings = unexplained(comparison, islice(requests(comparison.source, SEED), GENERATED))

    print(f"seed {SEED}, {comparison.source}: {dict(comparison.counts)}")
    assert findings == []
    assert comparison.counts["accepted"] > GENERATED / 5


@pytest.mark.parametrize(("source", "first", "second"), [("query", "1", "2"), ("time", f"{NOW}", f"{NOW + 1}")])
def test_a_guard_that_takes_the_last_of_two_values_is_found_out(
    monkeypatch: pytest.MonkeyPatch, source: str, first: str, second: str
) -> None:
    def last(places: Places, request: Request, found: list[Found]) -> None:
        for name, slot in places._queries.items():
            values = field_values(name, request.query)
            found[slot] = values[-1] if isinstance(values, list) and values else None

    monkeypatch.setattr(Places, "_find_in_query", last)
    with event_loop() as loop:
        findings = Comparison(source, loop).findings(Sent("GET", "/query", f"a={first}&a={second}"))
        found = {finding.framework: finding.answer.text for finding in findings}

    assert found == {"Flask": first, "Quart": first}


@pytest.mark.parametrize("row", DEVIATIONS, ids=lambda row: f"{row.frameworks[0]}-{next(iter(row.examples))}")
def test_a_known_deviation_is_still_there(row: Deviation) -> None:
    for source, example in row.examples.items():
        with event_loop() as loop:
            findings = Comparison(source, loop).findings(example)

        assert {finding.framework for finding in findings if row.applies(finding)} == set(row.frameworks)
        assert all(map(explained, findings))


def test_the_documentation_shows_the_deviations() -> None:
    shown = Path(__file__).parents[3] / "docs" / "frameworks-differ.md"

    assert shown.read_text() == page(), "run: python -m acceptance.differential.deviations > docs/frameworks-differ.md"
