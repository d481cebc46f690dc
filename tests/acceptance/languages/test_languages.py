"""Runs every snippet in its runtime: its signatures are right, and a running guard verifies them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from acceptance.languages.cases import PLANS, Case
from acceptance.languages.guarded import Send
from acceptance.languages.runtimes import QUICK, RUNTIMES, missing_crates

from hmac_guard.snippets import LANGUAGES, snippet

Agreed = Callable[[str, int], None]


def run(language: str, plan: str, cases: list[Case], workshop: Path) -> list[str]:
    folder = workshop / f"{language}-{list(PLANS).index(plan)}-{len(cases)}"
    folder.mkdir()
    code = snippet(PLANS[plan].scheme, language)
    signatures = RUNTIMES[language].signatures(code, PLANS[plan], cases, folder)
    assert not list(folder.glob("**/broken-out"))
    return signatures


def test_every_language_has_a_runtime() -> None:
    assert set(RUNTIMES) == set(LANGUAGES)


def test_crates_that_are_not_installed_are_named(tmp_path: Path) -> None:
    for installed in ("hmac-0.12.1", "hex-literal-0.3.4", "data-encoding-2.3.3"):
        (tmp_path / installed).mkdir()

    assert missing_crates(tmp_path) == ["sha2", "hex"]


@pytest.mark.languages
@pytest.mark.parametrize("plan", PLANS)
def test_the_code_makes_the_right_signatures(
    language: str, plan: str, workshop: Path, send: Send, agreed: Agreed
) -> None:
    taken, refused = PLANS[plan].cases(), PLANS[plan].refused_cases()

    signatures = run(language, plan, taken + refused, workshop)

    assert signatures == [case.signature for case in taken + refused]
    for case, signature in zip(taken, signatures, strict=False):
        answer = send(plan, case, signature)
        assert isinstance(answer, dict), f"{case} was answered {answer}"
        assert tuple(answer.values()) == case.ids
    agreed(language, len(taken))


@pytest.mark.parametrize("language", QUICK, indirect=True)
@pytest.mark.parametrize("plan", ["nango", "texts that try to break out"])
def test_the_generated_code_is_verified_by_a_guard(language: str, plan: str, workshop: Path, send: Send) -> None:
    cases = PLANS[plan].cases()[::9]

    signatures = run(language, plan, cases, workshop)

    assert signatures == [case.signature for case in cases]
    assert all(isinstance(send(plan, case, signature), dict) for case, signature in zip(cases, signatures, strict=True))
