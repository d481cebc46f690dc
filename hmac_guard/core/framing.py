"""How long a request says that its body is (threats T043, T047)."""

import re

from hmac_guard.core.request import Request
from hmac_guard.core.verdict import Reason

_LENGTH = re.compile(r"[0-9]{1,18}")


def framing_problem(request: Request) -> Reason | None:
    """`bad_framing` where the request says it in two ways, or in none that can be read. A blank length is none."""
    lengths = request.header("content-length")
    if not lengths or (lengths[0] == "" and len(lengths) == 1):
        return None
    readable = len(lengths) == 1 and _LENGTH.fullmatch(lengths[0]) and not request.header("transfer-encoding")
    return None if readable else Reason.BAD_FRAMING
