"""Counts the guard's share of the instructions of one whole request, through a framework on a real server.

Wall time is not measured: on a shared machine, it differs by more than a guard costs.
"""

import http.client
import socket
import time

from benchmarks import valgrind
from benchmarks.harness import Result
from benchmarks.samples import FORGED, Sample, by_query

#: Requests before and after the warm-up. What their counts differ by is the cost of the requests between.
FEW, MANY = 50, 350
_UVICORN = ("uvicorn", "--no-access-log", "--log-level=critical", "--http=h11", "--loop=asyncio", "--fd={fd}")
_WORKER = ("--worker-class=gthread", "--threads=1", "--timeout=0", "--keep-alive=75")
_GUNICORN = ("gunicorn", "--log-level=critical", *_WORKER, "--bind=fd://{fd}")
SERVERS = {
    "FastAPI on uvicorn": (_UVICORN, "fastapi"),
    "Flask on gunicorn": (_GUNICORN, "flask"),
    "Django on gunicorn": (_GUNICORN, "django_wsgi"),
    "Django on uvicorn": (_UVICORN, "django_asgi"),
}


def run(rounds: int) -> Result:
    """Count, by valgrind; two counts of a request differ by less than 1 % of it."""
    if not valgrind.is_there():
        print("not run: valgrind is not installed (Debian: apt-get install valgrind)")
        return {}
    result: Result = {}
    for name, (command, framework) in SERVERS.items():
        bare, guarded = (_instructions(command, framework, how) for how in ("bare", "guarded"))
        added = guarded - bare
        result[name] = {"bare": bare, "guarded": guarded, "the guard": added, "share": added / guarded}
    return result


def _instructions(command: tuple[str, ...], framework: str, how: str) -> float:
    """Return the instructions of one request, on a connection that stays open."""
    # The first start compiles modules.
    _count(command, framework, how, 1)
    few, many = (_count(command, framework, how, requests) for requests in (FEW, MANY))
    return (many - few) / (MANY - FEW)


def _count(command: tuple[str, ...], framework: str, how: str, requests: int) -> int:
    path = "/async/connect" if framework == "django_asgi" else "/connect"
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        words = [word.format(fd=listening.fileno()) for word in (*command, f"benchmarks.served_apps:{framework}_{how}")]
        with valgrind.counted_server(*words, pass_fds=[listening.fileno()]) as counted:
            host, port = listening.getsockname()
            connection = http.client.HTTPConnection(host, port, timeout=600)
            # The system accepts the connection before the server is ready. So the first request waits for its start.
            assert _status(connection, path, by_query(FORGED)) == (200 if how == "bare" else 401), framework
            for _ in range(requests):
                assert _status(connection, path, by_query()) == 200, framework
            connection.close()
            time.sleep(1)  # So that the worker does not end while it closes the connection.
    return counted[0]


def _status(connection: http.client.HTTPConnection, path: str, sent: Sample) -> int:
    connection.request("GET", f"{path}?{sent.query}")
    answer = connection.getresponse()
    answer.read()
    return answer.status
