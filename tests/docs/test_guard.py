"""Checks docs/guard.md: its code runs, and its tables are complete."""

import inspect
import re
from functools import partial

from documented import ROOT, text_of, under
from orders import hex_of
from support import Call, Sent

import hmac_guard.schemes
from hmac_guard import Form, Guard, Json, Path, Query, Scheme, Verdict

PAGE = text_of("docs/guard.md")


def test_the_sample_of_a_scheme_signs_what_its_guard_verifies(call: Call) -> None:
    names = under("docs/guard.md", "Your own scheme").run()
    sign = partial(hex_of, "acme", "42")
    new, old, other = (f"{word} secret, 32 bytes or more ..." for word in ("new", "old", "any"))

    def status(signature: str) -> int:
        headers = [("X-Tenant", "acme"), ("X-Signature", signature), ("Content-Type", "application/json")]
        return call(names["guard"], Sent("POST", headers=headers, body=b'{"order": {"id": "42"}}')).status

    assert names["signature"] == sign(key=new)
    assert [status(sign(key=key)) for key in (new, old, other)] == [200, 200, 401]


def test_the_table_names_every_extra() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text()
    [section] = re.findall(r"^\[project\.optional-dependencies\]\n(.*?)\n\n", pyproject, re.MULTILINE | re.DOTALL)
    [table] = re.findall(r"^\| extra \|.*?\n\n", PAGE, re.MULTILINE | re.DOTALL)
    extras = re.findall(r"^([\w-]+) = \[", section, re.MULTILINE)

    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == extras
    installs = re.findall(r"pip install '?([\w-]+)(?:\[([\w,]+)\])?", PAGE)
    assert len(installs) == 2
    for name, brought in installs:
        assert f'name = "{name}"' in pyproject
        assert set(filter(None, brought.split(","))) <= set(extras)


def test_the_tables_name_every_source_and_option() -> None:
    sources = set(re.findall(r"^\| `(\w+)\(", PAGE, re.MULTILINE))
    rows = re.search(r"\| option of `Guard`.*?\n\n", PAGE, re.DOTALL)
    options = set(
        re.findall(r"`(\w+)`", " ".join(line.split("|")[1] for line in str(rows and rows[0]).split("\n")[2:-2]))
    )
    parameters = inspect.signature(Guard.__init__).parameters.values()

    assert sources == {"Query", "Header", "Cookie", "Path", "Json", "Form"}
    assert options == {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}


def test_the_tables_name_every_option_of_a_scheme_and_every_attribute_of_a_verdict() -> None:
    options = names_in("| option of `Scheme` |")
    attributes = names_in("| attribute |")

    assert options == list(inspect.signature(Scheme.__init__).parameters)[1:]
    assert set(attributes) == {name for name in dir(Verdict) if not name.startswith("_")} - set(dir(tuple))


def names_in(header: str) -> list[str]:
    """Return the names in the first column of the table with this header."""
    rows = PAGE.partition(header)[2].partition("\n\n")[0].splitlines()[2:]
    return [name for row in rows for name in re.findall(r"`(\w+)", row.split("|")[1])]


def test_all_presets_are_named() -> None:
    [named] = re.findall(r"Presets: `([A-Z_ ]+)`", PAGE)

    assert set(named.split()) == {name for name in hmac_guard.schemes.__all__ if name.isupper()}
    assert all(isinstance(getattr(hmac_guard.schemes, name), Scheme) for name in named.split())


def test_all_presets_that_read_the_body_are_named_with_their_places() -> None:
    [listed] = re.findall(r"Some presets read ids and (.*?) With them", " ".join(PAGE.split()))
    kinds = {"the query or from JSON": {Query, Json}, "JSON": {Json}, "a form or from JSON": {Form, Json}}
    parts = re.findall(r"((?:`[A-Z]+`(?:, | and )?)+) from (the query or from JSON|a form or from JSON|JSON)", listed)
    named = {name: kinds[places] for names, places in parts for name in re.findall("[A-Z]+", names)}
    presets = {name: getattr(hmac_guard.schemes, name) for name in hmac_guard.schemes.__all__ if name.isupper()}
    sources = {name: [*preset.ids.values(), preset.signature] for name, preset in presets.items()}
    of_each = {name: [{*map(type, source.places())} - {Path} for source in sources[name]] for name in presets}

    assert {name for name, preset in presets.items() if any(place.kinds for place in preset.places())} == {*named}
    for name, found in named.items():
        assert of_each[name] == [found] * len(of_each[name]), name
