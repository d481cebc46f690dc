"""The depth of a JSON body, counted in its text: it equals the depth of the parsed document, with any strings."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hmac_guard.core.bodies import MAX_DEPTH, _depth, parse_json
from hmac_guard.core.verdict import Refused

# Pieces that would confuse a count that does not skip strings correctly.
TEXTS = st.lists(st.sampled_from(["[", "]", "{", "}", '"', "\\", "u", "é", "[[[", '\\"', ":", ","]), max_size=6).map(
    "".join
)
LEAVES = st.one_of(TEXTS, st.integers(), st.none(), st.booleans(), st.floats(allow_nan=False, allow_infinity=False))
DOCUMENTS = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=30
)


def depth_of(node: Any) -> int:
    """The depth of a document by its definition."""
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else None
    return 0 if children is None else 1 + max(map(depth_of, children), default=0)


def is_read(body: bytes) -> bool:
    return not isinstance(parse_json(body), Refused)


@pytest.mark.without_coverage
@settings(max_examples=400, deadline=None, derandomize=True)
@given(DOCUMENTS, st.booleans(), st.sampled_from([None, 0, 2]))
def test_the_depth_of_the_text_equals_the_depth_of_the_document(
    document: Any, escaped: bool, indent: int | None
) -> None:
    body = json.dumps(document, ensure_ascii=escaped, indent=indent).encode()

    assert _depth(body) == depth_of(json.loads(body))


@pytest.mark.without_coverage
@settings(max_examples=150, deadline=None, derandomize=True)
@given(DOCUMENTS, TEXTS, st.integers(0, MAX_DEPTH + 3), st.lists(st.booleans(), min_size=70, max_size=70))
def test_at_most_sixty_four_levels_are_read(document: Any, text: str, levels: int, kinds: list[bool]) -> None:
    for in_list in kinds[:levels]:
        document = [document, text] if in_list else {text: document}

    assert is_read(json.dumps(document).encode()) == (depth_of(document) <= MAX_DEPTH)


@pytest.mark.parametrize(
    ("body", "depth"),
    [
        (b"1", 0),
        (b'"[[["', 0),
        (b"[]", 1),
        (rb'["\\",["\"[",{}]]', 3),
        (rb'["\\\\\"[[", "\\\\",[1]]', 2),
        (rb'{"\\":{"\"":[]}}', 3),
        ('["\u3042[", "\\u005b", []]'.encode(), 2),
    ],
)
def test_brackets_in_strings_and_after_escapes_do_not_count_as_levels(body: bytes, depth: int) -> None:
    assert depth_of(json.loads(body)) == depth
    assert _depth(body) == depth


@pytest.mark.parametrize(
    "level", [(b"[", b"]"), (b'{"a":', b"}"), (b'{"[":', b"}"), (rb'["\\",', b"]"), (rb'["\"",', b"]")], ids=repr
)
def test_the_sixty_fifth_level_is_refused_in_every_spelling(level: tuple[bytes, bytes]) -> None:
    before, after = level
    fits, deeper = (before * levels + b'"["' + after * levels for levels in (MAX_DEPTH, MAX_DEPTH + 1))

    assert is_read(fits)
    assert not is_read(deeper)
    # One deep place among many shallow ones is found at any position.
    for body in (deeper + b",[]", b"[],[]," + deeper):
        assert not is_read(b"[" + body + b"]")


@pytest.mark.parametrize(("levels", "is_read"), [(64, True), (65, False)])
def test_objects_alone_are_counted_too(levels: int, is_read: bool) -> None:
    document = parse_json(b'{"a":' * levels + b"1" + b"}" * levels)

    assert isinstance(document, dict) is is_read
