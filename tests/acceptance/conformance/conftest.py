"""Every application on every server of its kind; a server is started once for all that is sent to it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from servers import ON_TRIO, SERVERS, Running, serving
from support import Sent

from acceptance.conformance.client import Answer, Connection
from acceptance.conformance.guards import RECORD
from acceptance.conformance.matrix import Matrix

APPLICATIONS = {
    "Flask": ("wsgi", "flask", "flask_app"),
    "Django WSGI": ("wsgi", "django", "django_wsgi"),
    "FastAPI": ("asgi", "fastapi", "fastapi_app"),
    "Starlette": ("asgi", "starlette", "starlette_app"),
    "Litestar": ("asgi", "litestar", "litestar_app"),
    "Quart": ("asgi", "quart", "quart_app"),
    "Django ASGI": ("asgi", "django", "django_asgi"),
}
WITH_WEBSOCKETS = {"FastAPI", "Starlette", "Litestar", "Quart"}
#: Quart and Django run on asyncio alone.
ALSO_ON_TRIO = ("FastAPI", "Starlette", "Litestar")
PAIRS = [
    pytest.param((name, server), id=f"{name} on {server.name}")
    for name, (interface, _, _) in APPLICATIONS.items()
    for server in SERVERS
    if server.interface == interface
] + [pytest.param((name, ON_TRIO), id=f"{name} on {ON_TRIO.name}") for name in ALSO_ON_TRIO]


MATRIX = Matrix(APPLICATIONS)


@dataclass(frozen=True)
class Site:
    """An application on a server."""

    application: str
    running: Running
    record: Path

    def connect(self) -> Connection:
        return Connection(self.running.port)

    def ask(self, sent: Sent) -> Answer:
        with self.connect() as connection:
            return connection.ask(sent)

    def reasons(self) -> list[str]:
        """What the guard of `/orders` has decided since this was asked last."""
        found = self.record.read_text().split()
        self.record.write_text("")
        return found


@pytest.fixture(scope="session", params=PAIRS)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    application, server = request.param
    _, module, app = APPLICATIONS[application]
    pytest.importorskip(module, reason=f"not run: {application} is not installed")
    assert server.version
    folder = tmp_path_factory.mktemp("site")
    record = folder / "record"
    record.touch()
    with serving(server, f"acceptance.conformance.apps.{app}:app", folder, {RECORD: str(record)}) as running:
        yield Site(application, running, record)


@pytest.fixture(autouse=True)
def nothing_decided_before(site: Site) -> None:
    site.reasons()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-matrix", action="store_true", help="write the tables of docs/frameworks.md")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" or report.outcome != "passed":
        MATRIX.add(report.nodeid, report.outcome)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.getoption("--write-matrix", default=False):
        MATRIX.write()
