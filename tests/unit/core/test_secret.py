"""Text that is hardly a secret is refused, however a key is made of it; and a short key warns at the user's line."""

import hashlib
import hmac
import inspect
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from databases import empty_keys
from support import Call, Sent

from hmac_guard import ConfigError, Guard, Key, Keyring, Query, Scheme, WeakKeyWarning
from hmac_guard.cli.commands import hmac_guard as command
from hmac_guard.keys import CachedKeys, ChainKeys, EnvKeys, FileKeys, MappingKeys, StaticKeys

SCHEME = Scheme(name="one", ids={"a": Query("a")}, message="{a}", signature=Query("sig"))
TENANTS = SCHEME.replace(tenant=Query("t"))
KEY = "8f1c6f0f5b1f4b6d9f6a2d7e4c3b2a19"
SHORT = "s3cret"

BLANK = ["", " ", "\t\r\n", "\N{IDEOGRAPHIC SPACE}", "\ufeff", "\ufeff\n", "\0\0"]
WORDS = [
    *("changeme", "changeit", "change-me", "replaceme", "replace_me", "undefined", "null", "none", "nil", "todo"),
    *("secret", "password", "your-secret", "your-api-key", "your-api-key-here"),
]
REFUSED = {
    **dict.fromkeys(
        [f"{KEY}\n", f" {KEY}", f"{KEY}\t", f"\n{KEY}\r\n", f"{KEY}\N{NO-BREAK SPACE}"], "white space or a newl"
    ),
    **dict.fromkeys([f"\ufeff{KEY}", f"{KEY}\ufeff", f"{KEY}\ufeff{KEY}"], "byte order mark"),
    **dict.fromkeys([f'"{KEY}"', f"'{KEY}'", f"\u201c{KEY}\u201d", f"\u2018{KEY}\u2019", '""', '"changeme"'], "quotes"),
    **dict.fromkeys(["<KEY>", "<your key here>", "${KEY}", "${KEY:-none}", "$(KEY)", "$(cat key)"], "is a placeholder"),
    **dict.fromkeys(["{{ key }}", "{{key}}", "${{ secrets.KEY }}", "<a\nb>"], "is a placeholder"),
    **dict.fromkeys([*WORDS, *map(str.upper, WORDS), *map(str.title, WORDS)], "is a placeholder"),
    **dict.fromkeys(["xx", "***", "0" * 15, "\N{LATIN SMALL LETTER E WITH ACUTE}" * 15], "one character repeated"),
}
ACCEPTED = [
    *(KEY, SHORT, "new", "old", "x", "k" * 32, "0" * 64, f"{KEY} {KEY}", f'{KEY}"', f"'{KEY}", f"\"{KEY}'"),
    *("secrets", "my secret", "not-null", "<KEY", "KEY>", "a<KEY>", "<KEY>a", "$KEY", "{key}", "${KEY}${", "xxy", '"'),
]


def ways(text: str, folder: Path, environ: pytest.MonkeyPatch) -> dict[str, Callable[[], object]]:
    """Each way in which a key is made of text at once."""
    environ.setenv("TEST_KEY", text.replace("\0", ""))
    environ.setenv("TEST_KEY_acme", text.replace("\0", ""))
    (folder / "key").write_text(text)
    keys = empty_keys(folder)
    return {
        "Key": lambda: Key(text),
        "Keyring": lambda: Keyring(text),
        "a Keyring of several": lambda: Keyring([KEY + "1", text]),
        "a guard": lambda: Guard(SCHEME, text),
        "a guard's list": lambda: Guard(SCHEME, [KEY + "1", text]),
        "a guard's mapping": lambda: Guard(TENANTS, {"acme": text}),
        "a guard's chain": lambda: Guard(TENANTS, ChainKeys({"acme": KEY + "1"}, text)),
        "sign": lambda: SCHEME.sign(text, a="x"),
        "EnvKeys": lambda: EnvKeys("TEST_KEY"),
        "EnvKeys by tenant": lambda: EnvKeys("TEST_KEY_{tenant}"),
        "FileKeys": lambda: FileKeys(folder / "key"),
        "SqlKeys": lambda: keys.add("acme", text),
    }


@pytest.mark.parametrize(("text", "why"), [*REFUSED.items(), *((text, "empty or blank") for text in BLANK)])
@pytest.mark.without_coverage
def test_text_that_is_hardly_a_secret_is_refused_in_every_way(
    text: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ways(text, tmp_path, monkeypatch)
    if "\r" in text:
        del made["FileKeys"]  # Windows writes other line ends
    for make in made.values():
        with pytest.raises(ConfigError, match=why) as refused:
            make()
        assert KEY not in str(refused.value)


@pytest.mark.parametrize("text", ACCEPTED)
def test_other_text_is_a_key(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = hmac.new(text.encode(), b"x", hashlib.sha256).hexdigest()

    assert SCHEME.sign(text, a="x") == digest
    for make in ways(text, tmp_path, monkeypatch).values():
        make()


@pytest.mark.without_coverage
@pytest.mark.parametrize("text", [*REFUSED, *BLANK])
def test_a_resolver_that_gives_such_text_is_unavailable(call: Call, text: str) -> None:
    def keys(claim: object) -> str:
        return text

    for source in (keys, CachedKeys(keys), ChainKeys(keys)):
        assert call(Guard(SCHEME, source), Sent(query=f"a=x&sig={'0' * 64}")).status == 503


@pytest.mark.parametrize("text", REFUSED)
def test_from_text_takes_any_text_that_is_not_blank(text: str) -> None:
    digest = hmac.new(text.encode(), b"x", hashlib.sha256).hexdigest()

    assert SCHEME.sign(Key.from_text(text), a="x") == digest


@pytest.mark.parametrize("text", BLANK)
def test_from_text_refuses_blank_text(text: str) -> None:
    with pytest.raises(ConfigError, match="empty or blank"):
        Key.from_text(text)


@pytest.mark.parametrize("text", REFUSED)
def test_bytes_are_only_looked_at_for_blanks(text: str) -> None:
    digest = hmac.new(text.encode(), b"x", hashlib.sha256).hexdigest()

    assert SCHEME.sign(text.encode(), a="x") == digest


@pytest.mark.parametrize("form", ["hex", "base64"])
@pytest.mark.parametrize(
    ("text", "why"),
    [(f"{KEY}\n", "newline"), (f'"{KEY}"', "quotes"), (f"\ufeff{KEY}", "byte order"), ("<KEY>", "placeh")],
)
def test_what_stands_around_a_written_key_is_named_in_any_form(
    form: str, text: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", text)
    with pytest.raises(ConfigError, match=f"TEST_KEY: the secret .*{why}"):
        EnvKeys("TEST_KEY", form=form)


def test_the_command_says_what_is_wrong_with_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", f'"{KEY}"')
    run = CliRunner().invoke(command, ["sign", "suprsend", "distinct_id=x", "--key-env", "TEST_KEY"])

    assert (run.exit_code, run.output) == (
        2,
        "Error: the variable TEST_KEY: the secret has quotes around it; remove them\n",
    )


WARNING: dict[str, Callable[[Path], object]] = {
    "Key": lambda folder: Key(SHORT),
    "bytes": lambda folder: Key(SHORT.encode()),
    "from_text": lambda folder: Key.from_text(SHORT),
    "from_hex": lambda folder: Key.from_hex("0f1e2d"),
    "from_base64": lambda folder: Key.from_base64("AAEC"),
    "Keyring": lambda folder: Keyring(SHORT),
    "a Keyring of two": lambda folder: Keyring([KEY, SHORT]),
    "a guard": lambda folder: Guard(SCHEME, SHORT),
    "a guard's list": lambda folder: Guard(SCHEME, [KEY, SHORT]),
    "a guard's mapping": lambda folder: Guard(TENANTS, {"acme": SHORT}),
    "sign": lambda folder: SCHEME.sign(SHORT, a="x"),
    "EnvKeys": lambda folder: EnvKeys("TEST_SHORT"),
    "EnvKeys by tenant": lambda folder: EnvKeys("TEST_{tenant}"),
    "FileKeys": lambda folder: FileKeys(folder / "short"),
    "FileKeys by tenant": lambda folder: FileKeys(folder / "{tenant}.key"),
    "StaticKeys": lambda folder: StaticKeys(SHORT),
    "MappingKeys": lambda folder: MappingKeys({"acme": [KEY, SHORT]}),
    "ChainKeys": lambda folder: ChainKeys({"acme": SHORT}),
    "CachedKeys": lambda folder: CachedKeys(ChainKeys({"acme": SHORT})),
    "SqlKeys": lambda folder: empty_keys(folder).add("acme", SHORT),
}


@pytest.mark.parametrize("make", WARNING.values(), ids=WARNING)
def test_a_short_key_warns_at_the_line_that_made_it(
    make: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_SHORT", SHORT)
    (tmp_path / "short").write_text(SHORT)
    (tmp_path / "acme.key").write_text(SHORT)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", WeakKeyWarning)
        make(tmp_path)

    [warning] = [each for each in caught if each.category is WeakKeyWarning]
    assert (warning.filename, warning.lineno) == (__file__, inspect.getsourcelines(make)[1])


def test_a_short_key_of_a_resolver_warns_at_the_resolver(call: Call) -> None:
    def keys(claim: object) -> Any:
        return Key(SHORT)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", WeakKeyWarning)
        call(Guard(SCHEME, keys), Sent(query="a=x&sig=0"))

    assert {(each.filename, each.lineno) for each in caught if each.category is WeakKeyWarning} == {
        (__file__, keys.__code__.co_firstlineno + 1)
    }


def test_a_key_of_16_bytes_does_not_warn() -> None:
    with pytest.warns(WeakKeyWarning, match="a key of 15 bytes is short"):
        Key(KEY[:15])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Key(KEY[:16])


@pytest.mark.parametrize("text", ["AAAAA", "AAAA!", "AAA==", "AB=="])
def test_text_that_is_not_base64_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match="the text is not base64"):
        Key.from_base64(text)
