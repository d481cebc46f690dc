"""The structure of the package: `core` does no I/O, the public names are pinned, an import loads no framework."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hmac_guard
import hmac_guard.core

CORE = Path(hmac_guard.core.__file__).parent
PACKAGE = CORE.parent
PURE = {
    *(
        "abc",
        "base64",
        "binascii",
        "collections",
        "collections.abc",
        "dataclasses",
        "difflib",
        "enum",
        "functools",
        "hashlib",
        "hmac",
        "http",
        "json",
        "math",
    ),
    *("inspect", "itertools", "re", "secrets", "string", "sys", "types", "typing", "urllib.parse", "uuid", "warnings"),
    "pickle",  # for its error
    "typing_extensions",  # only type checkers import it
}


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or ".")
    return names


@pytest.mark.parametrize("path", sorted(CORE.glob("*.py")), ids=lambda path: path.name)
def test_core_imports_nothing_that_does_io_and_nothing_of_the_rest(path: Path) -> None:
    # Who signs has to know the time; who verifies is given it.
    clock = {"time"} if path.name == "signing.py" else set()
    for name in imports(path) - clock:
        assert name in PURE or name == "hmac_guard.core" or name.startswith("hmac_guard.core."), name


@pytest.mark.parametrize("path", sorted(CORE.glob("*.py")), ids=lambda path: path.name)
def test_core_files_stay_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 250


def test_there_is_one_comparison_of_signatures() -> None:
    found = [path for path in PACKAGE.rglob("*.py") if "compare_digest(" in path.read_text()]

    # The console compares the tokens of its forms, which are no signatures of requests.
    assert sorted(found) == [PACKAGE / "console" / "access.py", CORE / "scheme.py"]


@pytest.mark.without_coverage
def test_nothing_rests_on_a_context_variable_or_a_thread() -> None:
    """T073: context variables leak between requests on nine of ten WSGI set-ups."""
    for path in PACKAGE.rglob("*.py"):
        # It hands the application's context on to a thread, as asgiref does.
        hands_on = {"contextvars"} if path.name == "on_gevent.py" else set()
        assert not {"contextvars", "_thread"} & imports(path) - hands_on, path
        assert "threading.local" not in path.read_text(), path


@pytest.mark.without_coverage
def test_no_request_can_trip_an_assert_or_a_bare_except() -> None:
    """T021, T053: `python -O` drops an assert; a server's time-out is a SystemExit."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            assert not isinstance(node, ast.Assert), path
            if isinstance(node, ast.ExceptHandler):
                assert node.type is not None, path
                assert "BaseException" not in ast.unparse(node.type), path


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
@pytest.mark.without_coverage
def test_only_a_named_tuple_reads_its_fields_in_repr(path: Path) -> None:
    # Other objects may lack a field: see `Shown`, which calls their `_description`.
    for made in ast.walk(ast.parse(path.read_text())):
        if isinstance(made, ast.ClassDef) and made.name != "Shown" and "NamedTuple" not in map(ast.unparse, made.bases):
            shown = [each for each in made.body if isinstance(each, ast.FunctionDef) and each.name == "__repr__"]
            assert "self." not in "".join(map(ast.unparse, shown)), made.name


def documented_arguments(docstring: str) -> list[str]:
    _, _, section = docstring.partition("\nArgs:\n")
    return re.findall(r"^    (\w+):", re.split(r"\n(?=\S)", section)[0], re.MULTILINE)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
@pytest.mark.without_coverage
def test_a_class_documents_the_arguments_of_its_constructor(path: Path) -> None:
    # ruff compares only the docstring of a function with its arguments.
    classes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)]
    for made in classes:
        documented = documented_arguments(ast.get_docstring(made) or "")
        functions = [node for node in made.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
        if documented and functions:
            arguments = functions[0].args
            stars = [each for each in (arguments.vararg, arguments.kwarg) if each is not None]
            named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *stars][1:]
            assert set(documented) == {each.arg for each in named}, made.name


def test_the_public_names_are_these() -> None:
    public = {
        *("Guard", "Scheme", "Query", "Header", "Cookie", "Path", "Json", "Form", "Key", "Keyring", "Claim", "Verdict"),
        *(
            "Decision",
            "Expires",
            "SignedFields",
            "Timestamp",
            "Reason",
            "ConfigError",
            "KeysUnavailable",
            "WeakKeyWarning",
            "verdict_from",
        ),
    }
    modules = {path.stem for path in PACKAGE.iterdir()}

    assert set(hmac_guard.__all__) == public
    # pytest itself adds names such as "@pytest_ar" to the modules of a distribution with a plugin.
    listed = {name for name in dir(hmac_guard) if name.isidentifier() and not name.startswith("_")}
    assert listed - modules == public
    for name in public:
        assert getattr(hmac_guard, name).__name__ == name
    assert {name for name in vars(hmac_guard) if name in listed or name == "TYPE_CHECKING"} - modules == {
        *public,
        "TYPE_CHECKING",
    }
    with pytest.raises(AttributeError, match="module 'hmac_guard' has no attribute 'Gard'"):
        hmac_guard.Gard  # type: ignore[attr-defined]  # noqa: B018


def modules_after(code: str) -> set[str]:
    """Return the modules that a new process has imported after it has run this code."""
    command = [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_the_import_of_the_package_alone_imports_nothing_else() -> None:
    assert {"hmac_guard"} == modules_after("import hmac_guard") - modules_after("pass")
    assert "hmac_guard.guard" not in modules_after("from hmac_guard import Header")


def test_a_star_import_gives_each_name() -> None:
    names: dict[str, object] = {}
    exec("from hmac_guard import *", names)

    assert set(hmac_guard.__all__) <= names.keys()


def test_the_import_pulls_in_no_framework_and_no_server() -> None:
    loaded = modules_after("import hmac_guard, hmac_guard.schemes, hmac_guard.keys; hmac_guard.Guard")

    for name in ("werkzeug", "asgiref", "flask", "django", "fastapi", "starlette", "click", "sqlalchemy", "asyncio"):
        assert name not in loaded


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()
