"""How long a request says that its body is (threats T043, T047)."""

from hmac_guard.core.request import Request
from hmac_guard.core.verdict import Reason

#: The most that a length may have: nobody counts further.
DIGITS = 18


def framing_problem(request: Request) -> Reason | None:
    """`bad_framing` where the request says it in two ways, or in none that can be read. A blank length is none."""
    lengths = request.header("content-length")
    if not lengths or (lengths[0] == "" and len(lengths) == 1):
        return None
    length = lengths[0]
    readable = len(lengths) == 1 and len(length) <= DIGITS and length.isascii() and length.isdigit()
    return None if readable and not request.header("transfer-encoding") else Reason.BAD_FRAMING


def announced_length(request: Request) -> int | None:
    """How long the body is, where the request says it; for one without a framing problem."""
    lengths = request.header("content-length")
    return int(lengths[0]) if lengths and lengths[0] else None
