"""`hmac-guard keys` with real databases and a real Redis, and its error messages."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from pwd import getpwuid
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("click", reason="not run: click is not installed")

from click.testing import CliRunner, Result
from cryptography.fernet import Fernet
from databases import Database
from key_sources import KEY, OTHER_KEY, Clock, claim_of, follow
from waiting import TIMEOUT, becomes_true
from wires import own_redis

from hmac_guard import Decision, Reason, Verdict
from hmac_guard.cli.commands import hmac_guard
from hmac_guard.keys import CachedKeys, RedisInvalidation, SqlKeys, VerdictCounts
from hmac_guard.schemes import NANGO

Run = Callable[..., Result]


@pytest.fixture
def run(sync_database: Database, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("HMAC_GUARD_DB", sync_database.url.render_as_string(hide_password=False))
    for name in ("HMAC_GUARD_REDIS", "HMAC_GUARD_MASTER_KEYS"):
        monkeypatch.delenv(name, raising=False)

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(hmac_guard, ["keys", *arguments, "--table", sync_database.table])

    return invoke


#: For what is decided before any statement, or after the last one: it is the same with each database.
with_one_database = pytest.mark.parametrize("sync_database", ["sqlite"], indirect=True)


def shown(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_key_is_made_rotated_and_retired(run: Run, sync_database: Database) -> None:
    keys = sync_database.keys()
    first = shown(run("add", "acme", "--json", "--mode", "report"))
    second = shown(run("rotate", "acme", "--grace", "1h", "--json", "--id", "second"))
    ring = sync_database.ring(keys, "acme")

    assert ring is not None
    assert [key.id for key in ring.keys] == ["second", first["id"]]
    assert len(first["secret"]) == len(second["secret"]) == 43
    assert ring.mode == "report"

    assert run("retire", "acme", first["id"]).exit_code == 0
    assert run("mode", "acme", "enforce").exit_code == 0
    states = [line.split() for line in run("list", "acme").stdout.splitlines()]
    assert states[0] == ["TENANT", "KEY", "MODE", "STATE", "STORED"]
    assert states[1] == ["acme", "second", "enforce", "active", "clear"]
    assert states[2][:4] == ["acme", first["id"], "enforce", "ended"]
    assert run("mode", "acme", "guard").exit_code == 0
    assert {key["mode"] for key in shown(run("list", "--json"))} == {None}


def test_what_a_command_changes_besides_is_reported(run: Run, sync_database: Database) -> None:
    assert "mode" not in run("add", "acme", "--mode", "enforce", "--id", "one").stderr
    assert "The mode of 'acme' was enforce, and is report now." in run("add", "acme", "--mode", "report").stderr
    assert "mode" not in run("add", "acme", "--mode", "report").stderr
    sync_database.sql("DELETE FROM {keys}")
    assert "was report, and is off now" in run("add", "acme", "--mode", "off", "--id", "one").stderr

    assert "ends at" not in run("rotate", "acme", "--grace", "7d").stderr
    assert "The key one ends at " in run("rotate", "acme", "--grace", "1h").stderr
    assert "ends at" not in run("rotate", "acme", "--grace", "7d", "--id", "last").stderr


def test_a_tenant_without_an_active_key_is_reported(run: Run) -> None:
    run("add", "acme", "--id", "one")
    run("add", "acme", "--id", "two")
    reports = [run(*words).stderr for words in (("retire", "acme", "one"), ("retire", "acme", "two"))]
    reports.append(run("mode", "acme", "enforce").stderr)

    assert ["no key of 'acme' is active" in said for said in reports] == [False, True, True]


def test_a_secret_is_shown_once_and_the_notice_goes_to_stderr(run: Run) -> None:
    result = run("add", "acme")
    [*_, line] = result.stdout.splitlines()
    word, secret = line.split()

    assert word == "secret"
    assert "not shown again" in result.stderr
    assert secret not in result.stderr + run("list").output + run("list", "--json").output


def test_a_name_that_the_encoding_of_stdout_does_not_have_is_escaped(run: Run, sync_database: Database) -> None:
    def run_in_cp1252(*words: str) -> Result:
        return CliRunner(charset="cp1252").invoke(hmac_guard, ["keys", *words, "--table", sync_database.table])

    added = run_in_cp1252("add", "Łódź")
    assert added.exit_code == 0
    assert added.stdout_bytes.startswith(b"tenant  \\u0141\xf3d\\u017a\nkey     ")
    assert re.search(rb"\nsecret  [\w-]{43}\n", added.stdout_bytes)
    for command in ("list", "readiness", "audit"):
        listed = run_in_cp1252(command)
        assert listed.exit_code == 0
        assert b"\\u0141\xf3d\\u017a " in listed.stdout_bytes


ODD = "k\x1b[2K\r\x1b]52;c;eA==\x07\u202e\n1"
ODD_SHOWN = r"k\x1b[2K\r\x1b]52;c;eA==\x07\u202e\n1"


@with_one_database
@pytest.mark.parametrize(
    "words",
    [["list"], ["list", "--ending", "2d"], ["list", "a\u202eb"], ["readiness"], ["audit"]],
    ids=" ".join,
)
def test_text_of_a_database_cannot_change_the_terminal(run: Run, sync_database: Database, words: list[str]) -> None:
    added = run("add", "a\u202eb", "--id", "one", "--mode", "report")
    assert added.stdout.startswith("tenant  a\\u202eb\n")
    run("rotate", "a\u202eb", "--id", "two", "--grace", "1d")
    sync_database.sql("UPDATE {keys} SET id = :odd WHERE id = 'one'", odd=ODD)
    sync_database.sql("UPDATE {audit} SET actor = :odd, detail = :detail", odd=ODD, detail=json.dumps({ODD: ODD}))

    result = run(*words)

    assert result.exit_code == 0
    assert not re.search(r"[^\n -~]", result.output)
    assert "a\\u202eb" in result.output
    assert ODD_SHOWN in result.output or words == ["readiness"]


def test_programs_get_the_text_of_a_database_as_it_is(run: Run, sync_database: Database) -> None:
    run("add", "a\u202eb", "--id", "one")
    sync_database.sql("UPDATE {keys} SET id = :odd", odd=ODD)
    sync_database.sql("UPDATE {audit} SET actor = :odd", odd=ODD)

    assert [(key["tenant"], key["id"]) for key in shown(run("list", "--json"))] == [("a\u202eb", ODD)]
    assert [entry["actor"] for entry in shown(run("audit", "--json"))] == [ODD]
    assert [row["tenant"] for row in shown(run("readiness", "--json"))] == ["a\u202eb"]


def test_the_progress_of_a_command_cannot_change_the_terminal(
    run: Run, sync_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    past = sync_database.keys(clock=Clock(time.time() - 40 * 86_400))
    past.add("a\u202eb")
    past.rotate("a\u202eb", grace=0)
    times = iter(range(100))
    monkeypatch.setattr("hmac_guard.cli.keys.time", SimpleNamespace(time=time.time, monotonic=lambda: next(times)))

    assert "deleted 1 so far; the last tenant was a\\u202eb\n" in run("purge", "--older-than", "30d").stderr


def variables(folder: Path) -> dict[str, str]:
    return {"HMAC_GUARD_DB": f"sqlite:///{folder / 'keys.db'}", "OLD_SECRET": KEY}


def in_file(*words: str, folder: Path) -> Result:
    """Run `hmac-guard keys` on a database in a folder."""
    return CliRunner().invoke(hmac_guard, ["keys", *words], env=variables(folder))


def into(target: str, *words: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """The same in a process of its own, with its stdout as the shell writes the target."""
    command = shlex.join([sys.executable, "-m", "hmac_guard.cli", "keys", *words])
    environ = {**os.environ, **variables(folder)}
    return subprocess.run(["sh", "-c", f"{command} {target}"], env=environ, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("command", "target", "tenant"),
    [(["add"], ">/dev/full", "a b"), (["add", "--json"], ">/dev/full", "-x"), (["rotate"], ">/dev/full", "a b")],
    ids=str,
)
def test_a_secret_that_cannot_be_written_is_reported_with_its_key(
    command: list[str], target: str, tenant: str, tmp_path: Path
) -> None:
    in_file("add", "--", tenant, folder=tmp_path)
    result = into(target, *command, "--id", "lost", "--", tenant, folder=tmp_path)

    assert result.returncode == 2
    assert result.stderr.startswith("Error: the key lost is stored, but its secret could not be written (")
    assert "run this command again for a new key, without --id" in result.stderr
    assert in_file(*command, "--", tenant, folder=tmp_path).exit_code == 0
    [retire] = re.findall("`hmac-guard keys (.*)`", result.stderr)
    assert in_file(*shlex.split(retire), folder=tmp_path).exit_code == 0
    [lost] = re.findall(".* lost .*", in_file("list", "--", tenant, folder=tmp_path).stdout)
    assert "ended" in lost
    assert result.stderr.count("\n") == 1


def test_without_stdout_no_key_is_stored(tmp_path: Path) -> None:
    in_file("add", "acme", "--id", "kept", folder=tmp_path)
    for command in ("add", "rotate"):
        assert into(">&-", command, "acme", "--id", "lost", folder=tmp_path).returncode == 2

    assert "lost" not in in_file("list", "acme", folder=tmp_path).stdout


@pytest.mark.skipif(os.name == "nt", reason="not run: Windows has no modes of files")
def test_only_its_owner_can_read_a_new_file_of_sqlite(tmp_path: Path) -> None:
    file = tmp_path / "keys.db"
    assert in_file("add", "acme", folder=tmp_path).exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o600

    file.chmod(0o640)
    assert in_file("add", "acme", folder=tmp_path).exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(os.name == "nt", reason="not run: Windows has no modes of files")
def test_only_its_owner_can_read_a_new_file_of_sqlite_behind_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "keys.db").symlink_to(tmp_path / "stored.db")
    assert in_file("add", "acme", folder=tmp_path).exit_code == 0
    assert (tmp_path / "stored.db").stat().st_mode & 0o777 == 0o600


def test_the_id_of_a_key_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    result = into(">/dev/full", "add", "acme", "--secret-env", "OLD_SECRET", "--id", "k1", folder=tmp_path)

    assert result.returncode == 2
    assert result.stderr.startswith("Error: the key k1 is stored, but its id could not be written (No space left on")
    assert result.stderr.count("\n") == 1


def test_a_table_that_cannot_be_written_is_an_error_of_one_sentence(tmp_path: Path) -> None:
    in_file("add", "acme", folder=tmp_path)
    for command in (["list"], ["list", "--json"]):
        result = into(">/dev/full", *command, folder=tmp_path)

        assert result.returncode == 2
        assert result.stderr == "Error: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize("form", ["text", "hex"])
def test_an_existing_secret_comes_from_a_file_or_the_environment(
    run: Run, sync_database: Database, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    path = tmp_path / "secret"
    path.write_text(KEY)
    monkeypatch.setenv("OLD_SECRET", OTHER_KEY)

    added = run("add", "acme", "--secret-file", str(path), "--secret-form", form)
    rotated = run("rotate", "acme", "--secret-env", "OLD_SECRET", "--secret-form", form)

    assert (added.exit_code, rotated.exit_code) == (0, 0)
    assert KEY not in added.output
    assert sync_database.sql("SELECT secret FROM {keys} ORDER BY made_at") == [
        (f"{form}:{KEY}",),
        (f"{form}:{OTHER_KEY}",),
    ]


SHORT = "Warning: a key of 9 bytes is short; take 32 random ones (hmac-guard keygen)\n"


def test_a_short_secret_causes_a_warning_of_one_line(
    run: Run, sync_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHORT", "abcdefghi")
    words = ["nango", "integration_id=i", "connection_id=c", "--signature", "x"]

    assert run("add", "acme", "--secret-env", "SHORT").stderr == SHORT
    assert on_the_tenant(sync_database, "verify", *words).stderr == SHORT
    assert run("rotate", "acme").stderr == f"{SHORT}The secret is not shown again.\n"


def test_another_warning_is_shown_as_python_does(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SqlKeys, "list", lambda self, tenant: warnings.warn("another one", stacklevel=1))
    with pytest.warns(UserWarning, match="another one"):
        assert run("list", "acme").exit_code == 1


def test_secrets_are_encrypted_and_encrypted_again(
    run: Run, sync_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    monkeypatch.setenv("HMAC_GUARD_MASTER_KEYS", old)
    sync_database.sql("DELETE FROM {settings}")  # made without a master key
    run("add", "acme")
    assert "sealed" in run("list").stdout

    monkeypatch.setenv("HMAC_GUARD_MASTER_KEYS", f"{new},{old}")
    assert run("reseal").stdout == "encrypted 1 secret\n"
    assert shown(run("reseal", "--json")) == {"sealed": 1}

    assert sync_database.ring(sync_database.keys(master_keys=new), "acme") is not None


def test_tables_stay_within_80_columns_with_long_tenant_names(run: Run, sync_database: Database) -> None:
    tenants = ["7c1ce4ba-6a5e-4b2e-9b6d-0f6f6ad4c0de", "a", "t" * 90]
    for tenant in tenants:
        run("add", tenant, "--id", f"of-{tenant[0]}", "--mode", "report")
    run("rotate", tenants[0], "--id", "new")
    keys = sync_database.keys()
    counts = VerdictCounts(keys)
    for reason in Reason:
        counts(Decision(Verdict(reason, "one"), claim_of(tenants[0]), "report", False, 0.0))
    counts.close()

    for command in ("list", "readiness", "audit"):
        lines = run(command).stdout.splitlines()
        assert [line for line in lines if len(line) > 80] in (["t" * 90], [])
        assert (
            all(any(line.strip().startswith(tenant[:80]) for line in lines) for tenant in tenants) or command == "audit"
        )
    listed = [line.split() for line in run("list").stdout.splitlines()]
    assert listed[0] == ["TENANT", "KEY", "MODE", "STATE", "STORED"]
    assert ["a", "of-a", "report", "active", "clear"] in listed
    output = " ".join(run("readiness").stdout.split())
    assert all(f"{reason} 1" in output for reason in (Reason.MISSING_ID, Reason.DUPLICATE, Reason.INVALID_SIGNATURE))


def test_readiness_shows_which_tenants_can_be_enforced(run: Run, sync_database: Database) -> None:
    keys: SqlKeys[Any] = sync_database.keys()
    counts = VerdictCounts(keys)
    for tenant in ("failing", "idle", "ready"):
        keys.add(tenant, mode="report")
    keys.add("off", mode="off")
    for tenant, reason, times in (
        ("off", Reason.OFF, 5),
        ("ready", Reason.VERIFIED, 3),
        ("failing", Reason.VERIFIED, 1),
        ("failing", Reason.MALFORMED, 2),
        ("made up", Reason.UNKNOWN_KEY, 4),
    ):
        for _ in range(times):
            counts(Decision(Verdict(reason, "one"), claim_of(tenant), "report", False, 0.0))
    counts.close()

    assert [line.split() for line in run("readiness").stdout.splitlines()] == [
        ["TENANT", "MODE", "VERIFIED", "REFUSED", "READY"],
        ["(no", "tenant)", "guard", "0", "4", "no", "unknown_key", "4"],
        ["failing", "report", "1", "2", "no", "malformed", "2"],
        ["idle", "report", "0", "0", "unknown", "no", "requests"],
        ["off", "off", "0", "0", "unknown", "5", "not", "checked", "(off)"],
        ["ready", "report", "3", "0", "yes"],
    ]
    assert {row["tenant"]: row["ready"] for row in shown(run("readiness", "--json"))} == {
        "": False,
        "failing": False,
        "idle": False,
        "off": False,
        "ready": True,
    }


def on_the_tenant(database: Database, command: str, *arguments: str, tenant: str = "acme") -> Result:
    return CliRunner().invoke(hmac_guard, [command, *arguments, "--tenant", tenant, "--table", database.table])


def test_verify_and_explain_take_the_keys_of_a_tenant(run: Run, sync_database: Database) -> None:
    keys = sync_database.keys()
    keys.add("acme", OTHER_KEY, key_id="old")
    keys.rotate("acme", KEY, grace=0, key_id="new")
    ids = {"integration_id": "i", "connection_id": "c"}
    for secret, verified in ((KEY, 0), (OTHER_KEY, 1)):
        signature = NANGO.sign(secret, **ids)
        words = [f"{name}={value}" for name, value in ids.items()]
        found = on_the_tenant(sync_database, "verify", "nango", *words, "--signature", signature)
        assert found.exit_code == verified, found.output
        url = f"https://x.example/oauth/connect/i?connection_id=c&hmac={signature}&public_key=acme"
        explained = on_the_tenant(sync_database, "explain", "nango", url)
        assert explained.exit_code == verified, explained.output
    assert "with the id old" in explained.output


@pytest.mark.parametrize("secret", [KEY, OTHER_KEY])
def test_explain_verifies_a_signature_of_each_active_key(run: Run, sync_database: Database, secret: str) -> None:
    keys = sync_database.keys()
    keys.add("acme", OTHER_KEY, key_id="old")
    keys.rotate("acme", KEY, key_id="new")
    signature = NANGO.sign(secret, integration_id="i", connection_id="c")
    url = f"https://x.example/oauth/connect/i?connection_id=c&hmac={signature}&public_key=acme"

    explained = on_the_tenant(sync_database, "explain", "nango", url, "--show-signature")

    assert explained.exit_code == 0
    assert "Verified: the signature is the right one." in explained.output
    assert f"the right signature is {signature}" in re.sub(r"\s+", " ", explained.output)


@pytest.mark.parametrize("query", ["", "&public_key=globex", "&public_key=acme&public_key=acme"])
def test_explain_verifies_only_a_request_that_names_the_tenant(run: Run, sync_database: Database, query: str) -> None:
    sync_database.keys().add("acme", KEY)
    signature = NANGO.sign(KEY, integration_id="i", connection_id="c")
    url = f"https://x.example/oauth/connect/i?connection_id=c&hmac={signature}{query}"

    explained = on_the_tenant(sync_database, "explain", "nango", url)

    assert explained.exit_code == 1, explained.output
    assert "Verified" not in explained.output


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql+psycopg://user:p@s3:cret@127.0.0.1:5432/db", "percent-encode the password"),
        ("postgresql+psycopg://user:p@s3cret@127.0.0.1:5432/db", "write %40 for an '@'"),
        ("postgresql+psycopg://user:p@s3cret/x@127.0.0.1/db", "write %40 for an '@'"),
        ("postgresql+psycopg://user:p@s3cret?x@127.0.0.1/db", "write %40 for an '@'"),
        ("postgresql+psycopg://user:p@/s3cret@127.0.0.1/db", "write %40 for an '@'"),
        ("postgresql+psycopg://user:pw@s3cret?w=x@127.0.0.1/db", "write %40 for an '@'"),
        ("postgresql+psycopg://user:pw@s3cret/w?x=z@127.0.0.1/db", "write %40 for an '@'"),
        ("postgresql+psycopg://user@127.0.0.1:1/db?password=p@s3cret", "write %40 for an '@'"),
        ("postgresql+psycopg://127.0.0.1:1/db?user=me&password=p@s3cret", "write %40 for an '@'"),
        ("postgresql+psycopg://127.0.0.1?user=me&password=p@s3cret", "write %40 for an '@'"),
        ("postgresql+psycopg://user@[::1]/db?password=p@s3cret", "write %40 for an '@'"),
        ("postgresql+psycopg://127.0.0.1/user:s3cret?x@127.0.0.1:1/db", "%2F for a '/'"),
        ("postgresql+psycopg://user:s3cret@127.0.0.1:abc/db", "percent-encode the password"),
        ("postgresql+psycopg://user:s3cret@[::1/db", "percent-encode the password"),
        ("sqlite:///x?timeout=s3cret", "percent-encode the password"),
        ("sqlite:///x?timeout=1\n", "starts or ends with white space"),
    ],
)
@pytest.mark.parametrize("place", ["--db", "HMAC_GUARD_DB"])
def test_a_url_of_a_database_that_is_not_valid_is_an_error_that_shows_no_password(
    url: str, said: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HMAC_GUARD_DB", url)
    arguments = ["--db", url] if place == "--db" else []

    result = CliRunner().invoke(hmac_guard, ["keys", "list", *arguments])

    assert result.exit_code == 2
    assert said in result.output
    assert "cret" not in result.output


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:///{folder}/a@b@c.db", "there is no database"),
        ("postgresql+psycopg://me@server:s3cret@127.0.0.1:1/db", "the database reports an error"),
        ("postgresql+psycopg://me@server:s3/cret+9@127.0.0.1:1/db", "the database reports an error"),
        ("postgresql+psycopg://me:s3&cret?9@127.0.0.1:1/db", "the database reports an error"),
        ("postgresql+psycopg://me:s3?x=cret@127.0.0.1:1/db", "the database reports an error"),
        ("postgresql+psycopg://me:s3cret@127.0.0.1:1/keys%40x", "the database reports an error"),
        ("postgresql+psycopg://me@127.0.0.1/db?port=1&password=p@s3cret", "the database reports an error"),
    ],
)
def test_a_url_of_a_database_may_have_an_at_where_it_ends_no_password(url: str, said: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(hmac_guard, ["keys", "list"], env={"HMAC_GUARD_DB": url.format(folder=tmp_path)})

    assert result.exit_code == 2
    assert said in result.output
    assert "cret" not in result.output


DRIVER = "the driver pymysql cannot use the URL of the database ("
CHARSET = "SqlKeys: with another charset than UTF-8"


@pytest.mark.parametrize(
    ("rest", "said", "fix"),
    [
        *(
            (rest, DRIVER, "check its host, its password, and its options")
            for rest in (
                "@127.0.0.1:1/db?ssl_mode=REQUIRED",
                "@127.0.0.1:1/db?ssl=true",
                "@127.0.0.1:1/db?read_timeout=-1",
                "@127.0.0.1:1/db?ssl_ca=/nowhere",
                "@a..b/db",
                "€@127.0.0.1:1/db",
            )
        ),
        ("@127.0.0.1:1/db?charset=nonsense", CHARSET, "write charset=utf8mb4 in the URL"),
        ("@127.0.0.1:1/db?charset=gbk", CHARSET, "write charset=utf8mb4 in the URL"),
    ],
)
def test_a_url_that_the_driver_or_the_keys_do_not_take_is_an_error(
    rest: str, said: str, fix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pymysql", reason="not run: PyMySQL is not installed")
    monkeypatch.setenv("HMAC_GUARD_DB", f"mysql+pymysql://user:s3cret-of-a-user{rest}")

    result = CliRunner().invoke(hmac_guard, ["keys", "list"])

    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: {said}")
    assert fix in result.stderr
    assert "s3cret" not in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["keys", "audit", "--tenant", "\udcff"],
        ["keys", "audit", "--actor", "\udcff"],
        ["keys", "audit", "--before", str(2**63)],
        ["keys", "list", "--after", "\udcff"],
        ["keys", "list", "--prefix", "\udcff"],
        ["keys", "readiness", "--after", "\udcff"],
        ["keys", "readiness", "--prefix", "\udcff"],
        ["keys", "reseal", "--after", "\udcff"],
        ["verify", "nango", "integration_id=i", "connection_id=c", "--signature", "x", "--tenant", "\udcff"],
    ],
    ids=lambda words: " ".join(words[:3]),
)
def test_an_argument_that_no_database_can_store_is_an_error(run: Run, arguments: list[str]) -> None:
    result = CliRunner().invoke(hmac_guard, arguments)

    assert result.exit_code == 2
    assert any(text in result.output for text in ("is not UTF-8; check the encoding", "is not in the range"))


NOT_A_TENANT = "the tenant '\\udcff' is none that a request could name"


def test_a_grace_time_after_the_year_9999_is_an_error(run: Run) -> None:
    run("add", "acme")
    result = run("rotate", "acme", "--grace", "9999999d")

    assert result.exit_code == 2
    assert "grace must end before the year 9999" in result.output
    assert run("list").exit_code == run("audit").exit_code == 0


@pytest.mark.parametrize(
    ("tenant", "arguments", "said"),
    [
        pytest.param("unknown", [], "there is no tenant 'unknown'", id="an unknown tenant"),
        pytest.param("acme", [], "no active key", id="no active key"),
        pytest.param("globex", ["--key-env", "KEY"], "given twice", id="two keys"),
        pytest.param("globex", ["--db", ""], "HMAC_GUARD_DB", id="no database"),
    ],
)
def test_a_tenant_without_a_key_is_an_error(
    run: Run, sync_database: Database, tenant: str, arguments: list[str], said: str
) -> None:
    keys = sync_database.keys()
    keys.retire("acme", keys.add("acme").id)
    keys.add("globex")
    words = ["nango", "integration_id=i", "connection_id=c", "--signature", "x", *arguments]
    result = on_the_tenant(sync_database, "verify", *words, tenant=tenant)

    assert result.exit_code == 2
    assert said in result.stderr


def test_lists_are_filtered_and_continue_after_a_tenant(
    run: Run, sync_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hmac_guard.cli.keys.PAGE", 2)
    keys = sync_database.keys()
    for name in ("a", "Z", "b", "\u00e9", "c", "b2"):
        keys.add(name, mode="report" if name in "bZ" else None)
    keys.rotate("c")

    def names(*options: str) -> list[str]:
        return list(dict.fromkeys(key["tenant"] for key in shown(run("list", "--json", *options))))

    assert names() == ["Z", "a", "b", "b2", "c", "\u00e9"]
    assert names("--after", "a") == ["b", "b2", "c", "\u00e9"]
    assert names("--limit", "3") == ["Z", "a", "b"]
    assert names("--limit", "3", "--after", "b2") == ["c", "\u00e9"]
    assert names("--prefix", "b") == ["b", "b2"]
    assert names("--mode", "report") == ["Z", "b"]
    assert names("--mode", "guard", "--limit", "2") == ["a", "b2"]
    assert names("--ending", "2d") == ["c"]
    assert names("--ending", "2d", "--mode", "report") == names("--ending", "1h") == names("--used") == []
    assert [row["tenant"] for row in shown(run("readiness", "--json", "--mode", "report"))] == ["Z", "b"]
    assert [row["tenant"] for row in shown(run("readiness", "--json"))] == ["Z", "a", "b", "b2", "c", "\u00e9"]


def test_an_unknown_tenant_is_reported_and_the_exit_code_is_1(run: Run) -> None:
    for arguments in (["unknown"], ["unknown", "--json"], ["\udcff"]):
        result = run("list", *arguments)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "no tenant" in result.stderr


@with_one_database
@pytest.mark.parametrize(
    "options",
    [
        ["--prefix", "a"],
        ["--mode", "guard"],
        ["--never-used"],
        ["--ready"],
        ["--ending", "7d"],
        ["--limit", "5"],
        ["--after", "a"],
    ],
    ids=" ".join,
)
def test_the_list_of_one_tenant_takes_no_option_that_chooses_tenants(run: Run, options: list[str]) -> None:
    run("add", "acme")
    result = run("list", "acme", *options)

    assert (result.exit_code, result.stdout) == (2, "")
    assert "leave them out, or leave out TENANT" in result.stderr


def test_each_change_is_in_the_audit_with_the_user_of_the_process(run: Run, sync_database: Database) -> None:
    user = getpwuid(os.getuid()).pw_name
    key = shown(run("add", "acme", "--json"))["id"]
    for arguments in (
        ["rotate", "acme"],
        ["note", "acme", key, "by hand"],
        ["mode", "acme", "off"],
        ["retire", "acme", key],
    ):
        assert run(*arguments).exit_code == 0
    sync_database.keys().add("globex", actor="ann")

    entries = shown(run("audit", "--json"))
    assert [(entry["actor"], entry["action"]) for entry in entries] == [
        ("ann", "add"),
        *((user, action) for action in ("retire", "mode", "note", "rotate", "add")),
    ]
    assert [entry["id"] for entry in shown(run("audit", "--json", "--tenant", "globex"))] == [entries[0]["id"]]
    assert len(shown(run("audit", "--json", "--actor", user, "--limit", "2"))) == 2
    assert shown(run("audit", "--json", "--action", "add", "--before", str(entries[0]["id"]))) == [entries[-1]]
    assert "by hand" in run("list", "acme", "--json").stdout
    assert "note by hand" in run("audit").stdout


def test_old_keys_are_deleted(run: Run, sync_database: Database) -> None:
    clock = Clock(time.time() - 40 * 86_400)
    past = sync_database.keys(clock=clock)
    for tenant in ("acme", "globex"):
        past.add(tenant, key_id="old")
        past.rotate(tenant, grace=0, key_id="newer")
    sync_database.keys().retire("acme", "newer")

    assert run("purge", "--older-than", "12h").exit_code == 2
    assert run("purge", "--older-than", "41d").stdout == "deleted 0 keys\n"
    assert shown(run("purge", "--older-than", "30d", "--json")) == {"deleted": 2}

    assert [key.id for key in sync_database.keys().list()] == ["newer", "newer"]
    assert [entry.detail for entry in sync_database.keys().audit(action="purge")] == [{"keys": ["old"]}] * 2

    past.add("acme", key_id="third", not_after=clock.now + 60)
    assert run("purge", "--older-than", "30d").stdout == "deleted 1 key\n"


def test_every_cache_sees_a_change(run: Run, sync_database: Database) -> None:
    run("add", "other")
    with own_redis() as server:
        cached = CachedKeys(sync_database.keys(), ttl=3_600, negative_ttl=3_600, timeout=TIMEOUT)
        news = RedisInvalidation(server.url)
        follow(cached, news, "other")
        assert cached(claim_of("acme")) is None

        assert run("add", "acme", "--redis", server.url).exit_code == 0

        assert becomes_true(lambda: cached(claim_of("acme")) is not None)
        news.close()


def test_a_change_is_made_if_redis_cannot_be_reached(run: Run) -> None:
    result = run("add", "acme", "--redis", "redis://127.0.0.1:1/0")

    assert result.exit_code == 0
    assert "Redis cannot be reached" in result.stderr
    assert "acme" in run("list").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["rotate", "unknown"], "no tenant 'unknown'", id="rotate an unknown tenant"),
        pytest.param(["retire", "acme", "x"], "no key 'x'", id="retire an unknown key"),
        pytest.param(["reseal"], "nothing to seal with", id="no master key"),
    ],
)
def test_what_the_database_shows_to_be_wrong_is_an_error(run: Run, arguments: list[str], said: str) -> None:
    is_one_sentence_with_its_fix(run, arguments, said)


@with_one_database
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["rotate", "acme", "--grace", "1y"], "write it like 90s", id="a grace in years"),
        pytest.param(["rotate", "acme", "--grace", "24"], "write it like 90s", id="a grace without its unit"),
        pytest.param(["rotate", "acme", "--grace", "\N{ARABIC-INDIC DIGIT ONE}h"], "90s", id="a grace in other digits"),
        pytest.param(["mode", "acme", "on"], "'enforce', 'report', 'off', 'guard'", id="an unknown mode"),
        pytest.param(["add", " acme"], "none that a request could name", id="white space in a tenant"),
        pytest.param(["add", "acme", "--secret-env", "NOT_SET"], "NOT_SET is not set", id="a variable that is not set"),
        pytest.param(["add", "acme", "--secret-file", "/none"], "/none cannot be read", id="a missing file"),
        pytest.param(["rotate", "acme", "--secret-file", ""], "'--secret-file': it is empty", id="no name of a file"),
        pytest.param(["add", "acme", "--secret-env", ""], "'--secret-env': it is empty", id="no name of a variable"),
        pytest.param(["add", "acme", "--secret-env", "A", "--secret-file", "B"], "not both", id="two secrets"),
        pytest.param(["add", "\udcff"], NOT_A_TENANT, id="add a tenant that is not UTF-8"),
        pytest.param(["mode", "\udcff", "off"], NOT_A_TENANT, id="the mode of a tenant that is not UTF-8"),
        pytest.param(["rotate", "\udcff"], NOT_A_TENANT, id="rotate a tenant that is not UTF-8"),
        pytest.param(["retire", "\udcff", "k"], NOT_A_TENANT, id="retire a key of a tenant that is not UTF-8"),
        pytest.param(["note", "\udcff", "k", "text"], NOT_A_TENANT, id="a note for a tenant that is not UTF-8"),
        pytest.param(["list", "--db", "nonsense"], "write it like", id="no URL"),
        pytest.param(["list", "--db", "postgresql+asyncpg://h/d"], "async driver", id="an async driver"),
        pytest.param(["list", "--db", "oracle://h/d"], "is not installed", id="a driver that is not installed"),
        pytest.param(["list", "--db", "postgresql+psycopg://127.0.0.1:1/d"], "refused", id="an unreachable database"),
        pytest.param(["list", "--db", ""], "HMAC_GUARD_DB", id="no database"),
        pytest.param(["add", "acme", "--redis", "nonsense"], "give a URL like", id="no URL of a Redis"),
    ],
)
def test_an_error_is_one_sentence_with_its_fix(run: Run, arguments: list[str], said: str) -> None:
    is_one_sentence_with_its_fix(run, arguments, said)


def is_one_sentence_with_its_fix(run: Run, arguments: list[str], said: str) -> None:
    run("add", "acme")
    result = run(*arguments)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert said in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "words", [["acme", "--secret-file", "/none"], [" acme"]], ids=["no secret", "no name of a tenant"]
)
def test_an_argument_that_cannot_be_used_leaves_no_tables(tmp_path: Path, words: list[str]) -> None:
    result = in_file("add", *words, folder=tmp_path)

    assert result.exit_code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["list"], ["rotate", "acme"], ["readiness"]], ids=" ".join)
def test_a_missing_file_of_sqlite_is_reported_and_not_created(tmp_path: Path, words: list[str]) -> None:
    result = in_file(*words, folder=tmp_path)

    assert result.exit_code == 2
    assert "there is no database" in result.stderr
    assert "`hmac-guard keys add`" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_missing_table_is_reported(run: Run, sync_database: Database) -> None:
    sync_database.sql("DROP TABLE {tenants}")
    result = run("list")

    assert result.exit_code == 2
    assert f"{sync_database.table[:-5]}_tenants" in result.stderr
    assert "`hmac-guard keys add` creates the tables" in result.stderr


@with_one_database
@pytest.mark.parametrize(
    ("option", "url"),
    [
        ("db", "postgresql+psycopg://me:hunter2@127.0.0.1:1/d"),
        ("db", "postgresql+psycopg://me:hunter2/#?@127.0.0.1:1/d"),
        ("db", "postgresql+psycopg://me@127.0.0.1:1/d?password=hunter2"),
        ("db", "postgresql+psycopg://127.0.0.1:1/d?connect_timeout=1&sslPassword=hunter2"),
        ("db", "mysql+pymysql://me@127.0.0.1:1/d?passwd=hunter2"),
        ("redis", "redis://:hunter2@127.0.0.1:1/0"),
        ("redis", "redis://127.0.0.1:1?password=hunter2"),
    ],
)
def test_a_password_in_an_argument_causes_a_warning(run: Run, option: str, url: str) -> None:
    result = run("add", "acme", f"--{option}", url)

    assert f"the password in --{option}" in result.stderr
    assert f"HMAC_GUARD_{option.upper()}" in result.stderr
    assert "hunter2" not in result.output


@with_one_database
@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://me@127.0.0.1:1/d?passfile=/x",
        "sqlite:///none/k@k.db",
        "sqlite:///C:/none/a@b.db",
        "sqlite:////none//x:y/a@b.db",
    ],
)
def test_an_argument_without_a_password_causes_no_warning(run: Run, url: str) -> None:
    assert "Warning" not in run("list", "--db", url).output


def test_a_password_in_a_variable_causes_no_warning(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HMAC_GUARD_DB", "postgresql+psycopg://me:hunter2@127.0.0.1:1/d")

    assert "Warning" not in run("list").output
