"""The fixed requests: inputs on which frameworks were seen to differ."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from support import Sent

from acceptance.differential.grammar.ids import NOW
from acceptance.differential.grammar.path import sent_to


def cases(name: str) -> list[Any]:
    """The cases of one corpus, as they stand in its file."""
    corpus: dict[str, Any] = json.loads((Path(__file__).parent / "corpora" / f"{name}.json").read_text())
    found: list[Any] = corpus["cases"]
    return found


def fixed(source: str) -> list[Sent]:
    """The fixed requests for one source."""
    return _MAKERS[source]()


def _headers() -> list[Sent]:
    # What a server hands on: white space around a value is not part of it, a line without a colon is none.
    lines = [[line.partition(":")[::2] for line in lines if ":" in line] for _, lines in cases("wire_headers")]
    lines = [[(name, value.strip(" \t")) for name, value in case] for case in lines]
    raw = [[(name, value) for name, value in lines] for _, lines in cases("header_asgi")]
    return [Sent("GET", "/header", headers=case) for case in raw + lines]


def _forms(multipart: bool) -> list[Sent]:
    bodies = [(kind, body) for _, kind, body in cases("form_body")]
    wanted = [case for case in bodies if (case[0] or "").lower().startswith("multipart") == multipart]
    return [_with_body("/form", kind, body) for kind, body in wanted]


def _with_body(path: str, kind: str | None, body: str) -> Sent:
    headers = [] if kind is None else [("Content-Type", kind)]
    return Sent("POST", path, headers=headers, body=body.encode("latin-1"))


_MAKERS: dict[str, Callable[[], list[Sent]]] = {
    "query": lambda: [Sent("GET", "/query", query) for _, query in cases("query")],
    "header": _headers,
    "cookie": lambda: [
        Sent("GET", "/cookie", headers=[("Cookie", line) for line in lines]) for _, lines in cases("cookie")
    ],
    "form": lambda: _forms(multipart=False),
    "multipart": lambda: _forms(multipart=True),
    "json": lambda: [_with_body("/json", kind, body) for _, kind, body in cases("json_body")],
    "number": lambda: fixed("json"),
    "body-or-query": lambda: [replace(sent, query="a=1") for sent in (*_forms(False), *_forms(True), *fixed("json"))],
    "raw": lambda: [replace(sent, path="/raw") for sent in (*_forms(False), *_forms(True), *fixed("json"))],
    "time": lambda: [Sent("GET", "/query", query.replace("1", str(NOW))) for _, query in cases("query")],
    "path": lambda: [sent_to(target) for target in cases("wire_paths")],
}
