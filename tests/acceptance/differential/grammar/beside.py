"""The id in the query, and a body beside it: of a type that the guard reads, leaves alone or refuses."""

from random import Random

from support import Sent

from acceptance.differential.grammar import mostly
from acceptance.differential.grammar.document import document
from acceptance.differential.grammar.fields import fields, form
from acceptance.differential.grammar.multipart import multipart

#: The guard takes a body of these for an absent one.
LEFT_ALONE = (
    "application/octet-stream",
    "image/png",
    "image/svg+xml",
    "audio/mpeg",
    "video/mp4; codecs=avc1",
    "font/woff2",
    "application/pdf",
    "text/csv; charset=utf-8",
    "application/zip",
    "application/gzip",
    "application/x-tar",
    "application/x-7z-compressed",
    "IMAGE/PNG",
    "Application/Octet-Stream",
    "image/*",
)
#: Some framework reads a body of one of these by itself, or one is near to a type that it reads.
ODD = (
    "*/*",
    "application/*",
    "multipart/*",
    "text/plain",
    "text/plain; charset=utf-8",
    "application/json-rpc",
    "application/jsonrequest",
    "application/x-json",
    "application/x-url-encoded",
    "application/x-www-form-urlencoded-x",
    "multipart/mixed; boundary=BOUND",
    "multipart/related; boundary=BOUND",
    "MULTIPART/FORM-DATA; boundary=BOUND",
    "multipart/form-data",
    "text/json",
    "text/html",
    "text/javascript",
    "text/x-json",
    "application/javascript",
    "application/csp-report",
    "application/x-ndjson",
    "application/msgpack",
    "application/yaml",
    "application/xml",
    "image/svg+json",
    "image/json",
    "audio/x+json",
    "image/png, application/json",
    "image/png;",
    "image/png; boundary=BOUND",
    "image",
    "application/octet-stream; charset=utf-16",
    "application/octet-stream\t",
    "json",
    "",
)
#: What a file begins with; behind some of it a lenient parser still finds a document.
STARTS = (
    "\x89PNG\r\n",
    "%PDF-1.7\n",
    "PK\x03\x04",
    "GIF89a",
    "\x00",
    "\xef\xbb\xbf",
    "\xff\xfe",
    " \n",
    "\x0b",
    "&",
    "x=",
)


def body_or_query(rng: Random) -> Sent:
    sent = rng.choice((document, form, multipart))(rng)
    body = b"" if rng.random() < 0.1 else sent.body
    if rng.random() < 0.4:
        body = rng.choice(STARTS).encode("latin-1") + body
    kind = mostly(rng, rng.choice(LEFT_ALONE), ODD, 0.4) if rng.random() < 0.7 else sent.headers[0][1]
    query = mostly(rng, fields(rng), ("", "b=1"), 0.1)
    return Sent(sent.method, rng.choice(("/json", "/form")), query, [("Content-Type", kind)], body)
