"""The README is true: its code runs, its requests get the answers that it prints, its tables name what there is."""

import inspect
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path as FilePath
from types import SimpleNamespace
from typing import Any

import pytest
from patience import comes
from ports import accepts, own_port

import hmac_guard
import hmac_guard.keys
import hmac_guard.schemes
from hmac_guard import Guard, Key, Reason, Scheme

README = (FilePath(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]
CONSOLE = [line for language, code in BLOCKS if language == "console" for line in code.split("$ ")]
REQUESTS = [line for line in CONSOLE if line.startswith("curl")]


def block(first_line: str) -> str:
    [found] = [code for code in PYTHON if code.startswith(first_line)]
    return str(found)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The README's first application, started as it says, on a free port."""
    pytest.importorskip("flask", reason="not run: Flask is not installed")
    folder = tmp_path_factory.mktemp("readme")
    (folder / "app.py").write_text(block("# app.py"))
    [command] = [line for line in CONSOLE if line.startswith("flask")]
    [secret] = re.findall('keys="(.+)"', block("# app.py"))
    Key(secret)  # So no test may see it told, be it by the server.
    with own_port() as port:
        arguments = shlex.split(command.replace("8000", str(port)))
        with subprocess.Popen([sys.executable, "-m", *arguments], cwd=folder) as server:
            assert comes(lambda: accepts(port))
            yield f"127.0.0.1:{port}"
            server.terminate()


@pytest.mark.parametrize("line", REQUESTS, ids=["signed", "forged"])
def test_the_two_requests_get_the_answers_that_are_printed(served: str, line: str) -> None:
    if shutil.which("curl") is None:
        pytest.skip("not run: there is no curl")
    command, expected = line.split("\n", 1)
    done = subprocess.run(shlex.split(command.replace("127.0.0.1:8000", served)), capture_output=True, text=True)

    assert done.stdout.strip() == expected.strip()


def everything() -> dict[str, Any]:
    from hmac_guard.asgi import GuardMiddleware

    public = [hmac_guard, hmac_guard.keys, hmac_guard.schemes]
    return {name: getattr(module, name) for module in public for name in module.__all__} | {
        "GuardMiddleware": GuardMiddleware
    }


def test_each_way_to_mount_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NANGO_HMAC_KEY", "a key that is long enough")
    monkeypatch.setenv("SUPRSEND_INBOX_SECRET", "a key that is long enough")
    added: list[Any] = []
    names = {
        **everything(),
        "app": SimpleNamespace(
            wsgi_app=lambda environ, start_response: [],
            add_middleware=lambda middleware, **options: added.append(middleware(lambda *_: None, **options)),
        ),
        "get_wsgi_application": lambda: lambda environ, start_response: [],
    }
    exec(block("ORDERS"), names)
    for first_line in ("# Flask", "# FastAPI", "# Django"):
        exec(block(first_line), names)

    assert len(names["signature"]) == 64
    assert len(added) == 1
    assert [type(mounted).__module__ for mounted in (names["app"].wsgi_app, names["application"])] == [
        "hmac_guard.wsgi.middleware"
    ] * 2


def test_the_tables_name_every_source_and_option() -> None:
    sources = set(re.findall(r"^\| `(\w+)\(", README, re.MULTILINE))
    rows = re.search(r"\| option of `Guard`.*?\n\n", README, re.DOTALL)
    options = set(
        re.findall(r"`(\w+)`", " ".join(line.split("|")[1] for line in str(rows and rows[0]).split("\n")[2:-2]))
    )
    parameters = inspect.signature(Guard.__init__).parameters.values()

    assert sources == {"Query", "Header", "Cookie", "Path", "Json", "Form"}
    assert options == {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}


def test_the_presets_that_are_named_are_all_there_are() -> None:
    [named] = re.findall(r"Presets: `([A-Z ]+)`", README)

    assert set(named.split()) == {name for name in hmac_guard.schemes.__all__ if name.isupper()}
    assert all(isinstance(getattr(hmac_guard.schemes, name), Scheme) for name in named.split())


def test_the_two_commands_are_targets() -> None:
    makefile = (FilePath(__file__).parent.parent / "Makefile").read_text()

    for command in re.findall(r"\$ make (\w+)", README):
        assert re.search(rf"^{command}:", makefile, re.MULTILINE)


def test_every_reason_is_one_of_the_documented_values() -> None:
    assert {reason.value for reason in Reason} == {
        *("verified", "missing_id", "missing_signature", "malformed", "duplicate", "conflict", "ambiguous"),
        *("unknown_key", "invalid_signature", "bad_framing", "body_timeout", "body_too_large", "unsupported_body"),
        *("keys_unavailable", "exempt", "preflight", "off"),
    }
