"""The option --rows of `sign` and `verify`: each row is written with its result, and a terminal shows progress."""

import contextlib
import csv
import hashlib
import hmac
import io
import json
import os
import pty
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from interrupts import restore_interrupts

pytest.importorskip("click", reason="not run: click is not installed")

from click.testing import CliRunner
from waiting import TIMEOUT

from hmac_guard.cli.commands import hmac_guard

KEY = "the-key-that-signs-all-of-this"
COMMAND = [sys.executable, "-m", "hmac_guard.cli"]
SIGN_ROWS = ["sign", "nango", "--key-env", "KEY", "--rows", "jsonl"]


def run(*words: str, given: str | bytes) -> tuple[int, str]:
    result = CliRunner().invoke(hmac_guard, [*words, "--key-env", "KEY"], input=given, env={"KEY": KEY})
    return result.exit_code, result.output


def signed(message: str) -> str:
    return hmac.new(KEY.encode(), message.encode(), hashlib.sha256).hexdigest()


def lines(*rows: object) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_json_lines_are_signed_and_their_other_fields_kept() -> None:
    given = lines({"integration_id": "a", "connection_id": "ü", "note": [1]}, {"integration_id": "b"})

    code, output = run("sign", "vendor_rule:VENDOR_NANGO", "--rows", "jsonl", given=given + "\n  \n")

    assert code == 0
    assert [json.loads(line) for line in output.splitlines()] == [
        {"integration_id": "a", "connection_id": "ü", "note": [1], "signature": signed("a:ü")},
        {"integration_id": "b", "signature": signed("b")},
    ]


@pytest.mark.parametrize("space", ["", " ", "\t \r"])
def test_the_other_fields_of_json_stay_as_they_are_written(space: str) -> None:
    ids = ['"integration_id":"a"', '"connection_id": "\\u00fc"']
    others = [
        *(
            '"big": 1e400',
            '"exact": 0.10000000000000000555',
            '"zero": 1.50',
            '"minus":-0',
            '"ten": 1E+1',
            '"text": "\\u00e9é"',
        ),
        *('"": "}, {"', '"deep": {"a": [1e400, {"b":0.0}], "c": {}}', '"list": [ ]', '"none": null'),
    ]
    old = '"\\u0073ignature": "old"'
    given = f"{{{space}{f'{space},{space}'.join([*ids, old, *others])}{space}}}{space}\n"

    code, output = run("sign", "nango", "--rows", "jsonl", given=given + f"{{{space}{', '.join(ids)}}}")
    new = f'"signature": "{signed("a:ü")}"'
    assert code == 0
    assert output.split("\n") == [f"{{{', '.join([*ids, new, *others])}}}", f"{{{', '.join([*ids, new])}}}", ""]

    code, output = run("verify", "nango", "--rows", "jsonl", given=output)
    assert code == 0
    assert output.startswith(f'{{{", ".join([*ids, new, *others])}, "verified": true, "reason": "verified"}}\n')


def test_a_lone_surrogate_is_written_as_an_escape_again() -> None:
    given = r'{"integration_id": "\ud800", "note": "ü\udfff", "signature": "\ud800"}' + "\n"

    code, output = run("verify", "vendor_rule:VENDOR_NANGO", "--rows", "jsonl", given=given)

    assert code == 1
    assert json.loads(output) == {**json.loads(given), "verified": False, "reason": "malformed"}


@pytest.mark.parametrize(
    ("form", "given"),
    [("jsonl", '{"integration_id": "ü", "connection_id": "Ł"}\n'), ("csv", "integration_id,connection_id\nü,Ł\n")],
)
def test_rows_are_written_as_utf_8_in_every_locale(form: str, given: str) -> None:
    words = [*SIGN_ROWS[:-1], form]
    result = CliRunner(charset="cp1252").invoke(hmac_guard, words, input=given.encode(), env={"KEY": KEY})
    code, output = run("verify", "nango", "--rows", form, given=result.stdout_bytes)

    assert signed("ü:Ł").encode() in result.stdout_bytes
    assert "ü" in result.stdout_bytes.decode()
    assert "Ł" in result.stdout_bytes.decode()
    assert (code, "true" in output) == (0, True)


@pytest.mark.parametrize("body", [r"\ud800", r"a\udcffb"])
def test_a_body_with_a_lone_surrogate_is_malformed(body: str) -> None:
    row, good = f'{{"body": "{body}", "signature": "a"}}\n', f"sha256={signed('x')}"

    code, output = run("verify", "github", "--rows", "jsonl", given=row + lines({"body": "x", "signature": good}))
    assert (code, [json.loads(line)["reason"] for line in output.splitlines()]) == (1, ["malformed", "verified"])

    code, output = run("sign", "github", "--rows", "jsonl", given=row)
    assert (code, output.splitlines()) == (
        2,
        ["Error: line 1: the body has a lone surrogate and no UTF-8 form; give the text that is sent"],
    )


def test_csv_is_signed_and_keeps_its_cells() -> None:
    given = '\ufeffintegration_id,note,connection_id\r\na,"x, ""y""\nz",ü\r\nb,,\r\n'

    code, output = run("sign", "vendor_rule:VENDOR_NANGO", "--rows", "csv", given=given)

    assert code == 0
    assert list(csv.DictReader(io.StringIO(output))) == [
        {"integration_id": "a", "note": 'x, "y"\nz', "connection_id": "ü", "signature": signed("a:ü")},
        {"integration_id": "b", "note": "", "connection_id": "", "signature": signed("b")},
    ]


@pytest.mark.parametrize("cell", ["a\rb", "\r", "a\nb", "a,b", 'a"b'])
def test_a_cell_of_csv_is_read_as_it_was_written(cell: str) -> None:
    given = f'integration_id,connection_id,note\na,b,"{cell.replace(chr(34), chr(34) * 2)}"\n'
    _, signatures = run("sign", "nango", "--rows", "csv", given=given)
    code, output = run("verify", "nango", "--rows", "csv", given=signatures)

    assert code == 0
    assert [row["note"] for row in csv.DictReader(io.StringIO(output, newline=""))] == [cell]


@pytest.mark.parametrize("names", ["integration_id,connection_id,,", ",integration_id,connection_id,"])
def test_several_columns_of_csv_may_have_no_name_if_they_are_empty(names: str) -> None:
    row = names.replace("integration_id", "a").replace("connection_id", "b")

    code, output = run("sign", "nango", "--rows", "csv", given=f"{names}\n{row}\n")
    assert code == 0
    assert [cells["signature"] for cells in csv.DictReader(io.StringIO(output))] == [signed("a:b")]

    code, output = run("sign", "nango", "--rows", "csv", given=f"{names}\n{row}x\n")
    assert (code, output) == (2, "Error: line 2 has a cell without a name; name its column in the first line\n")


def test_rows_are_verified_each_with_its_reason() -> None:
    given = lines(
        {"integration_id": "a", "connection_id": "b", "signature": signed("a:b")},
        {"integration_id": "a", "connection_id": "c", "signature": signed("a:b")},
        {"connection_id": "b", "signature": signed("a:b")},
        {"integration_id": "a", "connection_id": "b"},
        {"integration_id": "a", "signature": signed("a")},
        {"integration_id": "a", "connection_id": 5, "signature": signed("a:5")},
        {"integration_id": "a:b", "connection_id": "c", "signature": signed("a:b:c")},
        {"integration_id": "a", "connection_id": " b", "signature": signed("a: b")},
    )

    code, output = run("verify", "nango", "--rows", "jsonl", given=given)

    reasons = [json.loads(line)["reason"] for line in output.splitlines()]
    assert code == 1
    assert reasons == [
        "verified",
        "invalid_signature",
        "missing_id",
        "missing_signature",
        "missing_id",
        "malformed",
        "ambiguous",
        "malformed",
    ]
    assert [json.loads(line)["verified"] for line in output.splitlines()] == [True] + [False] * 7


def test_what_was_signed_as_csv_is_verified_as_csv() -> None:
    scheme = "vendor_rule:VENDOR_NANGO"
    _, signatures = run("sign", scheme, "--rows", "csv", given="integration_id,connection_id\na,b\nc,\n")

    code, output = run("verify", scheme, "--rows", "csv", given=signatures)

    assert code == 0
    assert [(row["verified"], row["reason"]) for row in csv.DictReader(io.StringIO(output))] == [
        ("true", "verified")
    ] * 2


def test_one_signature_is_verified_as_json() -> None:
    ids = ["integration_id=a", "connection_id=b", "--signature"]
    code, output = run("verify", "nango", *ids, signed("a:b"), "--json", given="")
    assert (code, json.loads(output)) == (0, {"verified": True, "reason": "verified"})

    code, output = run("verify", "nango", *ids, signed("a:c"), "--json", given="")
    assert (code, json.loads(output)) == (1, {"verified": False, "reason": "invalid_signature"})


@pytest.mark.parametrize(
    ("words", "given", "sentence"),
    [
        (
            ["sign", "nango", "--rows", "jsonl"],
            lines({"integration_id": "a", "connection_id": "b"}) + "{",
            "line 2 is not a JSON object",
        ),
        (["sign", "nango", "--rows", "jsonl"], "[1]\n", "line 1 is not a JSON object; give one object per line"),
        (["sign", "nango", "--rows", "jsonl"], "[" * 100_000, "line 1 is not a JSON object"),
        (["sign", "nango", "--rows", "jsonl"], lines({"connection_id": "a"}), "line 1: sign: the id 'integration_id'"),
        (["sign", "nango", "--rows", "jsonl"], lines({"integration_id": "a"}), "line 1: sign: the id 'connection_id'"),
        (
            ["sign", "nango", "--rows", "jsonl"],
            lines({"integration_id": 7, "connection_id": "b"}),
            "line 1: sign: the id 'integration_id' must",
        ),
        (["sign", "nango", "--rows", "jsonl"], b"\xff\n", "line 1 is not UTF-8; convert the input first"),
        (["sign", "nango", "--rows", "csv"], "integration_id\na,b\n", "line 2 has a different number of cells"),
        (["sign", "nango", "--rows", "csv"], "integration_id,x\na\n", "line 2 has a different number of cells"),
        (["sign", "nango", "--rows", "csv"], 'integration_id\n"a', "is not CSV"),
        (["sign", "nango", "integration_id=a", "--rows", "csv"], "", "--rows reads ids and signatures from stdin"),
        (["verify", "nango", "--signature", "x", "--rows", "csv"], "", "--rows reads ids and signatures from stdin"),
        (
            ["verify", "nango", "integration_id=a", "connection_id=b"],
            "",
            "the signature is missing; add --signature SIGNATURE",
        ),
    ],
)
def test_a_row_that_cannot_be_read_is_named(words: Sequence[str], given: str | bytes, sentence: str) -> None:
    code, output = run(*words, given=given)

    assert code == 2
    assert sentence in output


def test_each_row_is_written_before_the_next_row_is_read() -> None:
    with subprocess.Popen(
        [*COMMAND, *SIGN_ROWS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "KEY": KEY}
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for text in ("a", "b", "c"):
            process.stdin.write(lines({"integration_id": text, "connection_id": "x"}).encode())
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["signature"] == signed(f"{text}:x")
        process.stdin.close()
        assert process.wait(TIMEOUT) == 0


@pytest.mark.parametrize("command", ["sign", "verify"])
def test_ctrl_c_does_not_mean_that_a_row_is_not_verified(command: str) -> None:
    words = [*COMMAND, command, *SIGN_ROWS[1:]]
    with subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "KEY": KEY},
        preexec_fn=restore_interrupts,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(lines({"integration_id": "a", "connection_id": "b", "signature": signed("a:b")}).encode())
        process.stdin.flush()
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=TIMEOUT)

    assert (process.returncode, errors) == (2, b"Error: stopped\n")


ROWS = lines(*({"integration_id": "a", "connection_id": f"c{number}"} for number in range(2000))).encode()


def on_a_terminal(before: str, behind: str) -> bytes:
    """Return what the command draws on a terminal, with shell code before and after it."""
    ours, theirs = pty.openpty()
    command = f"{before} {shlex.join([*COMMAND, *SIGN_ROWS])} {behind}"
    with subprocess.Popen(["sh", "-c", command], stderr=theirs, env={**os.environ, "KEY": KEY}) as process:
        os.close(theirs)
        drawn = b""
        with contextlib.suppress(OSError):  # raised when the other side is closed
            while piece := os.read(ours, 65536):
                drawn += piece
        os.close(ours)
        assert process.wait(TIMEOUT) == 0
    return drawn


def test_a_progress_bar_is_drawn_on_a_terminal(tmp_path: Path) -> None:
    rows, out = tmp_path / "rows.jsonl", tmp_path / "out"
    rows.write_bytes(ROWS)

    from_a_file = on_a_terminal("", f"< {rows} > {out}")
    from_a_pipe = on_a_terminal(f"cat {rows} |", f"> {out}.piped")

    assert f"{len(ROWS)}/{len(ROWS)}".encode() in from_a_file
    assert b"bytes" in from_a_pipe
    assert out.read_bytes() == Path(f"{out}.piped").read_bytes()
    assert len(out.read_bytes().splitlines()) == 2000


def test_nothing_is_drawn_without_a_terminal() -> None:
    done = subprocess.run(
        [*COMMAND, *SIGN_ROWS], input=ROWS, capture_output=True, env={**os.environ, "KEY": KEY}, check=True
    )

    assert len(done.stdout.splitlines()) == 2000
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("form", "given", "error"),
    [
        ("csv", "integration_id,connection_id,integration_id\na,b,c\n", "line 1 has the name 'integration_id' twice"),
        ("csv", "integration_id,connection_id,note,note\na,b,c,d\n", "line 1 has the name 'note' twice"),
        (
            "jsonl",
            '{"integration_id": "a", "connection_id": "b"}\n'
            '{"integration_id": "a", "connection_id": "b", "integration_id": "c"}\n',
            "line 2 has the name 'integration_id' twice",
        ),
        (
            "jsonl",
            '{"integration_id": "a", "connection_id": "b", "note": {"x": 1, "x": 2}}\n',
            "has the name 'x' twice",
        ),
    ],
)
@pytest.mark.parametrize("command", ["sign", "verify"])
def test_a_name_that_is_in_a_row_twice_is_refused(command: str, form: str, given: str, error: str) -> None:
    code, output = run(command, "nango", "--rows", form, given=given)

    assert code == 2
    assert output.splitlines()[-1].startswith("Error: line ")
    assert f"{error}; give each name once" in output
