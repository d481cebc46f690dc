"""The rows of the fork matrix: a server, an option and a resolver. Each sends requests, and counts the answers."""

import http.client
import math
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from databases import REDIS, database_of, needs
from servers import Running, Server, serving
from waiting import TIMEOUT

from acceptance.forks.app import CHANGED, SCHEME, TENANTS, tenant
from hmac_guard.keys import RedisInvalidation

WORKERS, CLIENTS, REQUESTS = 2, 8, 600
#: Requests after which a worker ends, with `--max-requests`.
MAX_REQUESTS_OF_A_WORKER = 100
#: Seconds for which requests are sent after a change, and within which each worker has to use it.
LISTEN, MAX_DELAY = 2.0, 1.0
#: Seconds until the test gives up. A worker that is replaced takes a while to start on a busy machine.
LONGEST = 10.0
#: How the names of tenants begin that have no keys, and what the log says where no thread of the package runs.
UNKNOWN = "unknown"
SAID = "uWSGI runs no threads"

#: A uWSGI before 2.0.27, which runs no thread of Python's unless `enable-threads` is set.
OLD_UWSGI = os.environ.get("HMAC_GUARD_OLD_UWSGI", "")

_GUNICORN = f"gunicorn --bind 127.0.0.1:{{port}} --no-control-socket --workers {WORKERS} --worker-class "
_UWSGI = f"--http-socket 127.0.0.1:{{port}} --master --die-on-term --need-app --processes {WORKERS}"


@dataclass(frozen=True)
class Kind:
    """A server: the command, and what it adds for each option. It loads the application before the fork or after."""

    name: str
    distribution: str
    command: str
    before: str
    after: str
    max_requests: str


def _gunicorn(name: str, workers: str) -> Kind:
    return Kind(name, "gunicorn", _GUNICORN + workers, " --preload {app}", " {app}", " --max-requests")


def _uwsgi(name: str, words: str, program: str = "uwsgi") -> Kind:
    command = f"{program} {_UWSGI}{words}"
    return Kind(name, "uwsgi", command, " --module {app}", " --lazy-apps --module {app}", " --max-requests")


KINDS = [
    _gunicorn("gunicorn sync", "sync"),
    _gunicorn("gunicorn gthread", "gthread --threads 4"),
    _gunicorn("gunicorn gevent", "gevent"),
    _uwsgi("uwsgi", ""),
    _uwsgi("uwsgi --threads 4", " --threads 4"),
    _uwsgi("uwsgi 2.0.26", f" --virtualenv {sys.prefix}", OLD_UWSGI or "uwsgi-2.0.26"),
]
RESOLVERS = {"sql": "SqlKeys", "cached": "CachedKeys, RedisInvalidation", "files": "FileKeys"}
OPTIONS = ["after", "before", "before, HUP", "after, HUP", "before, max-requests", "after, max-requests"]


@dataclass(frozen=True)
class Row:
    kind: Kind
    option: str
    resolver: str

    @property
    def id(self) -> str:
        return f"{self.kind.name}-{self.option}-{self.resolver}"

    @property
    def server(self) -> Server:
        kind = self.kind
        command = kind.command
        if "max-requests" in self.option:
            command += f"{kind.max_requests} {MAX_REQUESTS_OF_A_WORKER}"
        command += kind.before if self.option.startswith("before") else kind.after
        return Server(kind.name, "wsgi", kind.distribution, command)


ROWS = [Row(kind, option, resolver) for kind in KINDS for option in OPTIONS for resolver in RESOLVERS]


class Store:
    """Where the keys of a row are, and how one of them is changed."""

    def __init__(self, row: Row, folder: Path, database: Any) -> None:
        self.secrets = {tenant(number): f"secret-of-{tenant(number)}-{'x' * 16}" for number in range(TENANTS)}
        self._files = folder / "secrets"
        self._row = row
        self._changes = 0
        redis = REDIS.render_as_string(hide_password=False)
        self.environ = {"FORKS_RESOLVER": row.resolver, "FORKS_FILES": str(self._files), "FORKS_REDIS": redis}
        if row.option.startswith("before"):
            self.environ["FORKS_USED"] = "1"
        if row.resolver == "files":
            self._files.mkdir()
            for name, secret in self.secrets.items():
                (self._files / name).write_text(secret)
            return
        self._news = RedisInvalidation(redis, database.table)
        self._keys = database.keys(on_change=self._news.publish)
        for name, secret in self.secrets.items():
            self._keys.add(name, secret)
        url = database.url.render_as_string(hide_password=False)
        self.environ |= {"FORKS_DATABASE": url, "FORKS_TABLE": database.table}

    def change(self) -> None:
        """Give one tenant another secret, and end the one before."""
        self._changes += 1
        secret = self.secrets[CHANGED] = f"secret-{self._changes}-{'y' * 16}"
        if self._row.resolver == "files":
            (self._files / "new").write_text(secret)
            (self._files / "new").rename(self._files / CHANGED)
            return
        ids = [key.id for key in self._keys.list(CHANGED)]
        self._keys.add(CHANGED, secret)
        for key_id in ids:
            self._keys.retire(CHANGED, key_id)

    def close(self) -> None:
        if self._row.resolver != "files":
            self._news.close()


class Answer(NamedTuple):
    """What was asked for, when it was sent, the status (0: none) and the process that answered."""

    tenant: str
    sent: float
    status: int
    pid: int


@dataclass
class Outcome:
    """How a row went. `heard`: seconds until each worker used a changed key; infinity where one did not."""

    answers: list[Answer]
    heard: float
    workers: set[int]
    log: str

    def count(self, status: int) -> int:
        return sum(answer.status == status for answer in self.answers)

    @property
    def refused(self) -> int:
        """How many requests of tenants with keys were refused."""
        return sum(answer.status == 401 and not answer.tenant.startswith(UNKNOWN) for answer in self.answers)

    @property
    def faults(self) -> list[Answer | str]:
        """The answers that are not as they have to be; and whether a worker did not hear in time."""
        wrong = [answer for answer in self.answers if answer.status != _expected(answer.tenant)]
        is_deaf = self.heard > MAX_DELAY and not self.reason
        return [*wrong, *([f"heard after {self.heard} s"] if is_deaf else [])]

    @property
    def reason(self) -> str:
        """The line of the log that says why no thread of the package runs."""
        return next((line for line in self.log.splitlines() if SAID in line), "")


def _expected(name: str) -> int:
    return 401 if name.startswith(UNKNOWN) else 200


class Client:
    def __init__(self, running: Running, store: Store) -> None:
        self._running = running
        self._store = store
        self._unknown = count()

    def ask(self, name: str) -> Answer:
        secret = self._store.secrets.get(name, "secret-of-no-tenant")
        sent = time.monotonic()
        url = f"http://127.0.0.1:{self._running.port}/?a=x&t={name}&sig={SCHEME.sign(secret, a='x')}"
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT) as found:
                return Answer(name, sent, found.status, int(found.headers["X-Pid"]))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(name, sent, error.code, int(error.headers["X-Pid"] or 0))
        except (OSError, http.client.HTTPException):
            return Answer(name, sent, 0, 0)

    def load(self, requests: int) -> list[Answer]:
        """Requests of all tenants, and of some that are made up, from several clients at once."""
        names = [
            tenant(number % TENANTS) if number % 10 else f"{UNKNOWN}-{next(self._unknown)}"
            for number in range(1, requests + 1)
        ]
        with ThreadPoolExecutor(CLIENTS) as pool:
            return list(pool.map(self.ask, names))

    def until(self, enough: Callable[[list[Answer]], bool], seconds: float = TIMEOUT) -> list[Answer]:
        """Ask for the tenant that is changed, until there are enough answers, for so many seconds at most."""
        answers: list[Answer] = []
        end = time.monotonic() + seconds
        with ThreadPoolExecutor(CLIENTS) as pool:
            while not enough(answers) and time.monotonic() < end:
                answers += pool.map(self.ask, [CHANGED] * CLIENTS)
                time.sleep(0.01)
        return answers

    def reload(self) -> list[Answer]:
        """Have the server start other workers, while requests come."""
        before = {answer.pid for answer in self.until(_from_all)}
        os.kill(self._running.pid, signal.SIGHUP)

        def are_others(answers: list[Answer]) -> bool:
            latest = {answer.pid for answer in answers[-4 * CLIENTS :]}
            return not latest & before and len(latest) >= WORKERS

        answers = self.until(are_others)
        assert are_others(answers), f"no other workers: {self._running.printed()[-2000:]}"
        return answers


def _from_all(answers: list[Answer]) -> bool:
    return len({answer.pid for answer in answers if answer.status == 200}) >= WORKERS


def run_once(row: Row, folder: Path, requests: int = REQUESTS) -> Outcome:
    with ExitStack() as stack:
        database = stack.enter_context(database_of("postgresql+psycopg", folder))
        needs(REDIS, "Redis")
        store = Store(row, folder, database)
        stack.callback(store.close)
        running = stack.enter_context(serving(row.server, "acceptance.forks.app:application", folder, store.environ))
        client = Client(running, store)
        answers = client.load(requests)
        if "HUP" in row.option:
            answers += client.reload()
            answers += client.load(requests)
        answers += client.until(_from_all)
        changed = time.monotonic()
        store.change()

        def all_use_it(found: list[Answer]) -> bool:
            is_over = time.monotonic() > changed + LISTEN
            return is_over and _from_all([answer for answer in found if answer.sent > changed + MAX_DELAY])

        after = client.until(all_use_it, LONGEST)
        used = {answer.pid for answer in after if answer.status == 200}
        late = max((answer.sent - changed for answer in after if answer.status != 200), default=0.0)
        heard = late if all_use_it(after) else math.inf
        return Outcome(answers, heard, used, running.printed())


HEAD = f"{'server':<24}{'application, option':<24}{'keys':<32}{'requests':>9}{'200':>7}{'401':>5}{'503':>5}  heard"


def line_of(row: Row, outcome: Outcome) -> str:
    """A row of the table. 401 counts the refused requests of tenants with keys."""
    heard = f"{outcome.heard:.2f} s" if math.isfinite(outcome.heard) else outcome.reason or "no"
    numbers = f"{len(outcome.answers):>9}{outcome.count(200):>7}{outcome.refused:>5}{outcome.count(503):>5}"
    return f"{row.kind.name:<24}{row.option:<24}{RESOLVERS[row.resolver]:<32}{numbers}  {heard}"
