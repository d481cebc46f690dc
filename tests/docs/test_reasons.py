"""Checks docs/reasons.md: it has every reason and every code, with the real answer."""

import json
import re
from pathlib import Path

from hmac_guard import Reason
from hmac_guard.core.refusal import make_refusals

PAGE = (Path(__file__).parents[2] / "docs" / "reasons.md").read_text()
ANCHORS = re.findall(r'<a id="([^"]+)"></a>', PAGE)


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table under a heading, without anchors and backticks."""
    [section] = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[re.sub(r'<a id=".*?"></a>|`', "", cell).strip() for cell in line.strip("|").split("|")] for line in lines]


def code_and_status() -> dict[Reason, tuple[str, str]]:
    """Return the code and the status for each reason of a refusal."""
    refusals = make_refusals(None)
    return {
        reason: (json.loads(refusal.body)["error"]["code"], str(refusal.status.value))
        for reason, refusal in refusals.items()
    }


def test_every_reason_has_one_row_with_what_the_client_gets() -> None:
    sent = code_and_status()
    expected = [(reason.value, *sent.get(reason, ("none", "passes"))) for reason in Reason]
    listed = [(reason, code, status) for reason, status, code, cause, fix in rows("Reasons")]

    assert sorted(listed) == sorted(expected)


def test_every_code_has_one_row_with_its_status() -> None:
    listed = [(code, status) for code, status, meaning, fix in rows("Codes")]

    assert sorted(listed) == sorted(set(code_and_status().values()))


def test_every_reason_and_every_code_has_one_anchor() -> None:
    # `problem_base` links to the code, which does not reveal the reason.
    assert sorted(ANCHORS) == sorted(
        [*{code for code, _ in code_and_status().values()}, *(f"reason-{reason.value}" for reason in Reason)]
    )
    for anchor in ANCHORS:
        assert re.search(rf'<a id="{anchor}"></a>`{anchor.removeprefix("reason-")}` \|', PAGE)


def test_no_cell_is_empty() -> None:
    assert all(cell for heading in ("Reasons", "Codes") for row in rows(heading) for cell in row)
