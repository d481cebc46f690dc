"""Private databases on free ports, which faults happen to."""

import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from ports import LOCAL, own_port
from sqlalchemy import NullPool, create_engine, text
from waiting import TIMEOUT, becomes_true

from acceptance.chaos.app import TABLE
from hmac_guard.keys import SqlKeys

TENANTS = 1_000
#: Each tenant's secret is this and its number.
SECRET = "a secret that is long enough, of tenant {}"


def programs(name: str) -> str:
    """The path of a program of PostgreSQL or MariaDB, which may not be among those that a shell finds."""
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))
    path = found[-1] if found else shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/bin")
    return path or pytest.skip(f"not run: there is no {name}")


class Server:
    """A server that is a tree of processes, in its own folder. The application has its own user there."""

    url: str
    app_url: str

    def __init__(self, folder: Path, port: int, *, host: str = LOCAL, within: Sequence[str] = ()) -> None:
        self.folder, self.port, self.host, self._within = folder, port, host, within
        self.output = folder / "output"
        self._user: Any = None
        if os.geteuid() == 0:
            self._user = "postgres" if "postgres" in {each.pw_name for each in pwd.getpwall()} else "nobody"
            shutil.chown(folder, self._user)
        self.prepare()
        self.start()

    def prepare(self) -> None:
        """Make the files of an empty database."""

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        with self.output.open("ab") as out:
            command = [*self._within, *self.as_user(self.command())]
            self.process = subprocess.Popen(command, stdout=out, stderr=out, cwd=self.folder)
        assert becomes_true(self.answers), self.output.read_text(errors="replace")[-2000:]

    def as_user(self, command: list[str]) -> list[str]:
        """PostgreSQL does not run as root."""
        return ["setpriv", f"--reuid={self._user}", "--clear-groups", *command] if self._user else command

    def answers(self) -> bool:
        engine = create_engine(self.url, poolclass=NullPool)
        with suppress(Exception), engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            return True
        return False

    def run(self, *command: str) -> None:
        subprocess.run(self.as_user(list(command)), check=True, capture_output=True, cwd=self.folder)

    def tree(self) -> list[int]:
        """The processes, the first one first."""
        parents = {}
        for stat in glob.glob("/proc/[0-9]*/stat"):
            with suppress(OSError):
                fields = Path(stat).read_text().rpartition(")")[2].split()
                parents[int(stat.split("/")[2])] = int(fields[1])
        found = [self.process.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found

    def signal(self, number: int) -> None:
        for _ in range(2):  # One that was just born is found the second time.
            for pid in self.tree():
                with suppress(ProcessLookupError):
                    os.kill(pid, number)

    def freeze(self) -> None:
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.process.wait(TIMEOUT)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(TIMEOUT)

    def sql(self, *statements: str) -> None:
        engine = create_engine(self.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))
        engine.dispose()

    def fill(self) -> None:
        """The table, and the tenants."""
        engine = create_engine(self.url)
        keys = SqlKeys(engine, table=TABLE)
        keys.create_table()
        for number in range(TENANTS):
            keys.add(f"tenant-{number}", SECRET.format(number), key_id="first")
        engine.dispose()
        self.sql(*self.grants)

    grants: tuple[str, ...] = ()


class Postgres(Server):
    @property
    def url(self) -> str:  # type: ignore[override]
        return f"postgresql+psycopg://postgres@{self.host}:{self.port}/postgres"

    grants = ("CREATE ROLE app LOGIN", "GRANT SELECT ON ALL TABLES IN SCHEMA public TO app")

    @property
    def app_url(self) -> str:  # type: ignore[override]
        return self.url.replace("postgres@", "app@")

    def prepare(self) -> None:
        self.run(programs("initdb"), "-D", str(self.folder / "data"), "-U", "postgres", "--auth=trust", "--no-sync")
        (self.folder / "data/pg_hba.conf").write_text("host all all 0.0.0.0/0 trust\n")

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": self.host,
            "unix_socket_directories": "",
            "fsync": "off",
            "synchronous_commit": "off",
            "max_connections": "100",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [programs("postgres"), "-D", str(self.folder / "data"), "-p", str(self.port), *options]

    def start(self) -> None:
        (self.folder / "data/postmaster.pid").unlink(missing_ok=True)
        super().start()


class MariaDB(Server):
    @property
    def url(self) -> str:  # type: ignore[override]
        return f"mysql+pymysql://root@{self.host}:{self.port}/test"

    @property
    def app_url(self) -> str:  # type: ignore[override]
        return self.url

    def prepare(self) -> None:
        data = f"--datadir={self.folder / 'data'}"
        self.run(programs("mariadb-install-db"), "--no-defaults", data, "--auth-root-authentication-method=normal")

    def command(self) -> list[str]:
        return [
            programs("mariadbd"),
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            f"--port={self.port}",
            f"--bind-address={self.host}",
            f"--socket={self.folder / 'socket'}",
            "--innodb-flush-log-at-trx-commit=0",
        ]

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(TIMEOUT)


@contextmanager
def own(kind: type[Server], **options: Any) -> Iterator[Any]:
    """A server of that kind, with the tenants."""
    with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as folder, own_port() as port:
        Path(folder).chmod(0o755)
        server = kind(Path(folder), port, **options)
        try:
            server.fill()
            yield server
        finally:
            server.thaw()
            server.kill()
