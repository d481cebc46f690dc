"""A body that is signed byte by byte: of each kind that a framework would parse, compressed, or of no kind."""

import gzip
import zlib
from collections.abc import Callable
from random import Random

from support import Sent

from acceptance.differential.grammar import METHODS, mostly
from acceptance.differential.grammar.document import document
from acceptance.differential.grammar.fields import form
from acceptance.differential.grammar.multipart import multipart

KINDS = (
    "application/json",
    "application/x-www-form-urlencoded",
    "text/plain; charset=utf-16",
    "application/cbor",
    "*/*",
    "",
)
COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": bytes,
    "identity": bytes,
}


def raw(rng: Random) -> Sent:
    if rng.random() < 0.6:
        sent = rng.choice((document, form, multipart))(rng)
        headers, body = list(sent.headers), sent.body
    else:
        kind = rng.choice(KINDS)
        headers = [("Content-Type", kind)] if kind else []
        body = rng.randbytes(mostly(rng, rng.randint(1, 60), (0, 1, 4095, 4096, 65_536, 65_537), 0.1))
    if rng.random() < 0.1:
        name = rng.choice(list(COMPRESSED))
        headers, body = [*headers, ("Content-Encoding", name)], COMPRESSED[name](body)
    # Each framework reads what arrives with the length; what has no length is another suite's.
    return Sent(mostly(rng, "POST", METHODS, 0.05), "/raw", headers=headers, body=body)
