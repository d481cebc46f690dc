"""Checks that the wire suite finds each problem. Needs no server."""

import json
from typing import Any

import pytest

from acceptance.wire.exchange import Ask, Outcome
from acceptance.wire.problems import problems_of
from acceptance.wire.reach import Reach


def reach(**more: Any) -> Reach:
    plain: dict[str, Any] = {
        "guard": "all",
        "path": "/after",
        "root": "",
        "query": "",
        "headers": [],
        "length": None,
        "body": "",
    }
    return Reach.of(json.dumps({**plain, "reason": "exempt", "ids": {}, **more}))


@pytest.mark.parametrize("path", ["/admin", "/admin\n", "//admin", "admin", "http://h/admin", "/admin/", "/api/admin"])
def test_a_path_that_some_router_takes_for_a_guarded_one_never_goes_unsigned(path: str) -> None:
    for guard in ("all", "exempt", "only", "body"):
        assert not reach(guard=guard, path=path, root="/api").may_go_unsigned()


@pytest.mark.parametrize("path", ["/health", "/static/", "/static/x.txt", "/api/health"])
def test_an_exempt_path_goes_unsigned_where_it_is_exempt(path: str) -> None:
    goes = [
        guard for guard in ("all", "exempt", "body") if reach(guard=guard, path=path, root="/api").may_go_unsigned()
    ]

    assert goes == ["exempt"]


@pytest.mark.parametrize(
    "path", ["/health\n", "/health/", "//health", "/HEALTH", "/health;x", "/static/../x", "/static//x", "/other"]
)
def test_what_stands_near_to_an_exempt_path_does_not(path: str) -> None:
    assert not reach(guard="exempt", path=path).may_go_unsigned()


def verified(**more: Any) -> Reach:
    return reach(**{"guard": "body", "reason": "verified", "ids": {"id": "own"}, "query": "a=own", **more})


DOCUMENT = b'{"id": "own"}'
ASK = Ask(b"", "body", signed=frozenset(["own"]), document=DOCUMENT)
SENT = {"body": DOCUMENT.decode(), "length": str(len(DOCUMENT))}


@pytest.mark.parametrize(
    "more",
    [
        {"reason": "exempt", "ids": {}},
        {"ids": {"id": "other"}, "query": "a=other"},
        {"query": "a=own&a=other"},
        {"query": "a=own&%61=other"},
        {"headers": [["x_id", "other"]]},
        {"headers": [["x-id", "own"], ["x-id", "other"]]},
        {"headers": [["cookie", "b=1, a=other"]]},
        {"path": "/p/other/c"},
        {"body": '{"id": "own"} '},
        {"body": '{"id": "own"'},
        {"length": "12"},
        {"length": None},
    ],
    ids=str,
)
def test_a_difference_between_what_was_verified_and_what_is_read_is_a_problem(more: dict[str, Any]) -> None:
    assert problems_of(ASK, Outcome(200, "kept", reached=[verified(**SENT)]), 200) == []
    assert problems_of(ASK, Outcome(200, "kept", reached=[verified(**{**SENT, **more})]), 200) != []


def test_a_connection_that_hangs_is_a_problem_and_so_is_an_answer_that_only_the_guard_gives() -> None:
    assert problems_of(ASK, Outcome(None, "closed"), 200) == []
    assert problems_of(ASK, Outcome(500, "closed"), 500) == []
    assert problems_of(ASK, Outcome(500, "closed"), 200) != []
    assert problems_of(ASK, Outcome(None, "hangs"), None) != []
