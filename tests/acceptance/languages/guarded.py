"""A guarded application on a real server, and a client that sends it signatures."""

import contextlib
import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from acceptance.languages.cases import KEYS, WHICH_KEY, Case, Plan
from serving import proven, serving
from waiting import TIMEOUT

from hmac_guard import Guard, Query, Scheme
from hmac_guard.core.source import Source

#: Sends the ids and the signature of a case to the guard of a plan. Returns the verified ids, or the status of the
#: refusal.
Send = Callable[[str, Case, str], "dict[str, str] | int"]


@contextlib.contextmanager
def guarded(plans: Mapping[str, Plan]) -> Iterator[Send]:
    """A server on a free port of the loopback interface, with one guard for each plan."""
    paths = {name: f"/{number}" for number, name in enumerate(plans)}
    guards = {
        paths[name]: Guard(plan.scheme.replace(tenant=WHICH_KEY), KEYS).wsgi(proven) for name, plan in plans.items()
    }

    def application(environ: Any, start_response: Any) -> Any:
        return guards[environ["PATH_INFO"]](environ, start_response)

    with serving(application) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)

        def send(name: str, case: Case, signature: str) -> dict[str, str] | int:
            query = urlencode(_fields(plans[name].scheme, case, signature), quote_via=quote)
            connection.request("GET", f"{paths[name]}?{query}", headers={"X-Key": case.key})
            response = connection.getresponse()
            body = response.read()
            return json.loads(body) if response.status == 200 else response.status

        with contextlib.closing(connection):
            yield send


def _fields(scheme: Scheme, case: Case, signature: str) -> dict[str, str]:
    names = [_query_name(scheme.ids[field.name]) for field in scheme.id_fields]
    return {**dict(zip(names, case.ids, strict=False)), _query_name(scheme.signature): signature}


def _query_name(source: Source) -> str:
    return next(place.name for place in source.places() if isinstance(place, Query))
