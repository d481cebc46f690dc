"""Makes each written-out mistake in a copy of the package and runs the tests that have to fail over it.

A mistake is written as a symbol, a text in it and the text that stands there instead. Where the text is not in the
symbol exactly once, that is an error: it would test nothing. So are tests that fail over the package as it is.
`python -m acceptance.mutants TEXT` makes only the mistakes whose name or symbol has this text.
"""

import ast
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path

from acceptance.mutants.beyond import BEYOND_MUTMUT
from acceptance.mutants.named import NAMED, Mutant

TESTS = Path(__file__).parents[2]
PACKAGE = TESTS.parent / "hmac_guard"
WORKERS = 2


def mutated(mutant: Mutant) -> str:
    """The text of the mutant's module with the mistake in it."""
    text = (PACKAGE / mutant.file).read_text()
    start, end = _span(text, mutant.name_in_module)
    before, symbol, after = text[:start], text[start:end], text[end:]
    count = symbol.count(mutant.original)
    if count != 1:
        raise ValueError(f"its original text is in {mutant.symbol} {count} times, not once")
    changed = before + symbol.replace(mutant.original, mutant.mutated) + after
    # A file that does not even compile would make any test fail.
    ast.parse(changed)
    return changed


def selected_tests(mutant: Mutant) -> str:
    """The tests that must fail over this mutant, as an argument of pytest."""
    name, *test = mutant.killed_by.split("::")
    paths = list(TESTS.rglob(name))
    if len(paths) != 1:
        raise ValueError(f"{len(paths)} test files have the name {name}, not one")
    return "::".join([str(paths[0]), *test])


def _span(text: str, name: str) -> tuple[int, int]:
    """Where the function, class or constant with this qualified name begins and ends in a module's text."""
    node: ast.AST = ast.parse(text)
    for part in name.split("."):
        found = [child for child in ast.walk(node) if part in _names(child)]
        if not found:
            raise ValueError(f"the module has no {name}")
        node = found[0]
    assert isinstance(node, ast.stmt)
    first = min([node.lineno, *(line.lineno for line in getattr(node, "decorator_list", ()))])
    starts = list(accumulate(map(len, text.splitlines(keepends=True)), initial=0))
    return starts[first - 1], starts[node.end_lineno or first]


def _names(node: ast.AST) -> list[str]:
    """The names that a statement defines."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return [target.id for target in targets if isinstance(target, ast.Name)]
    return []


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
        return "killed" if fail([selected_tests(mutant)], mutant) else "SURVIVED"
    except (ValueError, SyntaxError) as error:
        return f"ERROR: {error}"


def main() -> int:
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    mutants = [one for one in (*NAMED, *BEYOND_MUTMUT) if wanted in one.name or wanted in one.symbol]
    tests = sorted({selected_tests(mutant) for mutant in mutants})
    killed = 0
    with ThreadPoolExecutor(WORKERS) as pool:
        failing = [test for test, fails in zip(tests, pool.map(lambda test: fail([test]), tests), strict=True) if fails]
        if failing:
            print("these tests fail over the package as it is:", *failing)
            return 1
        for mutant, result in zip(mutants, pool.map(report, mutants), strict=True):
            print(f"{result:10}{mutant.symbol:46}{mutant.name}", flush=True)
            killed += result == "killed"
    print(f"{killed} of {len(mutants)} killed")
    return int(killed < len(mutants))


if __name__ == "__main__":
    sys.exit(main())
