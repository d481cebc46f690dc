"""JSONTestSuite (nst/JSONTestSuite) through the guard: what is no JSON is refused, what is JSON is read."""

import hmac
import os
from pathlib import Path

import pytest
from support import Call, Sent

from hmac_guard import Guard, Json, Query, Scheme

VECTORS = os.environ.get("HMAC_GUARD_VECTORS")
KEY = "a key that is long enough"
SIGNATURE = hmac.new(KEY.encode(), b"1", "sha256").hexdigest()
#: The id comes from the query, and the body has to be read to know that it has none.
SCHEME = Scheme(
    name="suite", ids={"id": Query("id") | Json("/no such name")}, message="{id}", signature=Query("signature")
)
#: JSON, but a key twice in one object: which value counts, no two parsers in a chain need agree on.
DUPLICATE_KEYS = {"y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"}
#: Nothing at all, which is an absent body and not a wrong one.
NOTHING = {"n_structure_no_data.json"}

pytestmark = pytest.mark.skipif(not VECTORS, reason="not run: HMAC_GUARD_VECTORS names no folder")


def accepted(call: Call, kind: str) -> dict[str, bool]:
    """Whether the guard verified a request with each of the documents of a kind ("y_", "n_" or "i_")."""
    guard = Guard(SCHEME, KEY)
    documents = sorted((Path(VECTORS or "") / "jsontestsuite" / "test_parsing").glob(f"{kind}*.json"))
    headers = [("Content-Type", "application/json")]
    return {
        path.name: call(
            guard, Sent("POST", query=f"id=1&signature={SIGNATURE}", headers=headers, body=path.read_bytes())
        ).status
        == 200
        for path in documents
    }


def test_every_json_document_is_read_but_those_with_a_key_twice(call: Call) -> None:
    verdicts = accepted(call, "y_")

    assert len(verdicts) == 95
    assert {name for name, verdict in verdicts.items() if not verdict} == DUPLICATE_KEYS


def test_no_other_document_is_read(call: Call) -> None:
    verdicts = accepted(call, "n_")

    assert len(verdicts) == 188
    assert {name for name, verdict in verdicts.items() if verdict} == NOTHING


def test_documents_that_parsers_may_take_either_way_get_a_verdict(call: Call) -> None:
    verdicts = accepted(call, "i_")

    assert len(verdicts) == 35
    assert not verdicts["i_string_UTF-16LE_with_BOM.json"]
    assert not verdicts["i_structure_UTF-8_BOM_empty_object.json"]
    assert not verdicts["i_structure_500_nested_arrays.json"]
    assert not verdicts["i_number_huge_exp.json"]
