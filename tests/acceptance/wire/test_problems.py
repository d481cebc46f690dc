"""Checks that the wire suite finds each problem. Needs no server."""

import json
from typing import Any

import pytest

from acceptance.wire.exchange import Ask, Outcome
from acceptance.wire.guards import ITEMS, NOW, OWN_HEADERS
from acceptance.wire.problems import problems_of
from acceptance.wire.reach import Message, Reach, digest_of


def reach(**more: Any) -> Reach:
    plain: dict[str, Any] = {
        "guard": "all",
        "path": "/after",
        "root": "",
        "query": "",
        "headers": [],
        "length": None,
        "body": "",
        "digest": digest_of(b""),
    }
    return Reach.of(json.dumps({**plain, "reason": "exempt", "ids": {}, "signed_at": None, **more}))


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


BODY = b'{"event": "own"}'
OLD = NOW - 301
WEBHOOK = Ask(
    b"",
    OWN_HEADERS,
    "POST",
    messages=frozenset(Message("own", str(time), digest_of(BODY)) for time in (NOW, OLD, f"0{NOW}")),
)
STRIPE = Ask(b"", ITEMS, "POST", messages=frozenset([Message("", str(NOW), digest_of(BODY))]))


def webhook(**more: Any) -> Reach:
    headers = [["webhook-id", "own"], ["webhook-timestamp", str(NOW)]]
    sent = {"body": BODY.decode(), "length": str(len(BODY)), "digest": digest_of(BODY), "headers": headers}
    return verified(**{**sent, "guard": OWN_HEADERS, "ids": {"message_id": "own"}, "signed_at": NOW, **more})


def items(*lines: str, **more: Any) -> Reach:
    return webhook(guard=ITEMS, ids={}, headers=[["stripe-signature", line] for line in lines], **more)


def own_headers(*headers: tuple[str, object]) -> list[list[str]]:
    return [[name, str(value)] for name, value in headers]


@pytest.mark.parametrize(
    "more",
    [
        {"reason": "exempt"},
        {"digest": digest_of(b"another")},
        {"length": "2"},
        {"length": None},
        {"ids": {"message_id": "other"}},
        {"signed_at": OLD},
        {"signed_at": None},
        {"headers": own_headers(("webhook-id", "other"), ("webhook-timestamp", NOW)), "ids": {"message_id": "other"}},
        {"headers": own_headers(("webhook-id", "own"), ("webhook-timestamp", NOW - 1)), "signed_at": NOW - 1},
        {"headers": own_headers(("webhook-id", "own"), ("webhook-timestamp", OLD)), "signed_at": OLD},
        {"headers": own_headers(("webhook-id", "own"), ("webhook-timestamp", f"0{NOW}"))},
        {"headers": own_headers(("webhook-id", "own"), ("webhook-id", "other"), ("webhook-timestamp", NOW))},
        {"headers": own_headers(("webhook-id", "own"), ("webhook-timestamp", NOW), ("webhook_timestamp", OLD))},
        {"headers": own_headers(("webhook-id", "own"))},
    ],
    ids=str,
)
def test_a_webhook_of_which_a_part_was_not_signed_is_a_problem(more: dict[str, Any]) -> None:
    assert problems_of(WEBHOOK, Outcome(200, "kept", reached=[webhook()]), 200) == []
    assert problems_of(WEBHOOK, Outcome(200, "kept", reached=[webhook(**more)]), 200) != []


@pytest.mark.parametrize(
    "lines",
    [
        [f"t={NOW},t={OLD},v1=a"],
        [f"t={OLD},t={NOW},v1=a"],
        [f"t={NOW},v1=a, t={OLD}"],
        [f"t={NOW},v1=a", f"t={OLD}"],
        ["v1=a"],
    ],
    ids=str,
)
def test_a_time_among_the_items_that_was_not_signed_is_a_problem(lines: list[str]) -> None:
    assert problems_of(STRIPE, Outcome(200, "kept", reached=[items(f"v1=a,t={NOW}")]), 200) == []
    assert problems_of(STRIPE, Outcome(200, "kept", reached=[items(*lines)]), 200) != []
