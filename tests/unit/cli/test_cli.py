"""The command `hmac-guard`: known answers of other implementations, and every wrong use."""

import base64
import contextlib
import hmac
import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from interrupts import restore_interrupts

pytest.importorskip("click", reason="not run: click is not installed")

from click.testing import CliRunner

from hmac_guard.cli import main
from hmac_guard.cli.commands import COMMANDS, hmac_guard

SUPRSEND_KEY = "IG-J8Wvf7M-w4ll13h53NJAMQQNHdUqFTSJ2JVAZl0s"
SUPRSEND_ID = "b8278572-2929-4af6-be2b-cdc2bc1f6256"
SUPRSEND_SIGNATURE = "dHBWYF4oV190o4j-e3eYxB-SCkeHnoaiofe8EmGk9JQ"

# Key, preset, ids, signature. SuprSend's and Pusher's are published by the vendors; the others were computed with
# `openssl dgst -sha256 -hmac`.
KNOWN = [
    pytest.param(SUPRSEND_KEY, "suprsend", [f"distinct_id={SUPRSEND_ID}"], SUPRSEND_SIGNATURE, id="SuprSend's page"),
    pytest.param(
        "bar",
        "pusher",
        ["socket_id=345.23", "channel_name=private-channel"],
        "89955e77e1b40e33df6d515a5ecbba86a01dc816a5b720da18a06fd26f7d92ff",
        id="Pusher's channel",
    ),
    pytest.param(
        "test-hmac-key",
        "nango",
        ["integration_id=github-prod", "connection_id=user-42"],
        "1288239e6071124b9f8f6fbb3792c6a00b1a60ab32429defff96ed3671c9aee8",
        id="Nango's pair",
    ),
    pytest.param(
        "test-hmac-key",
        "vendor_rule:VENDOR_NANGO",
        ["integration_id=github-prod"],
        "3aeda3aa0d7a861a6a2d070dbcb317f8b94f9fb04b4b83de4b291774ab96af6c",
        id="a pair without the optional id",
    ),
    pytest.param(
        "abcdefgh",
        "intercom",
        ["id=1234"],
        "3f5ed07739c3217c03afaff4ecf40a6974ee8e0523e6c9914236b4251504db23",
        id="Intercom's user",
    ),
    pytest.param(
        "api-secret", "magicbell", ["id=joe@example.com"], "4tJL+WzV0avx+d2NxbnCksZ07IrNp6X7FPnaIGvz6AE=", id="base64"
    ),
]

OWN_SCHEME = """
from hmac_guard import Header, Json, Query, Scheme, Guard, Timestamp
ORDERS = Scheme(
    name="orders", ids={"tenant_id": Header("X-Tenant"), "order_id": Query("id")}, message="{tenant_id}:{order_id}",
    signature=Query("sig"), algorithm="sha512", encoding="base64url", prefix="v1=",
)
guard = Guard(ORDERS, keys="0123456789abcdef")
PAIR = Scheme(
    name="pair", ids={"user": Header("X-Sig").item("u", separators=(",", "="))}, message="{user}",
    signature=Header("X-Sig").item("s", separators=(",", "=")),
)
DATED = Scheme(
    name="dated",
    ids={},
    message="{@body}",
    signature=Header("X-Sig"),
    timestamp=Timestamp(Json("/at", allow_int=True), max_age=60),
)
BOTH = Scheme(
    name="both",
    ids={},
    message="{timestamp}.{@body}",
    signature=Header("X-Sig"),
    timestamp=Timestamp(Json("/at", allow_int=True), max_age=60),
)
ITEMS = Scheme(
    name="items", ids={"body": Header("X-Sig").item("b", separators=(",", "="))}, message="{body}.{@body}",
    signature=Header("X-Sig").item("s", separators=(",", "=")),
)
ORDER = Scheme(name="order", ids={"user": Json("/user")}, message="{user}.{@body}", signature=Header("X-Sig"))
CALLS = Scheme(name="calls", ids={"user": Query("user")}, message="{@method}.{user}", signature=Query("sig"))
TWICE = Scheme(
    name="twice", ids={"method": Query("m"), "body": Query("b")}, message="{method}.{body}.{@method}.{@body}",
    signature=Header("X-Sig"),
)
NUMBER = 42
"""


def run(*words: str, **environment: str) -> tuple[int, str]:
    """Run the command. Return its exit code and its output."""
    result = CliRunner().invoke(hmac_guard, words, env=environment)
    return result.exit_code, result.output


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a folder with the module `shop`, which defines a scheme."""
    (tmp_path / "shop.py").write_text(OWN_SCHEME)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    return tmp_path


@pytest.mark.parametrize(("key", "preset", "ids", "signature"), KNOWN)
def test_ids_of_a_known_answer_are_signed_with_it(key: str, preset: str, ids: list[str], signature: str) -> None:
    code, output = run("sign", preset, *ids, "--key-env", "KEY", KEY=key)

    assert (code, output.splitlines()[-1]) == (0, signature)


@pytest.mark.parametrize(("key", "preset", "ids", "signature"), KNOWN)
def test_a_known_answer_is_verified(key: str, preset: str, ids: list[str], signature: str) -> None:
    code, output = run("verify", preset, *ids, "--signature", signature, "--key-env", "KEY", KEY=key)

    assert (code, output.splitlines()[-1]) == (0, "verified")


@pytest.mark.parametrize(
    ("ids", "signature", "reason"),
    [
        pytest.param([f"distinct_id={SUPRSEND_ID[:-1]}7"], SUPRSEND_SIGNATURE, "invalid_signature", id="another id"),
        pytest.param([f"distinct_id={SUPRSEND_ID}"], SUPRSEND_SIGNATURE + "=", "invalid_signature", id="a padded one"),
        pytest.param([f"distinct_id={SUPRSEND_ID}"], "", "invalid_signature", id="an empty one"),
        pytest.param([f"distinct_id={SUPRSEND_ID}"], "-ü", "invalid_signature", id="one that begins with a dash"),
        pytest.param(["distinct_id="], SUPRSEND_SIGNATURE, "malformed", id="an empty id"),
        pytest.param(["distinct_id= x"], SUPRSEND_SIGNATURE, "malformed", id="an id with white space before it"),
        pytest.param(["distinct_id=\udcff"], SUPRSEND_SIGNATURE, "malformed", id="an id that is not UTF-8"),
    ],
)
def test_a_signature_that_is_not_valid_is_reported_with_its_reason(ids: list[str], signature: str, reason: str) -> None:
    code, output = run("verify", "suprsend", *ids, "--signature", signature, "--key-env", "KEY", KEY=SUPRSEND_KEY)

    assert code == 1
    assert output.startswith(f"not verified: {reason} (")
    assert SUPRSEND_KEY not in output


def test_an_id_with_the_separator_is_ambiguous() -> None:
    ids = ["integration_id=a:b", "connection_id=c"]
    signature = "cd2c87a7186d0cc272c85de39de70e1a2e5859f4c806d1beb768060b1f89cada"  # of a:b:c
    code, output = run("verify", "nango", *ids, "--signature", signature, "--key-env", "KEY", KEY="test-hmac-key")

    assert code == 1
    assert "not verified: ambiguous" in output


@pytest.mark.parametrize("place", [["shop:ORDERS"], ["--scheme", "shop:ORDERS"], ["shop:guard.scheme"]])
def test_a_custom_scheme_is_found_in_the_current_folder(own_folder: Path, place: list[str]) -> None:
    expected = hmac.digest(b"0123456789abcdef", b"acme:a=b", "sha512")
    signature = "v1=" + base64.urlsafe_b64encode(expected).decode().rstrip("=")

    code, output = run("sign", *place, "tenant_id=acme", "order_id=a=b", "--key-env", "KEY", KEY="0123456789abcdef")

    assert (code, output) == (0, signature + "\n")


@pytest.mark.parametrize(
    ("form", "written"), [("text", "0123456789abcdef"), ("hex", "30" * 16), ("base64", "MDAwMDAwMDAwMDAwMDAwMA==")]
)
def test_a_key_in_a_file_is_read_in_the_given_form(tmp_path: Path, form: str, written: str) -> None:
    secret = b"0123456789abcdef" if form == "text" else b"0" * 16
    (tmp_path / "key").write_text(written)

    code, output = run("sign", "intercom", "id=42", "--key-file", str(tmp_path / "key"), "--key-form", form)

    assert (code, output) == (0, hmac.new(secret, b"42", "sha256").hexdigest() + "\n")


def test_the_prompt_for_a_key_does_not_show_it() -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "hmac_guard.cli", "sign", "suprsend", f"distinct_id={SUPRSEND_ID}"]
    with subprocess.Popen(
        command, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        shown = os.read(ours, 100)
        while b"Key (hidden): " not in shown:
            shown += os.read(ours, 100)
        os.write(ours, SUPRSEND_KEY.encode() + b"\n")
        signature, _ = process.communicate(timeout=60)
    shown += os.read(ours, 100)
    os.close(ours)

    assert (process.returncode, signature.decode()) == (0, SUPRSEND_SIGNATURE + "\n")
    assert shown.split() == [b"Key", b"(hidden):"]


@pytest.mark.parametrize("stop", ["Ctrl-C", "Ctrl-D"])
def test_a_prompt_that_is_stopped_does_not_mean_not_verified(stop: str) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "hmac_guard.cli", "verify", "intercom", "id=42", "--signature", "0" * 64]
    environ = {**os.environ, "NO_COLOR": "1"}
    with subprocess.Popen(
        command,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=environ,
        preexec_fn=restore_interrupts,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        shown = os.read(ours, 100)
        while b"Key (hidden): " not in shown:
            shown += os.read(ours, 100)
        if stop == "Ctrl-C":
            process.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # Linux says so that the other end is closed.
            # The signal may come just before Python reads, which then waits for a line.
            os.write(ours, b"\n" if stop == "Ctrl-C" else b"\x04")
        with contextlib.suppress(OSError):
            while more := os.read(ours, 4096):
                shown += more
        printed, _ = process.communicate(timeout=60)
    os.close(ours)

    assert (process.returncode, printed) == (2, b"")
    # The terminal shows the line end that this test has typed, before or after the error.
    assert shown.strip().splitlines()[-1] == b"Error: stopped"
    assert b"Traceback" not in shown


def test_a_short_key_causes_a_warning_and_is_used() -> None:
    code, output = run("sign", "intercom", "id=1234", "--key-env", "KEY", KEY="abcdefgh")

    assert code == 0
    assert output.startswith("Warning: a key of 8 bytes is short; take 32 random ones (hmac-guard keygen)\n")


SECRET = "do-not-print-this-secret!"
SIGN = ["sign", "nango", "integration_id=a", "connection_id=b"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        pytest.param(["sign"], "the scheme is missing; give its name first", id="no scheme"),
        pytest.param(["sign", "id=42"], "the scheme is missing; give its name first", id="an id and no scheme"),
        pytest.param(["sign", "nagno", "id=42"], "there is no preset 'nagno'; did you mean 'nango'?", id="a typo"),
        pytest.param(
            ["sign", "nango", "connection_id"], "'connection_id' is not an id; write each id as ID=VALUE", id="no ="
        ),
        pytest.param(
            ["sign", "nango", "user=1"],
            "the scheme nango has no id 'user'; take one of 'integration_id'",
            id="no id",
        ),
        pytest.param([*SIGN, "connection_id=c"], "the id 'connection_id' is given twice; give it once", id="id twice"),
        pytest.param([*SIGN[:2], "--key-env", "KEY"], "the id 'integration_id' is missing", id="id missing, to sign"),
        pytest.param(
            ["verify", "nango", "--signature", "s", "--key-env", "KEY"],
            "the id 'integration_id' is missing; add integration_id=VALUE",
            id="id missing, to verify",
        ),
        pytest.param(
            ["sign", "nango", "integration_id=a:b", "connection_id=c", "--key-env", "KEY"],
            "the id 'integration_id' contains the text that separates it from the next part of the message, ':'",
            id="separator in an id",
        ),
        pytest.param([*SIGN, "--key-env", "NOPE"], "the variable NOPE is not set; export it with the key", id="unset"),
        pytest.param([*SIGN, "--key-env", "e8b16179fb34"], "the variable ... is not set", id="a secret as the name"),
        pytest.param([*SIGN, "--key-env", "BLANK"], "the secret is empty or blank", id="a blank variable"),
        pytest.param(
            [*SIGN, "--key-env", "LINE"],
            "LINE: the secret starts or ends with white space or a newline",
            id="\\n",
        ),
        pytest.param([*SIGN, "--key-env", "STUB"], "the secret is a placeholder", id="a placeholder"),
        pytest.param(
            [*SIGN, "--key-env", "KEY", "--key-form", "hex"], "not an even number of hex digits", id="not hex"
        ),
        pytest.param([*SIGN, "--key-env", "KEY", "--key-form", "base64"], "the text is not base64", id="not base64"),
        pytest.param([*SIGN, "--key-env", "KEY", "--key-file", "key"], "the key is given twice", id="two keys"),
        pytest.param([*SIGN, "--key-file", SECRET], "the key file ... cannot be read", id="a secret as a path"),
        pytest.param(
            [*SIGN, "--key-file", "c2d0e4a7-61f3-4b8e-9d25-7f1a3b6c8e90"],
            "the key file ... cannot be read",
            id="a UUID as a path",
        ),
        pytest.param(
            [*SIGN, "--key-file", "q83v/Bb+T0k1Y/wq8Zr4Jg=="], "the key file ... cannot be read", id="base64 as a path"
        ),
        pytest.param(
            [*SIGN, "--key-file", SECRET * 20], "the key file ... cannot be read", id="a long secret as a path"
        ),
        pytest.param(
            ["keys", "add", "acme", "--db", "sqlite:///k.db", "--secret-file", SECRET],
            "the key file ... cannot be read",
            id="a secret as the path of a secret",
        ),
        pytest.param(
            ["explain", "nango", "/", "--key-env", "KEY", "--previous-file", "Zm9vYmFyQmF6"],
            "the key file ... cannot be read",
            id="a secret as the path of a previous key",
        ),
        pytest.param(
            [*SIGN, "--key-file", "no/Inbox2k8s9"], "the key file ... cannot be read", id="a folder that is not there"
        ),
        pytest.param(
            [*SIGN, "--key-file", "/usr/2k8s9"], "the key file /usr/2k8s9 cannot be read", id="a path in a folder"
        ),
        pytest.param([*SIGN, "--key-file", "no/2k8s9.key"], "the key file no/2k8s9.key cannot be read", id="a suffix"),
        pytest.param([*SIGN, "--key-file", "/run/no/key"], "the key file /run/no/key cannot be read", id="plain names"),
        pytest.param([*SIGN, "--key-file", "nope"], "the key file nope cannot be read (No such file", id="no file"),
        pytest.param(
            [*SIGN, "--key-file", "."],
            "the key file . cannot be read (Is a directory); give a readable file",
            id="folder",
        ),
        pytest.param(
            [*SIGN, "--key-file", "binary"], "is not text; write the key as hex and add --key-form hex", id="raw"
        ),
        pytest.param(
            [*SIGN, "--key-file", "lined"],
            "lined: the secret starts or ends with white space or a newline",
            id="\\n file",
        ),
        pytest.param(SIGN, "there is no key, and no terminal for a prompt; give --key-env NAME", id="no key at all"),
        pytest.param(["sign", "nowhere:X"], "nowhere:X cannot be imported (ModuleNotFoundError)", id="no module"),
        pytest.param(["sign", "shop:NOPE"], "the module shop has no NOPE; give the name of a Scheme", id="no object"),
        pytest.param(["sign", "shop:NUMBER"], "shop:NUMBER is a int; name a Scheme", id="an object of another kind"),
        pytest.param(
            ["sign", "shop:guard"], "shop:guard is a Guard; name a Scheme (a guard has its scheme in", id="a guard"
        ),
        pytest.param(
            ["sign", "broken:X"], "broken:X cannot be imported (ZeroDivisionError)", id="a module that raises"
        ),
        pytest.param(
            ["sign", "misspelt:X"], "misspelt:X cannot be imported (AttributeError)", id="a module with a wrong name"
        ),
        pytest.param(["sign", "ending:X"], "ending:X cannot be imported (SystemExit)", id="a module that exits"),
        pytest.param(["verify", "ending:X"], "ending:X cannot be imported (SystemExit)", id="one that exits, verify"),
        pytest.param(["snippet", "ending:X"], "ending:X cannot be imported (SystemExit)", id="one that exits, snippet"),
        pytest.param(
            ["console", "--scheme", "ending:X", "--db", "sqlite:///keys.db"],
            "ending:X cannot be imported (SystemExit)",
            id="one that exits, console",
        ),
        pytest.param(["sign", "unset:X"], "unset:X cannot be imported: keys: give at least one key", id="a bad guard"),
    ],
)
def test_wrong_use_is_reported_in_one_sentence(own_folder: Path, words: list[str], sentence: str) -> None:
    (own_folder / "binary").write_bytes(b"\xff" * 32)
    (own_folder / "lined").write_text(SECRET + "\n")
    (own_folder / "key").write_text(SECRET)
    (own_folder / "broken.py").write_text("X = 1 / 0")
    (own_folder / "misspelt.py").write_text("import os\nX = os.no_such_name")
    (own_folder / "ending.py").write_text("import sys\nsys.exit()")
    (own_folder / "unset.py").write_text("from hmac_guard.keys import StaticKeys\nX = StaticKeys([])")
    keys = {"KEY": SECRET, "BLANK": " ", "LINE": SECRET + "\n", "STUB": "<HMAC-KEY>"}

    code, output = run(*words, **keys)

    assert code == 2
    assert output.startswith("Error: ") or "\nError: " in output
    assert sentence in output.splitlines()[-1]
    assert "Traceback" not in output
    assert SECRET not in output


@pytest.mark.parametrize(
    "words",
    [
        pytest.param([*SIGN, "--key-file", "a\x1b[2K\u202e.key"], id="a file"),
        pytest.param(["sign", "shop:a\x1b[2K\u202e"], id="a scheme"),
        pytest.param(["sign", "odd:X"], id="an error of the configuration"),
    ],
)
def test_an_error_escapes_the_value_that_it_names(own_folder: Path, words: list[str]) -> None:
    odd = "from hmac_guard import ConfigError\nraise ConfigError('a\\x1b[2K\\u202e')"
    (own_folder / "odd.py").write_text(odd)
    code, output = run(*words, KEY=SECRET)

    assert code == 2
    assert r"a\x1b[2K\u202e" in output
    assert not re.search(r"[^\n -~]", output)


def test_the_entries_of_a_har_file_are_lines_of_the_error() -> None:
    entries = [{"request": {"method": "GET", "url": f"https://h/{name}"}} for name in "ab"]
    given = json.dumps({"log": {"entries": entries}})
    result = CliRunner().invoke(hmac_guard, ["explain", "nango", "--key-env", "KEY"], input=given, env={"KEY": SECRET})

    assert result.exit_code == 2
    assert result.stderr.splitlines()[1:] == ["  0: GET https://h/a", "  1: GET https://h/b"]


def test_a_key_file_in_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    folder, user = tmp_path / "private", os.geteuid()
    folder.mkdir(0)
    run(*SIGN, "--key-file", "nope")  # Another user may not read the modules that a command imports.
    try:
        if user == 0:
            os.seteuid(65_534)
        code, output = run(*SIGN, "--key-file", str(folder / "inbox.key"))
    finally:
        os.seteuid(user)
        folder.chmod(0o700)

    error = f"Error: the key file {folder}/inbox.key cannot be read (Permission denied); give a readable file\n"
    assert (code, output) == (2, error)


def test_no_option_takes_a_key_as_its_value() -> None:
    code, output = run(*SIGN, "--key", SECRET)

    assert code == 2
    assert "No such option" in output


@pytest.mark.parametrize(("form", "length"), [("text", 43), ("hex", 64), ("base64", 44), ("whsec", 50)])
def test_a_key_is_32_random_bytes_in_each_form(form: str, length: int) -> None:
    decode: dict[str, Any] = {
        "text": lambda text: base64.urlsafe_b64decode(text + "="),
        "hex": bytes.fromhex,
        "base64": base64.b64decode,
        "whsec": lambda text: base64.b64decode(text.removeprefix("whsec_")),
    }
    keys = {run("keygen", "--form", form)[1] for _ in range(3)}

    assert {(len(key), len(decode[form](key))) for key in keys} == {(length, 32)}
    assert len(keys) == 3


def test_a_key_written_to_a_file_can_be_read_from_it(tmp_path: Path) -> None:
    key = run("keygen")[1]
    (tmp_path / "key").write_text(key)

    code, output = run("sign", "intercom", "id=42", "--key-file", str(tmp_path / "key"))

    assert (code, output) == (0, hmac.new(key.encode(), b"42", "sha256").hexdigest() + "\n")


def test_a_key_on_a_terminal_ends_with_a_newline() -> None:
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-m", "hmac_guard.cli", "keygen"], stdout=theirs, check=True, timeout=60)
    os.close(theirs)

    with os.fdopen(ours, "rb") as terminal:
        assert len(terminal.readline().removesuffix(b"\r\n")) == 43


def test_the_presets_are_listed_within_80_columns() -> None:
    code, output = run("schemes")
    lines = output.splitlines()

    assert code == 0
    assert max(map(len, lines)) <= 80
    assert "suprsend          message         {distinct_id}" in lines
    assert "                  distinct_id     query distinct_id, json /distinct_id" in lines
    assert "                  tenant          header Authorization before ':'" in lines
    assert "                  connection_id   query connection_id, json /connection_id" in lines
    assert "absent" not in output  # no preset has an optional id


def test_the_presets_are_listed_as_json() -> None:
    code, output = run("schemes", "--json")
    presets = {preset["name"]: preset for preset in json.loads(output)}

    assert code == 0
    assert set(presets) >= {
        *("chatwoot", "courier", "front", "helpscout", "intercom", "magicbell", "nango", "novu", "pusher"),
        *("suprsend", "terapi"),
    }
    assert presets["suprsend"] == {
        "name": "suprsend",
        "message": "{distinct_id}",
        "algorithm": "sha256",
        "encoding": "base64url",
        "prefix": "",
        "optional": [],
        "ids": {"distinct_id": [{"in": "query", "name": "distinct_id"}, {"in": "json", "pointer": "/distinct_id"}]},
        "signature": [{"in": "query", "name": "subscriber_id"}, {"in": "json", "pointer": "/subscriber_id"}],
        "tenant": [{"in": "header", "name": "Authorization", "before": ":"}],
    }
    assert {"in": "path", "template": "/oauth/connect/{integration_id}"} in presets["nango"]["ids"]["integration_id"]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_fits_80_columns(name: str) -> None:
    code, output = run(name, "--help")

    assert code == 0
    assert max(map(len, output.splitlines())) <= 80
    assert name in run("--help")[1]


def test_an_unknown_command_is_refused() -> None:
    code, output = run("singe")

    assert code == 2
    assert "No such command 'singe'" in output


def test_the_entry_point_runs_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["hmac-guard", "keygen"])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 0
    assert len(capsys.readouterr().out) == 43


def test_without_a_library_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module, named in (("jinja2", "Jinja2"), ("click", "click and Jinja2")):
        monkeypatch.setitem(sys.modules, module, None)

        with pytest.raises(SystemExit) as ended:
            main()

        assert ended.value.code == 2
        assert capsys.readouterr().err == f"hmac-guard needs {named}: pip install 'hmac-guard[cli]'\n"


def test_a_webhook_is_signed_and_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_KEY", "whsec_test_secret")
    monkeypatch.setattr("hmac_guard.cli.signatures.clock", lambda: 1_710_000_000.0)
    body = tmp_path / "event.json"
    body.write_bytes(b'{"id": "evt_test_webhook"}')
    signature = "1017e8ecff6f6a6d54ccbd9150a150be60d9a7048db12a0cc2aa4059874d68db"
    words = ["stripe", "timestamp=1710000000", f"body=@{body}", "--key-env", "STRIPE_KEY"]

    assert run("sign", *words) == (0, signature + "\n")
    assert run("sign", *words[:2], 'body={"id": "evt_test_webhook"}', *words[3:]) == (0, signature + "\n")
    assert run("verify", *words, "--signature", signature) == (0, "verified\n")
    body.write_bytes(b"{}")
    assert run("verify", *words, "--signature", signature)[1].startswith("not verified: invalid_signature")


@pytest.mark.parametrize(
    ("now", "reason"), [(1_710_000_301, "expired"), (1_709_999_939, "not_yet_valid"), (1_710_000_300, "verified")]
)
def test_a_time_is_compared_with_the_clock(now: int, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_KEY", "whsec_test_secret")
    monkeypatch.setattr("hmac_guard.cli.signatures.clock", lambda: now)
    words = ["stripe", "timestamp=1710000000", 'body={"id": "evt_test_webhook"}', "--key-env", "STRIPE_KEY", "--json"]
    code, output = run(
        "verify", *words, "--signature", "1017e8ecff6f6a6d54ccbd9150a150be60d9a7048db12a0cc2aa4059874d68db"
    )

    assert (code, json.loads(output)["reason"]) == (int(reason != "verified"), reason)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["verify", "stripe", "timestamp=1710000000"], "the scheme signs body; add body=VALUE"),
        (["verify", "stripe", "timestamp=NaN", "body=x"], "not verified: malformed"),
        (["sign", "stripe", "timestamp=1.5", "body=x"], "timestamp must be a Unix time"),
        (["sign", "stripe", "time=1", "body=x"], "did you mean 'timestamp'?"),
        (["sign", "stripe", "timestamp=1", "body=@/nowhere"], "cannot be read"),
    ],
)
def test_a_wrong_time_or_body_is_reported(words: list[str], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_KEY", "whsec_test_secret")
    signature = ["--signature", "0" * 64] if words[0] == "verify" else []

    assert says in run(*words, "--key-env", "STRIPE_KEY", *signature)[1]


@pytest.mark.parametrize(
    ("words", "message", "says"),
    [
        (["github", "body="], "", "not verified: missing_id (the body is empty, and nothing else is signed)"),
        (["standard_webhooks", "message_id=m", "timestamp=1", "body=x"], "m.1.x", "is used as text; make it with"),
        (["shop:CALLS", "user=u", "method=a b"], "a b.u", "not verified: malformed"),
        (["shop:CALLS", "user=u", "method="], ".u", "not verified: malformed"),
    ],
)
def test_what_no_guard_accepts_is_not_verified(
    own_folder: Path, words: list[str], message: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "whsec_dGVzdCBzZWNyZXQgb2YgYSB3ZWJob29r"
    digest = hmac.digest(secret.encode(), message.encode(), "sha256")
    signature = {"github": f"sha256={digest.hex()}", "shop:CALLS": digest.hex()}.get(words[0], f"v1,{digest.hex()}")

    code, output = run("verify", *words, "--signature", signature, "--key-env", "SECRET", SECRET=secret)

    assert code == (2 if "used as text" in says else 1)
    assert says in output


def test_an_id_may_have_the_name_of_another_part(own_folder: Path) -> None:
    ids, others = ["method=card", "body=1"], ["@method=POST", "@body=raw"]
    signature = hmac.digest(SECRET.encode(), b"card.1.POST.raw", "sha256").hex()
    to_verify = ["verify", "shop:TWICE", "--key-env", "KEY", "--signature", signature]

    assert run("sign", "shop:TWICE", *ids, *others, "--key-env", "KEY", KEY=SECRET) == (0, f"{signature}\n")
    assert run(*to_verify, *ids, *others, KEY=SECRET) == (0, "verified\n")
    for command in (["sign", "shop:TWICE", "--key-env", "KEY"], to_verify):
        assert "the scheme signs method; add @method=VALUE" in run(*command, *ids, KEY=SECRET)[1]
    row = dict(word.split("=", 1) for word in (*ids, *others))
    for name, added in (("sign", {"signature": signature}), ("verify", {"verified": True, "reason": "verified"})):
        given = {**row, "signature": signature} if name == "verify" else row
        words = [name, "shop:TWICE", "--rows", "jsonl", "--key-env", "KEY"]
        result = CliRunner().invoke(hmac_guard, words, input=json.dumps(given), env={"KEY": SECRET})
        assert json.loads(result.stdout) == {**given, **added}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["shop:DATED", 'body={{"at":{now}}}'], "verified"),
        (["shop:DATED", 'body={{"at":1700000000}}'], "expired"),
        (["shop:DATED", 'body={{"at":1900000000000}}'], "not_yet_valid"),
        (["shop:DATED", 'body={{"at":"soon"}}'], "malformed"),
        (["shop:DATED", "body={{}}"], "malformed"),
        (["shop:BOTH", "timestamp={now}", 'body={{"at":{now}}}'], "verified"),
        (["shop:BOTH", "timestamp={now}", 'body={{"at":1700000000}}'], "conflict"),
        (["shop:ORDER", "user=1", 'body={{"user":"1"}}'], "verified"),
        (["shop:ORDER", "user=2", 'body={{"user":"1"}}'], "conflict"),
        (["shop:ORDER", "user=2", "body={{}}"], "malformed"),
    ],
)
def test_what_is_in_a_signed_body_is_checked_as_by_a_guard(own_folder: Path, words: list[str], reason: str) -> None:
    name, *given = (word.format(now=int(time.time())) for word in words)
    message = ".".join(word.partition("=")[2] for word in given)
    signature = hmac.digest(SECRET.encode(), message.encode(), "sha256").hex()

    code, output = run("verify", name, *given, "--key-env", "KEY", "--signature", signature, KEY=SECRET)
    assert code == (reason != "verified")
    assert output.startswith("verified\n" if reason == "verified" else f"not verified: {reason} (")
    row = {**dict(word.split("=", 1) for word in given), "signature": signature}
    words = ["verify", name, "--rows", "jsonl", "--key-env", "KEY"]
    result = CliRunner().invoke(hmac_guard, words, input=json.dumps(row), env={"KEY": SECRET})
    assert json.loads(result.stdout)["reason"] == reason


@pytest.mark.parametrize(
    ("preset", "ids", "header"),
    [
        ("stripe", ["timestamp={now}"], "t={now},v1={right}"),
        ("stripe", ["timestamp={now}"], "t={now},v1={wrong},v1={right},v0={wrong}"),
        ("standard_webhooks", ["message_id=m", "timestamp={now}"], "v1,{right}"),
        ("standard_webhooks", ["message_id=m", "timestamp={now}"], "v1,{wrong} v1,{right}"),
    ],
)
def test_a_signature_may_be_the_whole_value_of_its_header(preset: str, ids: list[str], header: str) -> None:
    now = int(time.time())
    message = f"{now}.x" if preset == "stripe" else f"m.{now}.x"
    right, wrong = (
        digest.hex() if preset == "stripe" else base64.b64encode(digest).decode()
        for digest in (hmac.digest(b"0" * 32, message.encode(), "sha256"), b"1" * 32)
    )
    words = ["verify", preset, *(text.format(now=now) for text in ids), "body=x", "--key-env", "KEY"]
    words += ["--key-form", "hex"]

    for sent, verified in ((header, True), (header.replace("{right}", "{wrong}"), False), ("{right}", True)):
        signature = sent.format(now=now, right=right, wrong=wrong)
        code, output = run(*words, "--signature", signature, KEY="30" * 32)
        assert (code, output.startswith("verified")) == (int(not verified), verified)


@pytest.mark.parametrize(
    "header",
    [
        "t=1,v1={right}",
        "v1={right},t=1",
        "t=1,v1={wrong},v1={right}",
        pytest.param("t={now},t={now},v1={right}", id="the time twice"),
    ],
)
def test_a_header_with_another_time_is_not_verified(header: str) -> None:
    now = int(time.time())
    right = hmac.digest(SECRET.encode(), f"{now}.x".encode(), "sha256").hex()
    signature = header.format(now=now, right=right, wrong="0" * 64)
    words = ["verify", "stripe", f"timestamp={now}", "body=x", "--key-env", "KEY"]
    error = "the header in --signature has another timestamp; give the timestamp that is in the header"

    assert run(*words, "--signature", signature, KEY=SECRET) == (2, f"Error: {error}\n")
    assert run(*words, "--signature", f"t={now},v1={right}", KEY=SECRET) == (0, "verified\n")

    rows = [
        {"timestamp": sent, "body": "x", "signature": given}
        for sent, given in ((now, signature), (str(now), signature), (now, f"t={now},v1={right}"), (now, right))
    ]
    words = ["verify", "stripe", "--rows", "jsonl", "--key-env", "KEY"]
    result = CliRunner().invoke(hmac_guard, words, input="\n".join(map(json.dumps, rows)), env={"KEY": SECRET})
    reasons = [json.loads(line)["reason"] for line in result.stdout.splitlines()]

    assert (result.exit_code, reasons) == (1, ["conflict", "conflict", "verified", "verified"])


def test_a_header_with_another_id_is_not_verified(own_folder: Path) -> None:
    right = hmac.digest(SECRET.encode(), b"a", "sha256").hex()
    words = ["verify", "shop:PAIR", "user=a", "--key-env", "KEY", "--signature"]

    assert run(*words, f"u=a,s={right}", KEY=SECRET) == (0, "verified\n")
    assert run(*words, f"u=b,s={right}", KEY=SECRET)[0] == 2


def test_an_id_in_a_header_may_have_the_name_of_another_part(own_folder: Path) -> None:
    right = hmac.digest(SECRET.encode(), b"a.raw", "sha256").hex()
    words = ["verify", "shop:ITEMS", "body=a", "@body=raw", "--key-env", "KEY", "--signature"]

    assert run(*words, f"b=a,s={right}", KEY=SECRET) == (0, "verified\n")


@pytest.mark.parametrize("body", [{"a": 1}, None, 5])
def test_a_row_whose_body_is_not_text_is_malformed(body: Any) -> None:
    row = json.dumps({"timestamp": 1, "body": body, "signature": "0" * 64})
    result = CliRunner().invoke(
        hmac_guard, ["verify", "stripe", "--rows", "jsonl", "--key-env", "KEY"], input=row, env={"KEY": SECRET}
    )

    assert result.exit_code == 1
    assert json.loads(result.stdout)["reason"] in ("malformed", "missing_signature")


def test_rows_contain_times_and_bodies_but_cannot_name_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_KEY", "whsec_test_secret")
    rows = [{"timestamp": 1710000000, "body": '{"id": "evt_test_webhook"}'}, {"timestamp": "5", "body": "@/etc/passwd"}]
    given = "\n".join(map(json.dumps, rows))
    result = CliRunner().invoke(
        hmac_guard, ["sign", "stripe", "--rows", "jsonl", "--key-env", "STRIPE_KEY"], input=given
    )
    signed = [json.loads(line)["signature"] for line in result.output.splitlines()]

    assert signed == [
        "1017e8ecff6f6a6d54ccbd9150a150be60d9a7048db12a0cc2aa4059874d68db",
        hmac.new(b"whsec_test_secret", b"5.@/etc/passwd", "sha256").hexdigest(),
    ]


def test_the_list_of_presets_contains_items_and_times() -> None:
    stripe = next(preset for preset in json.loads(run("schemes", "--json")[1]) if preset["name"] == "stripe")

    assert stripe["times"] == {"timestamp": [{"in": "header", "name": "Stripe-Signature", "item": "t"}]}
    assert "header Stripe-Signature item 'v1'" in run("schemes")[1]


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["schemes"],
        ["schemes", "--json"],
        ["sign", "suprsend", "distinct_id=user-42", "--key-env", "KEY"],
        ["explain", "--help"],
    ],
    ids=" ".join,
)
def test_a_full_disk_is_an_error_of_one_sentence(words: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "hmac_guard.cli", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            env={**os.environ, "KEY": "0123456789abcdef"},
            text=True,
            timeout=60,
        )

    assert done.returncode == 2
    assert done.stderr == "Error: the output cannot be written: No space left on device\n"


NO_OUTPUT = "Error: there is no standard output; give it a file or a pipe\n"
NO_INPUT = "Error: there is no standard input; give it a file or a pipe\n"
CUT_OUTPUT = "Error: the output cannot be written: Broken pipe\n"
SIGNED = "sign intercom id=1234 --key-env KEY"
SIGNATURE = hmac.digest(b"0123456789abcdef", b"1234", "sha256").hex()
CHECKED = f"verify intercom id=1234 --key-env KEY --signature {SIGNATURE}"


@pytest.mark.parametrize(
    ("words", "streams", "code", "error"),
    [
        (SIGNED, ">&-", 2, NO_OUTPUT),
        ("keygen", ">&-", 2, NO_OUTPUT),
        ("--help", ">&-", 2, NO_OUTPUT),
        (SIGNED, ">&- 2>&-", 2, ""),
        ("explain intercom --key-env KEY", "<&-", 2, NO_INPUT),
        ("sign intercom --rows jsonl --key-env KEY", "<&-", 2, NO_INPUT),
        ("verify intercom --rows csv --key-env KEY", "<&-", 2, NO_INPUT),
        ("verify intercom --rows csv --key-env KEY", "</dev/null 2>&-", 0, ""),
        ("sign intercom id=1234", "<&-", 2, "Error: there is no key, and no terminal for a prompt; give --key-env"),
        (SIGNED, "<&-", 0, ""),
        (CHECKED, "| true", 2, CUT_OUTPUT),
        ("--help", "| true", 2, CUT_OUTPUT),
        ("sign --help", "| true", 2, CUT_OUTPUT),
    ],
)
def test_a_missing_stream_is_an_error_of_one_sentence(words: str, streams: str, code: int, error: str) -> None:
    command = f"set -o pipefail; {shlex.quote(sys.executable)} -m hmac_guard.cli {words} {streams}"
    environ = {**os.environ, "KEY": "0123456789abcdef"}
    done = subprocess.run(["bash", "-c", command], env=environ, capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stderr[: len(error) or None]) == (code, error)
    assert done.stderr.count("\n") == bool(error)


def test_a_key_at_the_prompt_that_is_not_utf_8_is_refused() -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "hmac_guard.cli", "sign", "intercom", "id=42"]
    environ = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    with subprocess.Popen(
        command, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, env=environ, start_new_session=True
    ) as process:
        os.close(theirs)
        shown = os.read(ours, 100)
        while b"Key (hidden): " not in shown:
            shown += os.read(ours, 100)
        os.write(ours, b"do-not-print-\xff\xfe\n")
        with contextlib.suppress(OSError):  # Linux says so that the other end is closed.
            while more := os.read(ours, 4096):
                shown += more
        printed, _ = process.communicate(timeout=60)
    os.close(ours)

    assert (process.returncode, printed) == (2, b"")
    assert b"the key is not UTF-8; check the encoding of the terminal" in shown
    assert b"Traceback" not in shown
    assert b"do-not-print" not in shown
