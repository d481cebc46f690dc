"""Runs every code block of the documentation.

    python -m documentation ../dist/hmac_guard-0.2.0-py3-none-any.whl [pages ...]

First the tests of the pages run, and note each block whose code they take. Then each set of packages that a page names
is installed with the wheel in a new environment, where the Python blocks of its pages run without other packages.
Exits with 1 if something fails, or if no test takes a block.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
import venv
from collections import defaultdict
from pathlib import Path

from acceptance.extras.__main__ import KEPT
from documented import RECORD, Block

from documentation.pages import PARTS, TESTS, exports, folders, installs, only_prepares, runnable

HERE = Path(__file__).parents[1]


def test_pages(pages: list[str]) -> bool:
    """Return whether the tests of the pages pass and take every block."""
    files = sorted({name for page in pages for name in TESTS[page]})
    with tempfile.TemporaryDirectory(prefix="hmac_guard-docs-") as folder:
        record = Path(folder, "blocks")
        record.touch()
        command = [sys.executable, "-m", "pytest", "-q", "documentation", *files]
        passed = subprocess.run(command, cwd=HERE, env={**os.environ, RECORD: str(record)}, check=False)
        taken = set(record.read_text().splitlines())
    left = [
        f"{page}:{block.line}"
        for page in pages
        for block in runnable(page)
        if f"{page}:{block.line}" not in taken and not only_prepares(block)
    ]
    for block in left:
        print(f"{block}: no test ran this block", flush=True)
    return passed.returncode == 0 and not left


def environments(pages: list[str]) -> dict[tuple[str, ...], list[str]]:
    """Return the pages for each set of packages."""
    found = defaultdict(list)
    for page in pages:
        if page not in PARTS and any(block.language == "python" for block in runnable(page)):
            found[tuple(sorted(set(installs(page))))].append(page)
    return dict(found)


def try_environment(wheel: Path, packages: tuple[str, ...], pages: list[str]) -> bool:
    """Return whether the blocks of the pages run with these packages."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hmac_guard-docs-") as folder:
        venv.create(folder, with_pip=True, symlinks=True)
        python = str(Path(folder, "bin", "python"))
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        installed = subprocess.run([*pip, *requirements(wheel, packages)], env=KEPT, check=False).returncode == 0
        failed = [page for page in pages if installed and not run_page(python, page)]
        works = installed and not failed
    print(f"{' '.join(packages)}: {'works' if works else 'FAILS'} ({time.monotonic() - began:.0f} s)", flush=True)
    return works


def requirements(wheel: Path, packages: tuple[str, ...]) -> list[str]:
    """Return what pip installs: the wheel with all extras that the packages name, and the other packages."""
    own = [name for name in packages if name.startswith("hmac-guard")]
    extras = sorted({extra for name in own for extra in re.findall(r"\w+", name.removeprefix("hmac-guard"))})
    return [f"{wheel}[{','.join(extras)}]" if extras else str(wheel), *(name for name in packages if name not in own)]


def run_page(python: str, page: str) -> bool:
    """Return whether each Python block of a page runs in its own process."""
    code = [block for block in runnable(page) if block.language == "python"]
    failed = [block for block in code if not run_block(python, block, code)]
    return not failed


def run_block(python: str, block: Block, page: list[Block]) -> bool:
    """Run a block next to the other files of its page. A file of tests is run by pytest."""
    name = block.name or "block.py"
    with tempfile.TemporaryDirectory(prefix="hmac_guard-docs-") as folder:
        for made in folders(block.page):
            Path(folder, made).mkdir()
        for each in (*page, block):  # Several alternatives may have one name.
            Path(folder, each.name or "block.py").write_text(each.text)
        command = [python, "-s", *(("-m", "pytest", "-q") if name.startswith("test_") else ()), name]
        environ = {**KEPT, **exports(block.page)}
        done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{block.page}:{block.line} FAILS\n{done.stdout}{done.stderr}", flush=True)
    return done.returncode == 0


def main() -> int:
    wheel, *chosen = sys.argv[1:]
    if unknown := set(chosen) - TESTS.keys():
        print(f"there is no page {', '.join(unknown)}; choose from {', '.join(TESTS)}", file=sys.stderr)
        return 1
    pages = chosen or list(TESTS)
    tested = test_pages(pages)
    tried = [try_environment(Path(wheel).resolve(), *each) for each in environments(pages).items()]
    return 0 if tested and all(tried) else 1


if __name__ == "__main__":
    sys.exit(main())
