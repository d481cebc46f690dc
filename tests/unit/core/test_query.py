"""The parameters of a query are found in any order, and between any other fields."""

from hypothesis import example, given
from hypothesis import strategies as st

from hmac_guard import Query, Reason, Scheme
from hmac_guard.core.reader import Reader
from hmac_guard.core.verdict import Refused
from hmac_guard.wsgi.request import read_environ

SCHEME = Scheme(
    name="pair", ids={"a": Query("a"), "ab": Query("ab")}, message="{a}:{ab}", signature=Query("b"), tenant=Query("c")
)
READER = Reader(SCHEME, with_tenant=True)
#: The parameter of each field.
NAMES = {"a": "a", "ab": "ab", "signature": "b", "tenant": "c"}
FIELDS = st.tuples(st.sampled_from(["a", "ab", "b", "c", "%61", "aa", ""]), st.sampled_from(["", "=", "=1", "=a=1"]))
IN_ORDER = [("a", "=1"), ("ab", "=2"), ("b", "=3"), ("c", "=4")]


@given(st.lists(FIELDS, max_size=7))
@example(IN_ORDER)
@example(IN_ORDER[::-1])
@example([("x", "=0"), *IN_ORDER])
@example([*IN_ORDER, ("", "")])
@example([*IN_ORDER, ("a", "=1")])
@example([*IN_ORDER, ("%61", "=1")])
@example([*IN_ORDER[1:], IN_ORDER[0]])
@example([IN_ORDER[0], IN_ORDER[0], *IN_ORDER[1:]])
def test_each_parameter_is_found_in_any_order(fields: list[tuple[str, str]]) -> None:
    query = "&".join(name + sent for name, sent in fields)
    found = READER.texts(read_environ({"QUERY_STRING": query}, [], with_body=False))
    texts = {field.name: text.reason if isinstance(text, Refused) else text for field, text, _ in found}

    assert texts == {field: _expected(name, fields) for field, name in NAMES.items()}


def _expected(wanted: str, fields: list[tuple[str, str]]) -> str | Reason | None:
    values = [sent[1:] for name, sent in fields if name.replace("%61", "a") == wanted]
    if len(values) > 1:
        return Reason.DUPLICATE
    return (values[0] or None) if values else None
