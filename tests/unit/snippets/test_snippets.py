"""The code for customers, the page that contains it, and the request that a browser sends."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("jinja2", reason="not run: jinja2 is not installed")

from click.testing import CliRunner
from serving import proven, serving
from vendor_rule import VENDOR_NANGO

from hmac_guard import ConfigError, Cookie, Expires, Form, Guard, Header, Json, Key, Query, Scheme, Timestamp, schemes
from hmac_guard import Path as PathSource
from hmac_guard.cli.commands import hmac_guard
from hmac_guard.core.signing import names_of_parts
from hmac_guard.explain import KnownKeys, explain_captured
from hmac_guard.explain.capture import capture
from hmac_guard.schemes import NANGO, STANDARD_WEBHOOKS, SUPRSEND, SVIX
from hmac_guard.snippets import LANGUAGES, page, snippet
from hmac_guard.snippets.frontend import HOST, curl_command, fetch_code
from hmac_guard.snippets.languages import camel, go_camel, local_names, signed_names, snake
from hmac_guard.snippets.page import EXAMPLE_KEY, EXAMPLE_TIME, worked_example

PRESETS = {scheme.name: scheme for scheme in vars(schemes).values() if isinstance(scheme, Scheme)}
#: The presets for which there is code: it uses the key as text.
CODED = {name: scheme for name, scheme in PRESETS.items() if scheme not in (STANDARD_WEBHOOKS, SVIX)}
SIGNING = Path(__file__).parents[3] / "docs" / "signing"

ODD = Scheme(
    name="odd | name `x`",
    ids={"größe": Query("a"), "class": Header("X-Class"), "tenant": Json('/we"ird/${x}')},
    message="`{größe}\n\t${{x}}{class}--{tenant}",
    signature=Json("/sig"),
    tenant=Header("X-Tenant", before="`"),
    optional={"tenant"},
    prefix="`'\"$",
)


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(hmac_guard, words)
    return result.exit_code, result.output


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("preset", CODED)
def test_the_code_of_a_preset_is_ascii_and_fits_80_columns(preset: str, language: str) -> None:
    for scheme in (PRESETS[preset], PRESETS[preset].replace(encoding="base64url", algorithm="sha512", prefix="v1=")):
        code = snippet(scheme, language)

        assert code.isascii()
        assert max(map(len, code.splitlines())) <= 80
        assert code.endswith("\n")
        assert not re.search(r"[ \t]+\n|\n\n\n\n|\n\n\Z", code)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_of_a_scheme_is_escaped_in_the_code(language: str) -> None:
    code = snippet(ODD, language)

    assert code.isascii()
    for text in ("größe", "`'", "'\"$", "odd | name", "\t$"):
        assert text not in code


@pytest.mark.parametrize("scheme", [STANDARD_WEBHOOKS, SVIX, SVIX.replace(name="own")], ids=lambda scheme: scheme.name)
def test_there_is_no_code_for_a_scheme_whose_secrets_are_decoded(scheme: Scheme) -> None:
    text = f"'whsec_…' of the scheme '{scheme.name}' is used decoded, .*standardwebhooks, svix.*Scheme.sign"
    for languages in (["python"], []):
        with pytest.raises(ConfigError, match=text):
            page(scheme, languages)
    with pytest.raises(ConfigError, match=text):
        snippet(scheme, "python")


@pytest.mark.parametrize("options", [["--lang", "python"], ["--all", "--json"], ["--format", "markdown"]])
def test_the_command_says_that_there_is_no_code_for_decoded_secrets(options: list[str]) -> None:
    code, output = run("snippet", "standard_webhooks", *options)

    assert code == 2
    assert "is used decoded" in output
    assert "def sign" not in output


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(ConfigError, match="'cobol' is unknown; use one of python, "):
        snippet(NANGO, "cobol")


@pytest.mark.parametrize(
    ("ids", "style", "names"),
    [
        (["integration_id", "connectionId"], snake, ["integration_id", "connection_id"]),
        (["integration_id", "userName"], camel, ["integrationId", "userName"]),
        (["integration_id", "id"], go_camel, ["integrationID", "id"]),
        (["class", "key"], camel, ["classId", "keyId"]),
        (["analyse", "authorization", "gen"], snake, ["analyse_id", "authorization_id", "gen_id"]),
        (["system_user", "json_object", "json"], snake, ["system_user_id", "json_object_id", "json_id"]),
        (["create_hmac", "found"], camel, ["createHmacId", "foundId"]),
        (["größe", "名", "_"], snake, ["groe", "id", "id_n2"]),
        (["a_b", "aB", "a__b"], camel, ["aB", "aBN2", "aBN3"]),
        (["x" * 60, "x" * 61], snake, ["x" * 40, "x" * 40 + "_n2"]),
        (["_1st"], snake, ["id_1st"]),
    ],
)
def test_an_id_gets_a_valid_name_in_the_language(ids: list[str], style: Any, names: list[str]) -> None:
    assert local_names(ids, style) == names


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_id_and_a_part_with_its_local_name_get_different_names(language: str) -> None:
    ids = {name: Query(name) for name in ("signed_at", "expires_at", "http_method", "raw_body")}
    parts = ["@method", "timestamp", "expires", *ids, "@body"]
    scheme = Scheme(
        name="local",
        ids=ids,
        message=":".join(f"{{{part}}}" for part in parts),
        signature=Header("X-Sig"),
        timestamp=Timestamp(Query("timestamp")),
        expires=Expires(Query("expires"), max_lifetime=60),
    )
    names = signed_names(scheme, LANGUAGES[language].style)

    assert list(names) == parts
    assert len({*names.values()}) == len(parts)


def test_no_name_is_a_reserved_word_of_postgresql() -> None:
    psycopg = pytest.importorskip("psycopg", reason="not run: psycopg is not installed")
    pytest.importorskip("sqlalchemy", reason="not run: sqlalchemy is not installed")
    from databases import POSTGRES, needs

    needs(POSTGRES, "PostgreSQL")
    with psycopg.connect(POSTGRES.render_as_string(hide_password=False)) as connection:
        # Reserved, reserved except for functions and types, and reserved for functions and types.
        rows = connection.execute("SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'T', 'C')").fetchall()
    words = {word for (word,) in rows}

    assert {"authorization", "select", "values"} <= words
    assert not words & {*local_names(sorted(words), snake)}


@pytest.mark.parametrize("name", ["nango", "suprsend"])
def test_the_page_in_the_docs_is_the_output_of_the_command(name: str) -> None:
    code, written = run("snippet", name, "--format", "markdown")

    assert code == 0
    assert (SIGNING / f"{name}.md").read_text() == written, (
        f"write it again: hmac-guard snippet {name} --format markdown"
    )


@pytest.mark.parametrize("preset", CODED)
def test_the_example_of_a_page_is_verified_by_explain(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLE", EXAMPLE_KEY)
    monkeypatch.setattr("hmac_guard.explain.explanation.time", lambda: EXAMPLE_TIME)
    [command] = re.findall(r"```sh\n(curl .*?)\n```", page(PRESETS[preset]), re.DOTALL)

    result = CliRunner().invoke(hmac_guard, ["explain", preset, "--key-env", "EXAMPLE"], input=command)

    assert (result.exit_code, "Verified" in result.output) == (0, True), result.output


def test_the_code_reproduces_the_published_example_of_suprsend(tmp_path: Path) -> None:
    (tmp_path / "signer.py").write_text(snippet(SUPRSEND, "python"))
    call = "import signer; print(signer.sign('IG-J8Wvf7M-w4ll13h53NJAMQQNHdUqFTSJ2JVAZl0s', '{}'))"

    done = subprocess.run(
        ["python3", "-c", call.format("b8278572-2929-4af6-be2b-cdc2bc1f6256")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "dHBWYF4oV190o4j-e3eYxB-SCkeHnoaiofe8EmGk9JQ\n"


def test_a_page_says_which_ids_are_required() -> None:
    required = "- All ids are required: a signature over some of them is refused.\n"

    assert required in page(NANGO, ["python"])
    assert required not in page(VENDOR_NANGO, ["python"])
    assert "- If `connection_id` is absent, the message is `{integration_id}`.\n" in page(VENDOR_NANGO, ["python"])
    assert required not in page(SUPRSEND, ["python"])


def test_a_page_says_that_a_nonce_is_different_in_each_request() -> None:
    ids = {"user_id": Header("X-User"), "nonce": Header("X-Nonce")}
    scheme = Scheme(name="once", ids=ids, message="{user_id}:{nonce}", signature=Header("X-Signature"))

    assert "- `nonce` is a text that is different in each request" in page(scheme)
    assert "nonce" not in page(NANGO)


def test_unusual_texts_are_code_and_keep_the_page_valid() -> None:
    text = page(ODD, ["python"])

    assert text.startswith("# How to sign for `` odd | name `x` ``\n")
    assert "- The message is `` `{größe}\\n\\t${{x}}{class}--{tenant} ``, in UTF-8.\n" in text
    assert "- If `tenant` is absent, the message is" in text
    assert text.count("#### ") == 1
    assert re.findall("^```", text, re.MULTILINE).count("```") % 2 == 0


FORMS = Scheme(
    name="forms",
    ids={"a": Form("a"), "b": PathSource("/x/{b}/{c}", "/y/{b}"), "c": Header("X-C", before="~")},
    message="{a}|{b}|{c}",
    signature=Query("sig"),
    encoding="base64",
)

SAME_NAMES = Scheme(
    name="same_names",
    ids={
        "signature": Query("a"),
        "tenant": Header("X-B"),
        "query": Query("c"),
        "response": Query("d"),
        "document": Query("e"),
    },
    message="{signature}:{tenant}:{query}:{response}:{document}",
    signature=Query("sig"),
    tenant=Query("t"),
)

PROTOTYPES = Scheme(
    name="prototypes",
    ids={"a": Json("/__proto__"), "b": Json("/x/__proto__"), "c": Query("__proto__")},
    message="{a}|{b}|{c}",
    signature=Json("/sig"),
)
IN_FORMS = Scheme(
    name="prototype_in_form", ids={"a": Form("__proto__"), "b": Form("b")}, message="{a}|{b}", signature=Query("sig")
)

# Schemes that sign a body and read ids and a tenant in it.
IN_JSON = Scheme(
    name="in_json",
    ids={"event_id": Json("/data/id"), "kind": Form("kind") | Json("/kind")},
    message="{event_id}.{kind}.{@body}",
    signature=Header("X-Sig"),
    tenant=Json("/tenant"),
)
IN_FORM = IN_JSON.replace(
    name="in_form", ids={"event_id": Form("id"), "kind": Json("/kind") | Form("kind")}, tenant=Form("tenant")
)
# Schemes that sign a body from which they may read an id. The id is in a header.
OR_FORM = Scheme(
    name="or_form", ids={"id": Header("X-Id") | Form("id")}, message="{id}.{@body}", signature=Header("X-Sig")
)
OR_JSON = OR_FORM.replace(name="or_json", ids={"id": Header("X-Id") | Json("/id")})
OR_BOTH = OR_FORM.replace(name="or_both", ids={"id": Header("X-Id") | Form("id") | Json("/id")})
SIGNED_BODIES = [IN_JSON, IN_FORM, OR_FORM, OR_JSON, OR_BOTH]
BODIES = {
    "in_json": '{"data": {"id": "user 0+&"}, "kind": "user 1+&", "tenant": "acme"}',
    "in_form": "id=user+0%2B%26&kind=user%201%2B%26&tenant=acme",
    "or_form": "event=order.paid",
}


@pytest.mark.skipif(shutil.which("node") is None, reason="not run: node is not installed")
@pytest.mark.parametrize(
    "scheme",
    [*PRESETS.values(), ODD, FORMS, SAME_NAMES, PROTOTYPES, IN_FORMS, *SIGNED_BODIES],
    ids=lambda scheme: scheme.name,
)
def test_the_request_of_a_page_is_verified(scheme: Scheme) -> None:
    names = [field.name for field in scheme.id_fields]
    ids = {name: f"user {number}+&" for number, name in enumerate(names)}
    expected = {name: text for name, text in ids.items() if scheme.ids[name].can_carry(text)}
    parts = {"timestamp": str(EXAMPLE_TIME), "method": "POST", "body": BODIES.get(scheme.name, '{"caf\u00e9": 1}')}
    given: dict[str, Any] = {name: parts[name] for name in names_of_parts(scheme)}
    signature = scheme.sign(EXAMPLE_KEY, ids, **given | ({"body": given["body"].encode()} if "body" in given else {}))

    keys: Any = EXAMPLE_KEY if scheme.tenant is None else {"acme": EXAMPLE_KEY}
    with serving(Guard(scheme, keys, clock=lambda: EXAMPLE_TIME).wsgi(proven)) as port:
        named = {**ids, **given, **{f"@{name}": text for name, text in given.items()}}
        spoken = signed_names(scheme, camel)
        variables = [*spoken.values(), *local_names([*names, "tenant?"], camel)[-1:], "signature"]
        values = [*(named[name] for name in spoken), "acme", signature]
        lines = [f"const {name} = {json.dumps(value)};" for name, value in zip(variables, values, strict=True)]
        code = fetch_code(scheme, "acme").replace(HOST, f"http://127.0.0.1:{port}")
        script = "\n".join([*lines, code, "console.log(response.status, await response.text());"])
        done = subprocess.run(
            ["node", "--input-type=module"], input=script, capture_output=True, text=True, check=False, timeout=60
        )

    assert done.stdout.startswith("200 "), done.stdout + done.stderr + script
    assert json.loads(done.stdout[4:]) == expected


@pytest.mark.parametrize("scheme", SIGNED_BODIES, ids=lambda scheme: scheme.name)
def test_the_example_has_a_signed_body_with_its_strings_and_its_type(scheme: Scheme) -> None:
    [command] = re.findall(r"```sh\n(curl .*?)\n```", page(scheme, ["python"], tenant="größe"), re.DOTALL)
    explained = explain_captured(scheme, capture(command.encode()), KnownKeys(Key(EXAMPLE_KEY)))

    assert explained.reason == "verified"
    if scheme.tenant is not None:
        assert explained.tenant is not None
        assert explained.tenant.value == "größe"


@pytest.mark.parametrize("place", [Header("X-User"), Query("user"), Json("/user")], ids=["header", "query", "JSON"])
def test_the_request_of_a_page_has_the_signed_method(place: Any) -> None:
    scheme = Scheme(name="m", ids={"user": place}, message="{@method}.{user}", signature=Query("sig"))
    text = page(scheme, ["python"])
    [command] = re.findall(r"```sh\n(curl .*?)\n```", text, re.DOTALL)

    assert explain_captured(scheme, capture(command.encode()), KnownKeys(Key(EXAMPLE_KEY))).reason == "verified"
    assert text.count('method: "POST"') == 1
    assert command.count("-X POST") == (not isinstance(place, Json))


@pytest.mark.parametrize("name", ["document", "fetch", "query", "response"])
def test_no_variable_for_an_id_hides_a_name_that_the_code_for_browsers_uses(name: str) -> None:
    scheme = Scheme(name="names", ids={name: Cookie("uid")}, message=f"{{{name}}}", signature=Query("sig"))

    assert f'document.cookie = "uid=" + {name}Id;' in fetch_code(scheme, "acme")


def test_a_cookie_is_set_before_the_request() -> None:
    scheme = Scheme(name="cookies", ids={"user": Cookie("uid")}, message="{user}", signature=Cookie("sig"))

    assert fetch_code(scheme, "acme").splitlines()[:3] == [
        'document.cookie = "uid=" + userId;',
        'document.cookie = "sig=" + signature;',
        f"const response = await fetch(`{HOST}/`, {{",
    ]
    assert '  credentials: "include",' in fetch_code(scheme, "acme")
    assert curl_command(scheme, ["u", "s"]) == f"curl {HOST}/ \\\n  -b 'uid=u; sig=s'"


def test_a_value_is_in_the_first_place_that_can_carry_it_and_code_has_the_first_place() -> None:
    user = Header("X-User", before="I") | Query("user")
    scheme = Scheme(name="x", ids={"user": user}, message="{user}", signature=Query("sig"))

    assert curl_command(scheme, ["ada", "s"]) == f"curl '{HOST}/?sig=s' \\\n  -H 'X-User: adaI'"
    assert curl_command(scheme, ["größe", "s"]) == f"curl '{HOST}/?user=gr%C3%B6%C3%9Fe&sig=s'"
    assert '"X-User": userId + "I"' in fetch_code(scheme, "acme")


@pytest.mark.parametrize(
    ("a", "b", "sent"),
    [
        (Json("/a") | Query("a"), Form("b") | Header("X-B"), "--data-urlencode 'b=größe'"),
        (Json("/a"), Form("b") | Header("X-B"), "-H 'X-B: größe'"),
        (Header("X-A"), Header("X-B") | Form("b"), "--data-urlencode 'b=größe'"),
        (Header("X-A"), Header("X-B"), "-H 'X-B: größe'"),
    ],
    ids=repr,
)
def test_a_value_is_in_a_place_that_cannot_carry_it_only_if_there_is_no_other(a: Any, b: Any, sent: str) -> None:
    scheme = Scheme(name="x", ids={"a": a, "b": b}, message="{a}:{b}", signature=Query("sig"))

    assert sent in curl_command(scheme, ["größe", "größe", "s"])


@pytest.mark.parametrize("place", [Json("/a"), Form("a")], ids=repr)
@pytest.mark.parametrize("body", ["{}", "order=1"])
def test_a_value_is_in_a_signed_body_only_if_it_has_no_other_place(place: Any, body: str) -> None:
    scheme = Scheme(name="x", ids={"a": place | Header("X-A")}, message="{a}.{@body}", signature=Header("X-Sig"))
    b = Form("b") if isinstance(place, Json) else Json("/b")
    both = scheme.replace(ids={**scheme.ids, "b": b | Header("X-B")}, message="{a}.{b}.{@body}")

    assert "-H 'X-A: ada'" in curl_command(scheme, ["ada", "s"], body)
    assert "X-A" not in curl_command(scheme, ["größe", "s"], body)
    # No body is JSON and a form.
    assert "-H 'X-A: größe' \\\n  -H 'X-B: größe'" in curl_command(both, ["größe", "größe", "s"], body)


def test_the_page_of_a_tenant_names_it_where_it_can_be_sent() -> None:
    tenant = Header("X-Tenant") | Query("tenant")
    scheme = Scheme(name="x", ids={"user": Query("user")}, message="{user}", signature=Query("sig"), tenant=tenant)
    written, usual = page(scheme, ["python"], tenant="größe"), page(scheme, ["python"])

    assert "tenant=gr%C3%B6%C3%9Fe" in written
    assert "URLSearchParams({ user: userId, sig: signature, tenant: tenant })" in written
    assert "X-Tenant" not in written
    assert "X-Tenant: acme" in usual
    assert 'headers: { "X-Tenant": tenant }' in usual


ALSO_QUERY = PathSource("/u/{a}") | Query("a")


@pytest.mark.parametrize(
    ("ids", "signature", "path"),
    [
        ({"a": PathSource("/x/{a}/{k}"), "b": PathSource("/x/{k}/{b}")}, Query("sig"), "/x/a-42/b-42"),
        ({"a": PathSource("/{k}/{a}"), "b": PathSource("/x/{b}") | Query("b")}, Query("sig"), "/k/a-42"),
        # Each path of the one is a path of the other.
        ({"a": ALSO_QUERY, "b": PathSource("/u/{b}") | Query("b")}, Query("sig"), "/"),
        ({"a": ALSO_QUERY, "b": PathSource("/{k}/{b}") | Form("b")}, Query("sig"), "/k/b-42"),
        ({"a": Json("/a") | Form("a"), "b": Query("b")}, Form("sig"), "/"),
        # A placeholder that is no id has no text.
        ({"a": PathSource("/{k}/{a}", "/x/{a}/y"), "b": Query("b")}, Query("sig"), "/x/a-42/y"),
    ],
    ids=repr,
)
def test_the_places_of_an_example_are_those_of_one_request(ids: dict[str, Any], signature: Any, path: str) -> None:
    scheme = Scheme(name="x", ids=ids, message="{a}:{b}", signature=signature)
    [command] = re.findall(r"```sh\n(curl .*?)\n```", page(scheme, ["python"]), re.DOTALL)

    assert urlsplit(shlex.split(command)[1]).path == path
    assert explain_captured(scheme, capture(command.encode()), KnownKeys(Key(EXAMPLE_KEY))).reason == "verified"


@pytest.mark.parametrize(
    ("user", "tenant", "sent"),
    [
        (Header("X-T"), Header("X-T"), 'headers: { "X-T": userId }'),
        (Header("X-T") | Query("t"), Query("t"), "URLSearchParams({ t: userId, sig: signature })"),
        (Query("t"), Header("X-T") | Query("t"), "URLSearchParams({ t: userId, sig: signature })"),
        (PathSource("/u/{user}"), PathSource("/u/{tenant}"), "/u/${encodeURIComponent(userId)}?"),
    ],
    ids=repr,
)
def test_an_id_in_the_place_of_the_tenant_has_its_text_and_one_variable(user: Any, tenant: Any, sent: str) -> None:
    scheme = Scheme(name="x", ids={"user": user}, message="{user}", signature=Query("sig"), tenant=tenant)
    [command] = re.findall(r"```sh\n(curl .*?)\n```", page(scheme, ["python"]), re.DOTALL)
    explained = explain_captured(scheme, capture(command.encode()), KnownKeys(Key(EXAMPLE_KEY)))

    assert explained.reason == "verified"
    assert explained.tenant is not None
    assert explained.tenant.value == "acme"
    assert worked_example(scheme, "acme").message == "acme"
    assert sent in fetch_code(scheme, "acme")
    assert "tenant" not in fetch_code(scheme, "acme")


def test_an_id_beside_the_tenant_in_a_path_has_its_own_text() -> None:
    user, tenant = PathSource("/{org}/{user}"), PathSource("/{tenant}/{x}")
    scheme = Scheme(name="x", ids={"user": user}, message="{user}", signature=Query("sig"), tenant=tenant)

    assert worked_example(scheme, "acme").message == "user-42"
    assert "/${encodeURIComponent(tenant)}/${encodeURIComponent(userId)}?" in fetch_code(scheme, "acme")


def test_an_id_of_an_example_may_have_the_name_of_another_part() -> None:
    ids = {"method": Header("X-Method"), "body": Header("X-Body")}
    scheme = Scheme(name="x", ids=ids, message="{@method}:{method}:{body}:{@body}", signature=Query("sig"))
    text = page(scheme, ["python"])
    [command] = re.findall(r"```sh\n(curl .*?)\n```", text, re.DOTALL)

    assert explain_captured(scheme, capture(command.encode()), KnownKeys(Key(EXAMPLE_KEY))).reason == "verified"
    assert [name for name, _ in worked_example(scheme, "acme").shown] == ["@method", "method", "body", "@body"]


def test_a_scheme_without_a_possible_example_has_no_page() -> None:
    scheme = Scheme(name="x", ids={"a1": Json("/a"), "b": Json("/b")}, message="{a1}1{b}", signature=Json("/sig"))

    with pytest.raises(ConfigError, match="no example can be made"):
        page(scheme)


def test_the_command_prints_one_language_or_all_as_text_or_json() -> None:
    assert run("snippet", "nango", "--lang", "go") == (0, snippet(NANGO, "go"))
    code, listing = run("snippet", "nango", "--all")
    assert code == 0
    assert all(f"===== {language.title} =====\n" in listing for language in LANGUAGES.values())
    code, document = run("snippet", "nango", "--lang", "go", "--lang", "php", "--json")
    assert json.loads(document) == {"go": snippet(NANGO, "go"), "php": snippet(NANGO, "php")}


def test_a_page_is_utf_8_in_every_locale() -> None:
    words = ["snippet", f"{__name__}:ODD", "--format", "markdown", "--lang", "go"]
    result = CliRunner(charset="cp1252").invoke(hmac_guard, words)

    assert result.stdout_bytes.decode() == page(ODD, ["go"])


def test_the_help_names_every_language() -> None:
    _, text = run("snippet", "--help")

    assert all(language in text for language in LANGUAGES)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["snippet", "nango"], "the language is missing; add --lang LANGUAGE, or --all"),
        (["snippet", "nango", "go", "--all"], "unexpected argument 'go'"),
        (["snippet", "--all"], "the scheme is missing"),
        (["snippet", "nango", "--lang", "cobol"], "'cobol' is not one of"),
        (["snippet", "nango", "--format", "markdown", "--json"], "--json prints code, not a page"),
    ],
)
def test_wrong_use_is_reported_with_what_to_do(words: list[str], sentence: str) -> None:
    code, output = run(*words)

    assert code == 2
    assert sentence in output
