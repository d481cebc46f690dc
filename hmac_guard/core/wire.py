"""How the express lane looks at a request: each door has its own way, so that a plain request is read off what the
server handed over."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

#: Gives a value a name by which the source text of a reader calls it.
Name = Callable[[object], str]


class Wire(NamedTuple):
    """How a reader looks at a request: source text over the variable `request`.

    `method`, `path`, `query`  expressions, of text as in `Request`
    `headers`  lines that look for headers (by the variables that they go to; in lower case): a variable stays None
               where there is no line, and the request is not plain where there are two, under any spelling
    `values`   what the text calls by name
    `body`, `document`  expressions, of the bytes of the body and of the JSON document in it; blank where none is read
    """

    method: str
    path: str
    query: str
    headers: Callable[[Mapping[str, str], Name], Iterable[str]]
    values: Mapping[str, object] = MappingProxyType({})
    body: str = ""
    document: str = ""


def _ask_for_headers(wanted: Mapping[str, str], name: Name) -> Iterator[str]:
    for line, header in wanted.items():
        yield f"lines = request.header({name(header)})"
        yield "if lines:"
        yield "    if len(lines) > 1: return None"
        yield f"    {line} = lines[0]"


#: Any `Request`.
REQUEST = Wire(
    "request.method",
    "request.path",
    "request.query",
    _ask_for_headers,
    body="request.body",
    document="request.json_document()",
)
