"""The tutorial: a reader who follows it gets the output that it shows."""

import os
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
from installed import ROOT, environ_of_a_shell
from ports import own_port
from shown_page import Reader, Server, agrees, blocks_of

PAGE = (ROOT / "docs" / "tutorial.md").read_text()


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    for package in ("flask", "click", "jinja2"):
        pytest.importorskip(package, reason=f"not run: {package} is not installed")
    for program in ("bash", "curl", "openssl"):
        if shutil.which(program) is None:
            pytest.skip(f"not run: {program} is not installed")
    return environ_of_a_shell(tmp_path)


def test_a_reader_gets_the_output_that_the_page_shows(tmp_path: Path, environ: dict[str, str]) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    with own_port() as port, Reader(folder, port, environ) as reader:
        reader.follow(PAGE)

    done = Counter(reader.done)
    assert (done["console not-run"], done["console server"], done["text server"]) == (1, 3, 3)
    assert sum(done.values()) == PAGE.count("\n```\n")


def test_the_block_that_is_not_run_installs_what_there_is() -> None:
    [block] = [block for block in blocks_of(PAGE) if block.kind == "console not-run"]
    [extra] = re.findall(r"pip install 'hmac-guard\[(\w+)\]' flask pytest\n", block.text)

    assert re.search(rf"^{extra} = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("```console\n$ echo a\nb\n```", "line 1: echo a"),
        ("text\n\n```console\n$ echo a\n```", "line 3: echo a"),
        ("```console\n$ true\na\n```", "line 1: true"),
        ("```console\n$ A=b\n$ echo $A\n$A\n```", "line 1: echo [$]A"),
        ("```console server\n$ echo up\ndown\n```", "line 1: echo up"),
        ("```text server\nup\n```", "line 1: there is no server"),
        ("```python\nimport os\n```", "the kind python must begin with the name of its file"),
        ("```console\na\n```", "line 1: the block must begin with a command"),
    ],
)
def test_a_page_that_shows_something_else_is_noticed(
    page: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("bash") is None:
        pytest.skip("not run: bash is not installed")
    monkeypatch.setattr(Server, "patience", 0.5)
    with own_port() as port, Reader(tmp_path, port, os.environ) as reader, pytest.raises(AssertionError, match=message):
        reader.follow(f"{page}\n")


@pytest.mark.parametrize(
    ("shown", "printed", "expected"),
    [
        ("a\n", "a", True),
        ("a\n", "a\nb\n", False),
        ("", "", True),
        ("", "a\n", False),
        ("a\n...\n", "a\n", True),
        ("a\n...\nd\n", "a\nb\nc\nd\n", True),
        ("a\n...\nd\n", "a\nb\nc\n", False),
        ("at [...] b\n", "at [12:00] b\n", True),
        ("at [...] b\n", "at 12:00 b\n", False),
        ("a.c\n", "abc\n", False),
        ("red\n", "\x1b[31mred\x1b[0m\n", True),
    ],
)
def test_an_output_agrees_except_where_the_page_leaves_it_open(shown: str, printed: str, expected: bool) -> None:
    assert agrees(shown, printed) is expected
