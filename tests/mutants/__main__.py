"""Makes each written-out mistake in a copy of the package and runs the tests that have to fail over it.

A mistake whose original text is not in the package exactly once is an error: it would test nothing. So are tests that
fail over the package as it is.
"""

import ast
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mutants.beyond import BEYOND_MUTMUT
from mutants.named import NAMED, Mutant

TESTS = Path(__file__).parent.parent
PACKAGE = TESTS.parent / "hmac_guard"
WORKERS = 2


def mutated(mutant: Mutant) -> str:
    """The text of the mutant's file with the mistake in it."""
    text = (PACKAGE / mutant.file).read_text()
    count = text.count(mutant.original)
    if count != 1:
        raise ValueError(f"its original text stands in {mutant.file} {count} times, not once")
    changed = text.replace(mutant.original, mutant.mutated)
    # A file that does not even compile would make any test fail.
    ast.parse(changed)
    return changed


def fail(tests: Iterable[str], *mutants: Mutant) -> bool:
    """Whether these tests fail over a copy of the package with the mistakes in it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, PACKAGE.name)
        shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        for mutant in mutants:
            (copy / mutant.file).write_text(mutated(mutant))
        ran = subprocess.run(
            [
                sys.executable,
                "-c",
                "import pytest, sys; sys.exit(pytest.main())",
                "-xq",
                "--timeout=120",
                "-p",
                "no:cacheprovider",
                *tests,
            ],
            cwd=TESTS,
            env={**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1", "HMAC_GUARD_EXAMPLES": "150"},
            capture_output=True,
            text=True,
            timeout=300,
        )
    # 1: a test failed; 2: a test module could not be imported, as where a preset's scheme cannot be made any more.
    if ran.returncode not in (0, 1, 2):
        raise RuntimeError(ran.stdout[-2000:] + ran.stderr[-2000:])
    return ran.returncode != 0


def report(mutant: Mutant) -> str:
    """What became of one mutant."""
    try:
        return "killed" if fail([mutant.killed_by], mutant) else "SURVIVED"
    except (ValueError, SyntaxError) as error:
        return f"ERROR: {error}"


def main() -> int:
    mutants = [*NAMED, *BEYOND_MUTMUT]
    tests = sorted({mutant.killed_by for mutant in mutants})
    if fail(tests):
        print("the tests fail over the package as it is:", *tests)
        return 1
    killed = 0
    with ThreadPoolExecutor(WORKERS) as pool:
        for mutant, result in zip(mutants, pool.map(report, mutants), strict=True):
            print(f"{result:10}{mutant.file:22}{mutant.name}", flush=True)
            killed += result == "killed"
    print(f"{killed} of {len(mutants)} killed, {len(NAMED)} of them named in advance")
    return int(killed < len(mutants))


if __name__ == "__main__":
    sys.exit(main())
