"""Checks CONTRIBUTING.md: the files and commands that it names exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()


def test_each_named_file_is_there() -> None:
    named = {name for name in re.findall(r"`([\w/.]+/[\w/.]*)`", PAGE) if not name.startswith(".")}
    assert len(named) >= 30
    missing = [name for name in named if not (ROOT / name).exists() and not (ROOT / "hmac_guard" / name).exists()]
    assert missing == []


def test_each_named_target_is_in_the_makefile() -> None:
    targets = set(re.findall(r"make ([a-z-]+)`", PAGE)) | set(re.findall(r"^\$ make ([a-z-]+)", PAGE, re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text()
    assert len(targets) >= 12
    assert [target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


def test_each_suite_of_the_makefile_is_in_the_table() -> None:
    suites = re.findall(
        r"^(test[a-z-]*|check|mutants|fuzz-differential|bench-check):", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    assert [suite for suite in suites if f"| `make {suite}` |" not in PAGE] == []
