"""One tiny application for each framework: a route for each source, which reads the id as a user of it would.

The routes are `/query`, `/header`, `/cookie`, `/form`, `/json` and `/p/{a}/c`; the id is called `a`, and `X-Sig` in
headers. `/raw` reads the body as bytes.
"""

import json
from typing import Any

#: A body may come with any of these.
BODY_METHODS: Any = ["POST", "PUT", "PATCH", "DELETE", "GET"]


def reply_of_bytes(value: bytes) -> str:
    """The reply with the bytes that a view has read."""
    return reply_of(value.decode("latin-1"))


def reply_of(value: object) -> str:
    """The reply that says what a view has read: nothing, a text, a number, or something else."""
    if value is None:
        return json.dumps({"absent": ""})
    kind = {str: "read", int: "number"}.get(type(value), "other")
    return json.dumps({kind: str(value)})
