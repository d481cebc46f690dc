"""Explain finds the mistakes in generated requests, reports none in valid requests, and is fast."""

import time
from collections import Counter
from collections.abc import Iterable

import pytest
from explain_corpus import GROUPS, Sample, corpus, correct

from hmac_guard.explain import Explanation, KnownKeys, capture, explain_captured
from hmac_guard.explain.search import SECONDS

SEED = 20261121

# The accepted names for each generated mistake. If a scheme signs one id alone, the id and the message are equal.
NAMES = {
    "previous key": {"key_previous"},
    "another tenant's key": {"key_other"},
    "no key": {"key_unset"},
    "quoted key": {"key_quoted"},
    "newline behind key": {"key_newline"},
    "space around key": {"key_spaces"},
    "byte order mark before key": {"key_bom"},
    "literal newline after key": {"key_newline_written"},
    "key decoded": {"key_hex_decoded", "key_base64_decoded"},
    "key not decoded": {"key_hex_encoded", "key_base64_encoded"},
    "ids swapped": {"ids_swapped"},
    "id missing": {"id_missing"},
    "other separator": {"separator"},
    "JSON id": {"id_json_quoted", "message_json_quoted"},
    "JSON message": {"message_json_quoted", "id_json_quoted"},
    "encoded id": {"id_url_encoded", "message_url_encoded"},
    "encoded message": {"message_url_encoded", "id_url_encoded"},
    "encoded twice": {"id_url_decoded", "message_url_decoded"},
    "plus for space": {"id_plus"},
    "plus not encoded": {"id_plus"},
    "decomposed": {"id_normal_form"},
    "composed": {"id_normal_form"},
    "lower case": {"id_case", "message_case"},
    "upper case": {"id_case", "message_case"},
    "spaces around id": {"id_trimmed", "message_spaces"},
    "newline behind id": {"id_trimmed", "message_newline"},
    "newline behind message": {"message_newline", "id_trimmed"},
    "number": {"id_number"},
    "another algorithm": {"algorithm"},
    "plain hash": {"plain_hash"},
    "arguments swapped": {"key_and_message_swapped"},
    "hash of the hex digest": {"hashed_twice"},
    "hex text encoded": {"digest_of_hex"},
    "other encoding": {"encoding"},
    "other padding": {"padding", "encoding"},
    "upper-case signature": {"hex_case"},
    "other prefix": {"prefix"},
    "JSON of another type": {"body_type"},
    "slash behind path": {"path_slash"},
    "prefix before path": {"path_prefix"},
    "HTML's ampersand": {"html_ampersand"},
}


def explained(sample: Sample, seconds: float = 60) -> tuple[Explanation, float]:
    """Return the explanation with this time limit, and the CPU seconds that it took."""
    keys = KnownKeys(sample.key, (("old", sample.previous),), (("theirs", sample.other),))
    began = time.thread_time()
    explanation = explain_captured(sample.scheme, capture(sample.request), keys, seconds=seconds)
    return explanation, time.thread_time() - began


def is_found(sample: Sample, explanation: Explanation) -> bool:
    of_signature = explanation.found.mistakes if explanation.found else ()
    names = [mistake.name for mistake in (*explanation.sending, *of_signature)]
    # Base64 without padding is one mistake with one name.
    if sample.planted == {"other encoding", "other padding"}:
        return names == ["encoding"]
    planted = list(sample.planted)
    return any(
        len(order) == len(names) and all(name in NAMES[one] for one, name in zip(order, names, strict=True))
        for order in (planted, planted[::-1])
    )


def hold(samples: Iterable[Sample], share: float, seconds: float = 60) -> float:
    """Assert that this share is found. Return the seconds of the slowest search."""
    missed: Counter[frozenset[str]] = Counter()
    planted: Counter[str] = Counter()
    count = found = 0
    slowest = 0.0
    for sample in samples:
        explanation, took = explained(sample, seconds)
        assert not explanation.verified
        count, slowest = count + 1, max(slowest, took)
        planted.update(sample.planted)
        if is_found(sample, explanation):
            found += 1
        else:
            missed[sample.planted] += 1
    print(f"{found} of {count} found ({100 * found / count:.1f}%), the slowest in {slowest:.2f} s; missed: {missed}")
    print(f"planted: {planted}")
    assert found >= share * count
    return slowest


def test_every_mistake_has_a_name() -> None:
    assert {mistake for group in GROUPS for mistake in group} == set(NAMES)


@pytest.mark.without_coverage
def test_generated_mistakes_are_found() -> None:
    hold(corpus(30, SEED), 0.95)


@pytest.mark.corpus
def test_generated_mistakes_are_found_in_a_large_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the default time limit, in CPU time."""
    monkeypatch.setattr("hmac_guard.explain.search.monotonic", time.thread_time)

    assert hold(corpus(2000, SEED + 1), 0.97, SECONDS) < 1.0


def test_a_valid_request_is_verified_and_no_mistake_is_named() -> None:
    for sample in correct(300, SEED):
        explanation, _ = explained(sample)

        assert explanation.verified
        assert explanation.found is not None
        assert (explanation.found.right, explanation.found.mistakes, explanation.problems) == (True, (), [])
