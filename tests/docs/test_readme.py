"""Checks the README: its code runs, its requests get the printed answers, and its links are complete."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import pytest
from documented import ROOT, blocks, text_of
from every_mode import MODES, MadeOtherwise, check, preflight_for
from orders import hex_of
from ports import accepts, own_port
from support import Reply, Sent, environ_for
from waiting import becomes_true
from werkzeug.test import run_wsgi_app

import hmac_guard.schemes
from hmac_guard import Key

README = text_of("README.md")
[SAMPLE] = blocks("README.md")
[SECRET] = re.findall('keys="(.+)"', SAMPLE.text)


def commands(program: str) -> list[tuple[str, str]]:
    """Return the commands that call a program, each with what it prints."""
    consoles = [block for block in blocks("README.md", "console") if f"$ {program} " in block.text]
    return [command for block in consoles for command in block.commands() if command[0].startswith(program)]


KEY = "a key that is long enough"
CONNECT = "/oauth/connect/github"
SIGNED = Sent(path=CONNECT, query=f"connection_id=user-42&hmac={hex_of('github', 'user-42', key=KEY)}")
UNSIGNED = Sent(path=CONNECT, query="connection_id=user-42")
WITHOUT_ID = Sent(path=CONNECT)
PREFLIGHT = preflight_for(UNSIGNED)


def run(changes: Mapping[str, str]) -> dict[str, Any]:
    """Run the sample and return its names. `changes` replace texts in its code."""
    code = SAMPLE.code
    for text, other in changes.items():
        assert code.count(text) == 1
        code = code.replace(text, other)
    names: dict[str, Any] = {"__name__": "readme"}
    exec(compile(code, "README.md", "exec"), names)
    return names


def by_wsgi(app: Any, sent: Sent) -> Reply:
    body, status, headers = run_wsgi_app(app, environ_for(sent))
    return Reply(int(status[:3]), {name.lower(): value for name, value in headers}, b"".join(body))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start the first application of the README on a free port."""
    pytest.importorskip("flask", reason="not run: Flask is not installed")
    folder = tmp_path_factory.mktemp("readme")
    (folder / "app.py").write_text(SAMPLE.code)
    [(command, _)] = commands("flask")
    Key(SECRET)  # `secrecy.py` then checks that no test and no server prints it.
    with own_port() as port:
        arguments = shlex.split(command.replace("8000", str(port)))
        with subprocess.Popen([sys.executable, "-m", *arguments], cwd=folder) as server:
            assert becomes_true(lambda: accepts(port))
            yield f"127.0.0.1:{port}"
            server.terminate()


@pytest.mark.parametrize("number", [0, 1], ids=["signed", "forged"])
def test_the_two_requests_get_the_answers_that_are_printed(served: str, number: int) -> None:
    if shutil.which("curl") is None:
        pytest.skip("not run: there is no curl")
    command, expected = commands("curl")[number]
    done = subprocess.run(shlex.split(command.replace("127.0.0.1:8000", served)), capture_output=True, text=True)

    assert done.stdout.strip() == expected.strip()


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The mode of the guard in a sample."""
    monkeypatch.setattr(hmac_guard, "Guard", MadeOtherwise(**MODES[request.param]))
    return str(request.param)


def check_missing_id(mode: str, reply: Reply) -> None:
    """An id is missing: the guard refuses the request, or the view does."""
    assert reply.status == (401 if mode == "enforce" else 400), reply


def first_sample(changes: Mapping[str, str] = MappingProxyType({})) -> Callable[[Sent], Reply]:
    pytest.importorskip("flask", reason="not run: Flask is not installed")
    return partial(by_wsgi, run({SECRET: KEY, **changes})["app"])


def test_the_first_sample(mode: str) -> None:
    ask = first_sample()

    check(mode, ask, SIGNED, UNSIGNED, b"opens user-42 of github\n")
    check_missing_id(mode, ask(WITHOUT_ID))


def test_the_first_sample_reads_no_id_of_a_preflight(mode: str) -> None:
    route = '"/oauth/connect/<integration_id>"'
    ask, view = first_sample(), first_sample({f"@app.get({route})": f"@app.route({route}, methods=['OPTIONS'])"})

    assert (ask(PREFLIGHT).status, ask(PREFLIGHT).body) == (200, b"")  # Flask answers it, and the view is not called.
    if mode in ("enforce", "report"):
        assert view(PREFLIGHT).status == 400


def test_each_page_that_is_linked_exists() -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[\w-]+)?\)", README)

    assert len(links) >= 25
    assert [link for link in links if not (ROOT / link).is_file()] == []


def test_each_page_of_the_documentation_is_linked() -> None:
    pages = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")} - {"docs/index.md"}

    assert [page for page in sorted(pages) if f"]({page}" not in README] == []


def test_the_readme_takes_two_minutes() -> None:
    assert len(README.split()) <= 750


def test_the_two_commands_are_targets() -> None:
    makefile = (ROOT / "Makefile").read_text()
    commands = re.findall(r"`make (\w+)`", README)

    assert len(commands) == 2
    for command in commands:
        assert re.search(rf"^{command}:", makefile, re.MULTILINE)
