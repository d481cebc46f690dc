"""Paths: the quick way agrees with the rule for what is canonical."""

from hypothesis import example, given
from hypothesis import strategies as st

from hmac_guard.core.paths import _ODD, is_canonical

SEGMENTS = st.sampled_from(
    ["", ".", "..", "...", ".a", "a.", "a", "Z-_9", "%2f", "%5C", "%41", "a b", "\\", "\0", "é", "\n"]
)


@given(st.lists(SEGMENTS).map(lambda segments: "/" + "/".join(segments)) | st.text("/.a%2f\\\0\n~"))
@example("/")
@example("//")
@example("/a//b")
@example("/.")
@example("/a/../b")
@example("/a/..")
@example("/a\n")
@example("/a/")
@example("a")
@example("")
def test_a_plain_path_is_canonical_and_any_other_is_searched_for_what_is_odd(path: str) -> None:
    assert is_canonical(path) == (path.startswith("/") and not _ODD.search(path))
