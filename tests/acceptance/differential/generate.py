"""Requests without end: what a grammar makes, and in a quarter of the cases damaged once to three times."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random

from support import Sent

from acceptance.differential.grammar.beside import body_or_query
from acceptance.differential.grammar.cookie import cookie
from acceptance.differential.grammar.document import document, number
from acceptance.differential.grammar.fields import form, query, time
from acceptance.differential.grammar.header import header
from acceptance.differential.grammar.multipart import multipart
from acceptance.differential.grammar.path import path, sent_to
from acceptance.differential.grammar.raw import raw

GRAMMARS: dict[str, Callable[[Random], Sent]] = {
    "query": query,
    "header": header,
    "cookie": cookie,
    "form": form,
    "multipart": multipart,
    "json": document,
    "number": number,
    "path": path,
    "body-or-query": body_or_query,
    "raw": raw,
    "time": time,
}

#: What damage puts in, beside single bytes: what some parser gives a meaning to.
TOKENS = (
    *(
        "a",
        "=",
        "&",
        ";",
        ",",
        '"',
        "'",
        "\\",
        "%",
        "+",
        " ",
        "\t",
        "\r\n",
        "\n",
        "\r",
        "\x00",
        "\x0b",
        "\xa0",
        "\xff",
        "\x85",
    ),
    *(
        "a=2",
        "&a=2",
        ";a=2",
        "; a=2",
        ",a=2",
        ' a="2',
        '"a":"2"',
        ',"a":"2"',
        "%61",
        "%3D",
        "%26",
        "%00",
        "%0A",
        "%",
        "%ff",
    ),
    *(
        "\xc3\xa9",
        "\xef\xbb\xbf",
        "\xed\xa0\x80",
        "\xc0\xaf",
        "--",
        "--BOUND",
        "\r\n--BOUND",
        "\r\n\r\n",
        "name=",
        "filename=",
    ),
    *(
        '; name="a"',
        "; name*=utf-8''a",
        "; charset=utf-16",
        "\\u0061",
        "\\",
        "/",
        "//",
        "/../",
        "{",
        "}",
        "[",
        "]",
        "null",
        ":",
    ),
)


def requests(source: str, seed: int) -> Iterator[Sent]:
    """The same requests for the same source and seed, on every machine."""
    rng = Random(f"{source} {seed}")
    grammar = GRAMMARS[source]
    while True:
        sent = grammar(rng)
        yield _damaged(rng, sent) if rng.random() < 0.25 else sent


def _damaged(rng: Random, sent: Sent) -> Sent:
    """`sent`, damaged where the id is, or in the header that says how to read it."""
    if sent.body and (not sent.headers or rng.random() < 0.9):
        return replace(sent, body=_mutated(rng, sent.body.decode("latin-1")).encode("latin-1"))
    if sent.headers:
        index = rng.randrange(len(sent.headers))
        lines = list(sent.headers)
        lines[index] = (lines[index][0], _mutated(rng, lines[index][1]))
        return replace(sent, headers=lines)
    return replace(sent, query=_mutated(rng, sent.query)) if sent.query else sent_to(_mutated(rng, sent.raw_path))


def _mutated(rng: Random, text: str) -> str:
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randint(0, len(text))
        end = at + rng.choice((1, 2, 5, 20, 80))
        kind = rng.randrange(6)
        if kind == 0:
            text = text[:at] + text[at + 1 :]
        elif kind == 1:
            text = text[:at] + chr(rng.randrange(256)) + text[at + 1 :]
        elif kind == 2:
            text = text[:at] + text[at:end] + text[at:]
        elif kind == 3:
            text = text[:at] + text[end:]
        else:
            text = text[:at] + rng.choice(TOKENS) + text[at:]
    return text
