"""The cases of all languages: schemes, keys, ids, and the signatures of the standard library."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import NamedTuple

from hmac_guard import Header, Query, Scheme
from hmac_guard.schemes import NANGO, SUPRSEND

#: The header that names the key for the server.
WHICH_KEY = Header("X-Key")

KEYS = {
    "text": "IG-J8Wvf7M-w4ll13h53NJAMQQNHdUqFTSJ2JVAZl0s",
    "63 bytes": "k" * 63,
    "64 bytes": "k" * 64,
    "65 bytes": "k" * 65,
    "500 bytes": "0123456789" * 50,
    "not ASCII": "schlüssel-鍵-🔑-" + "x" * 16,
    "quotes and escapes": "a'b\"c\\d$e`f%g#{h}${i}$(id)\\n&+ -x",
    "lines": "first line\nsecond line\tand a tab",
    "like an option": "-hex -binary -n --",
}

IDS = (
    "user-42",
    "0",
    "null",
    "user+tag@example.com",
    "größe-日本-🚀",
    "e\u0301te\u0301",
    "\u00e9t\u00e9",
    "שלום",
    "👩‍👩‍👧‍👦",
    "a\u2028b\u2029c",
    "x" * 255,
    "🚀" * 255,
    'o\'brien "x" <y>',
    "a\\b\\\\c\\n\\u0041\\",
    "100% %41 %s %n",
    "a+b&c=d#e?f;g,h|i",
    "$HOME ${HOME} $(id) `id` #{1+1} {{7*7}} <%= 1 %>",
    "'); DROP TABLE x; --",
    '"; system("id"); //',
    "-n",
    "\\",
)
#: A guard refuses these ids, so only the digests are compared.
REFUSED_IDS = ("two\nlines", "\ttab", " spaces ")


class Case(NamedTuple):
    """One signature: the name of the key, the ids in the order of the message, and the expected text."""

    key: str
    ids: tuple[str, ...]
    signature: str

    @property
    def fields(self) -> list[str]:
        return [KEYS[self.key], *self.ids]


class Plan(NamedTuple):
    """A scheme, and its message in plain Python."""

    scheme: Scheme
    message: Callable[..., str]
    id_sets: Sequence[tuple[str, ...]]

    def case(self, key: str, ids: tuple[str, ...]) -> Case:
        scheme = self.scheme
        mac = hmac.new(KEYS[key].encode(), self.message(*ids).encode(), getattr(hashlib, scheme.algorithm))
        spelled = {
            "hex": mac.hexdigest(),
            "base64": base64.b64encode(mac.digest()).decode(),
            "base64url": base64.urlsafe_b64encode(mac.digest()).decode().rstrip("="),
        }
        return Case(key, ids, scheme.prefix + spelled[scheme.encoding])

    def cases(self) -> list[Case]:
        keys = [self.case(key, ids) for key in KEYS for ids in (self.id_sets[0], self.id_sets[4])]
        return [*(self.case("text", ids) for ids in self.id_sets), *keys]

    def refused_cases(self) -> list[Case]:
        alone = len(self.id_sets[0]) == 1
        return [self.case("text", (one,) if alone else (*self.id_sets[0][:-1], one)) for one in REFUSED_IDS]


def _pair(one: str, two: str) -> str:
    return f"{one}:{two}"


_PAIRS = [("github", one) for one in IDS] + [(one, "user-42") for one in IDS]

# Characters that end a literal, a statement, a comment or a format in some language.
BREAKOUTS = (
    "'\"`\\",
    '");process.exit(0);//',
    "';touch broken-out;'",
    "$(touch broken-out)`touch broken-out`",
    "#{File.write('broken-out','')}${exit()}$$;",
    "\\u0022);System.exit(0);//\\",
    "*/ --> ]]> ?> <?php </script>",
    "%s%n%1$s%%\\045",
    "\n\r\t\x00\x00\x7f\u2028\u2029\ufeff",
    "{{7*7}}{%x%}",
    "🚀\u0301\u00df\U0010ffff",
)


# A reserved word of each language and template.
_KEYWORDS = tuple(
    """
    abstract and array async await begin between bigint break byte case catch char class const create_hmac current_date
    data date declare def default defer defmodule delete do double dyn each else end enum eval export extends false
    final fn for found from fun func function go goto grant hashlib hex hmac if impl import in init int interface
    internal interval is it key lambda let list loop mac match message mod mut namespace new nil none not null object of
    open operator out package private proc public raise return secret select self sha256 sign static string struct super
    switch
    """.split()  # noqa: SIM905 a hundred words read better without quotes
)
_ODD_NAMES = ("class", "größe", "id", "名", "__a__", "end")


def _breakout_message(*ids: str) -> str:
    before, after = BREAKOUTS[: len(_ODD_NAMES)], BREAKOUTS[len(_ODD_NAMES) :]
    return "".join(text + one for text, one in zip(before, ids, strict=False)) + "".join(after)


def _breakout_format() -> str:
    return _breakout_message(*(f"\ue000{name}\ue001" for name in _ODD_NAMES)).translate(
        {ord("{"): "{{", ord("}"): "}}", 0xE000: "{", 0xE001: "}"}
    )


def _query_ids(*names: str) -> dict[str, Query]:
    return {name: Query(f"id{number}") for number, name in enumerate(names)}


PLANS = {
    "nango": Plan(NANGO, _pair, _PAIRS),
    "suprsend": Plan(SUPRSEND, str, [(one,) for one in IDS]),
    "three ids between texts, sha512, base64, a prefix": Plan(
        Scheme(
            name="three",
            ids=_query_ids("tenant", "order_id", "userName"),
            message="v1:{tenant}|{order_id}/{userName};",
            signature=Query("sig"),
            algorithm="sha512",
            encoding="base64",
            prefix="v1=",
        ),
        lambda tenant, order, user: f"v1:{tenant}|{order}/{user};",
        [("acme", "42", one) for one in IDS],
    ),
    "an optional id between texts, sha384, hex": Plan(
        Scheme(
            name="optional",
            ids=_query_ids("key", "message"),
            message="<{key}\n{message}>",
            optional={"message"},
            signature=Query("sig"),
            algorithm="sha384",
        ),
        lambda one, two=None: f"<{one}>" if two is None else f"<{one}\n{two}>",
        [*(("a", one) for one in IDS), ("a",), ("größe",)],
    ),
    "texts that try to break out": Plan(
        Scheme(
            name='"; DROP TABLE x; --',
            ids=_query_ids(*_ODD_NAMES),
            message=_breakout_format(),
            signature=Query("sig"),
            encoding="base64url",
            prefix="'\"`\\$(id)${x}#{x}%s{{7*7}}-->*/",
            optional={"end"},
        ),
        _breakout_message,
        [*(("a", "b", "c", "d", "e", one) for one in IDS), ("a", "b", "c", "d", "e")],
    ),
    "ids named like keywords": Plan(
        Scheme(
            name="class",
            ids=_query_ids(*_KEYWORDS),
            message=",".join(f"{{{name}}}" for name in _KEYWORDS),
            signature=Query("sig"),
            encoding="base64",
        ),
        lambda *ids: ",".join(ids),
        [tuple(f"{turn}-{number}" for number in range(len(_KEYWORDS))) for turn in range(5)],
    ),
}
