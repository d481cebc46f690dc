"""The site of the documentation has each page as Markdown, and `llms.txt` names them."""

import re

import pytest
from installed import ROOT

pytestmark = pytest.mark.site

DOCS = ROOT / "docs"
PAGES = {path.relative_to(DOCS).as_posix(): path.read_text() for path in DOCS.rglob("*.md")}
#: `make docs` writes it before these tests.
SITE = ROOT / "build" / "docs"


def test_each_page_is_there_as_markdown_beside_its_html() -> None:
    written = {name: page for name, page in PAGES.items() if "{eval-rst}" not in page}
    assert {name: (SITE / name).read_text() for name in written} == written
    assert [name for name in PAGES if not (SITE / name).with_suffix(".html").is_file()] == []


def test_the_pages_of_the_reference_have_the_docstrings_as_text() -> None:
    made = {name: (SITE / name).read_text() for name, page in PAGES.items() if "{eval-rst}" in page}

    assert len(made) == 8
    for name, text in made.items():
        assert text.startswith(PAGES[name].splitlines()[0] + "\n\n")
        assert "eval-rst" not in text
    assert "class hmac_guard.keys.CachedKeys(resolver, ttl=60.0," in made["reference/keys.md"]
    assert "keys too old, so that they are looked up" in made["reference/keys.md"]


def test_llms_txt_names_each_page_with_its_title() -> None:
    text = (SITE / "llms.txt").read_text()
    named = {name: title for title, name in re.findall(r"^- \[(.+)\]\((.+\.md)\)$", text, re.MULTILINE)}

    assert text.startswith("# hmac_guard\n\n> ")
    assert named == {name: page.splitlines()[0].removeprefix("# ") for name, page in PAGES.items()}
