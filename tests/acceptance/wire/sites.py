"""The servers of this suite, each with the application at its root and at a mount point."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from servers import SERVERS, Server, serving

from acceptance.wire.exchange import Site
from acceptance.wire.guards import RECORD

_UWSGI = "uwsgi --http-socket 127.0.0.1:{port} --master --die-on-term --threads 8 --need-app"
ON_THE_WIRE = [
    *SERVERS,
    Server("granian-wsgi", "wsgi", "granian", "granian --port {port} --interface wsgi {app}"),
    Server("uwsgi", "wsgi", "uwsgi", _UWSGI + " --module {app}"),
]
#: How each server sets a mount point. The servers that cannot set one get an application that mounts.
_MOUNTED = {
    "waitress": "waitress-serve --url-prefix=/api --listen=127.0.0.1:{port} {app}",
    "uvicorn-h11": "{command} --root-path /api",
    "uvicorn-httptools": "{command} --root-path /api",
    "hypercorn": "{command} --root-path /api",
    "daphne": "{command} --root-path /api",
    "granian": "{command} --url-path-prefix /api",
    "granian-wsgi": "{command} --url-path-prefix /api",
    "uwsgi": _UWSGI + " --manage-script-name --mount /api={app}",
}


@contextmanager
def site_of(server: Server, folder: Path, *, mounted: bool) -> Iterator[Site]:
    record = folder / "record"
    record.touch()
    environ, app = {RECORD: str(record)}, f"acceptance.wire.app:{server.interface}_app"
    if mounted and server.name.startswith("gunicorn"):
        environ["SCRIPT_NAME"] = "/api"
    elif mounted and server.name in _MOUNTED:
        server = replace(server, command=_MOUNTED[server.name].replace("{command}", server.command))
    elif mounted:
        app = "acceptance.wire.app:mounted_wsgi_app"
    with serving(server, app, folder, environ) as running:
        yield Site(running, record, mounted)
