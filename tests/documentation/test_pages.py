"""Checks that each code block of the documentation has a test that runs it, or a reason."""

from pathlib import Path

import pytest
from documented import all_blocks, text_of

from documentation.pages import ELSEWHERE, NOT_RUN, PAGES, PARTS, TESTS, installs, runnable

HERE = Path(__file__).parents[1]


@pytest.mark.parametrize("page", PAGES)
def test_each_block_names_its_language(page: str) -> None:
    fences = [line for line in text_of(page).splitlines() if line.lstrip().startswith("```")]

    assert len(fences) == 2 * len(list(all_blocks(page)))
    assert [block.text for block in all_blocks(page) if not block.language] == []


@pytest.mark.parametrize("page", PAGES)
def test_a_page_with_blocks_has_tests(page: str) -> None:
    """If this fails, write a test that takes the blocks with `documented.blocks`, and name it in `TESTS`."""
    assert bool(runnable(page)) == (page in TESTS)
    for name in TESTS.get(page, ()):
        source = (HERE / name).read_text()
        assert any(each in source for each in (page, Path(page).name, f'"{Path(page).stem}"', "console_apps")), name


@pytest.mark.parametrize("page", TESTS)
def test_a_page_with_code_says_what_to_install(page: str) -> None:
    code = [block for block in runnable(page) if block.language == "python"]

    assert not code or any(name.startswith("hmac-guard") for name in installs(page))


def test_each_block_that_is_not_run_has_its_reason_here_and_on_the_page() -> None:
    marked = {
        (page, block.text.split("\n")[0]): block.mark for page in PAGES for block in all_blocks(page) if block.mark
    }

    assert marked == NOT_RUN


def test_the_other_lists_name_blocks() -> None:
    assert PARTS.keys() <= TESTS.keys()
    for page, language in ELSEWHERE:
        assert [block for block in all_blocks(page) if language in ("", block.language)]
