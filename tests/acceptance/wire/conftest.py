"""Each server is started twice, at its root and at a mount point, for all that is sent to it."""

from collections.abc import Iterator

import pytest
from servers import Server

from acceptance.wire.exchange import Site
from acceptance.wire.golden import Golden
from acceptance.wire.sites import ON_THE_WIRE, site_of


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-golden", action="store_true", help="write what the servers do to tests/acceptance/wire/golden"
    )


@pytest.fixture(scope="session", params=ON_THE_WIRE, ids=lambda server: server.name)
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.param
    assert found.version
    return found


@pytest.fixture(scope="session")
def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site_of(server, tmp_path_factory.mktemp("root"), mounted=False) as found:
        yield found


@pytest.fixture(scope="session")
def mounted(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site_of(server, tmp_path_factory.mktemp("mounted"), mounted=True) as found:
        yield found


@pytest.fixture(scope="session")
def golden(server: Server, request: pytest.FixtureRequest) -> Iterator[Golden]:
    """The recorded behaviour of the server. With `--write-golden`, the file is written again at the end."""
    found = Golden(server.name)
    yield found
    if request.config.getoption("--write-golden", default=False):
        found.write(server.version)
