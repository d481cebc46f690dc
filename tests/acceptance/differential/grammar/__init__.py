"""What a client may send, odd corners first: one module for each source, made of a random generator.

Text is latin-1 throughout, one character for each byte. About half of what is made is meant to be accepted: a property
over refused requests alone would say nothing.
"""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

from support import Sent

T = TypeVar("T")


def mostly(rng: Random, usual: T, odd: Sequence[T], share: float = 0.1) -> T:
    """`usual`, and in `share` of the cases one of `odd`."""
    return rng.choice(odd) if rng.random() < share else usual


def latin(text: str) -> str:
    """The UTF-8 bytes of `text`, one character for each."""
    return text.encode("utf-8", "surrogatepass").decode("latin-1")


METHODS = ("PUT", "PATCH", "DELETE", "GET")
OTHER_LINES = (
    *(
        ("Content-Encoding", "identity"),
        ("Content-Encoding", "gzip"),
        ("Content-Encoding", ""),
        ("Content_Type", "text/plain"),
    ),
    *(
        ("Content-Type", "text/plain"),
        ("Content-Disposition", 'form-data; name="a"'),
        ("Content-Transfer-Encoding", "base64"),
    ),
    *(
        ("X-HTTP-Method-Override", "GET"),
        ("Accept-Charset", "utf-16"),
        ("Accept-Encoding", "gzip"),
        ("Content_Type", "application/json"),
    ),
)


def with_body(rng: Random, path: str, kind: str, text: str) -> Sent:
    """A request with a body of the media type `kind`."""
    lines = [("Content-Type", kind)]
    if rng.random() < 0.05:
        lines.insert(rng.randint(0, 1), rng.choice(OTHER_LINES))
    return Sent(mostly(rng, "POST", METHODS, 0.03), path, headers=lines, body=text.encode("latin-1"))
