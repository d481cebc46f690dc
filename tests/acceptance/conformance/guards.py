"""The guards that every application of this suite has, and the answer of its endpoints.

`/orders` is behind a guard that also reads bodies, `/upload` behind one that reads none, `/hook` behind one that
verifies the raw body, `/bare` behind none.
"""

import hashlib
import os
from typing import Any

from orders import KEY, ORDERS

from hmac_guard import Claim, Guard, Query, Scheme, Verdict

#: Names the file to which each verdict's reason is added.
RECORD = "HMAC_GUARD_TEST_RECORD"
#: The most bytes that the guard of `/orders` reads.
LIMIT = 4096
METHODS = ["GET", "HEAD", "POST", "PUT"]
PIECE = 65_536


def _record(verdict: Verdict, claim: Claim) -> None:
    if RECORD in os.environ:
        with open(os.environ[RECORD], "a") as record:
            record.write(f"{verdict.reason.value}\n")


ORDERS_GUARD = Guard(ORDERS, KEY, only=("/orders", "/live"), max_body=LIMIT, on_verdict=_record)
UPLOAD_GUARD = Guard(
    Scheme(name="upload", ids={"upload": Query("upload")}, message="{upload}", signature=Query("sig")),
    KEY,
    only=("/upload",),
    annotate_as="upload",
)
HOOK = Scheme(name="hook", ids={"hook": Query("hook")}, message="{hook}.{@body}", signature=Query("sig"))
#: As much as GitHub sends.
MAX_HOOK_BYTES = 26_214_400
HOOK_GUARD = Guard(HOOK, KEY, only=("/hook",), annotate_as="hook", max_body=MAX_HOOK_BYTES)
GUARDS = {"/orders": ORDERS_GUARD, "/upload": UPLOAD_GUARD, "/hook": HOOK_GUARD}


class BodyReport:
    """The answer of an endpoint: the ids, and the size and digest of the body that it reads in pieces."""

    def __init__(self) -> None:
        self._size = 0
        self._digest = hashlib.sha256()

    def read(self, piece: bytes) -> None:
        self._size += len(piece)
        self._digest.update(piece)

    def answer(self, verdict: Verdict | None = None) -> dict[str, Any]:
        return {
            "ids": None if verdict is None else dict(verdict.ids),
            "size": self._size,
            "sha256": self._digest.hexdigest(),
        }
