"""The site of the documentation has each page as Markdown, and `llms.txt` names them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from installed import ROOT

DOCS = ROOT / "docs"
PAGES = {path.relative_to(DOCS).as_posix(): path.read_text() for path in DOCS.rglob("*.md")}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sphinx", reason="not run: Sphinx is not installed")
    for package in ("furo", "myst_parser"):
        pytest.importorskip(package, reason=f"not run: {package} is not installed")
    built = tmp_path_factory.mktemp("site")
    options = ["--quiet", "--fail-on-warning", "--builder", "html", "--doctree-dir", str(built / "doctrees")]
    subprocess.run([sys.executable, "-m", "sphinx", *options, str(DOCS), str(built / "html")], cwd=ROOT, check=True)
    return built / "html"


def test_each_page_is_there_as_markdown_beside_its_html(site: Path) -> None:
    written = {name: page for name, page in PAGES.items() if "{eval-rst}" not in page}
    assert {name: (site / name).read_text() for name in written} == written
    assert [name for name in PAGES if not (site / name).with_suffix(".html").is_file()] == []


def test_the_pages_of_the_reference_have_the_docstrings_as_text(site: Path) -> None:
    made = {name: (site / name).read_text() for name, page in PAGES.items() if "{eval-rst}" in page}

    assert len(made) == 8
    for name, text in made.items():
        assert text.startswith(PAGES[name].splitlines()[0] + "\n\n")
        assert "eval-rst" not in text
    assert "class hmac_guard.keys.CachedKeys(resolver, ttl=60.0," in made["reference/keys.md"]
    assert "keys too old, so that they are looked up" in made["reference/keys.md"]


def test_llms_txt_names_each_page_with_its_title(site: Path) -> None:
    text = (site / "llms.txt").read_text()
    named = {name: title for title, name in re.findall(r"^- \[(.+)\]\((.+\.md)\)$", text, re.MULTILINE)}

    assert text.startswith("# hmac_guard\n\n> ")
    assert named == {name: page.splitlines()[0].removeprefix("# ") for name, page in PAGES.items()}
