"""docs/webhooks.md is true: its code runs as printed, and its table says what the presets do."""

import re
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any
from wsgiref.simple_server import make_server

import pytest
from documentation.pages import exports
from documented import blocks, text_of
from installed import environ_of_a_shell
from support import Call, Sent

from hmac_guard import Expires, Guard, Header, Query, Scheme, schemes
from hmac_guard.once import MemoryOnce
from hmac_guard.schemes import signed_ids

pytest.importorskip("sqlalchemy", reason="not run: SQLAlchemy is not installed")

PAGE = text_of("docs/webhooks.md")
BLOCKS = blocks("docs/webhooks.md")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| `")]
NOW = 1_800_000_000


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_each_block_runs(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in exports("docs/webhooks.md").items():
        monkeypatch.setenv(name, value)
    names = BLOCKS[number].run()

    store = names.get("store")
    if store is not None:
        store.engine.dispose()


def test_the_blocks_are_found() -> None:
    assert len(BLOCKS) == 6


def test_the_commands_send_a_webhook_that_is_verified(tmp_path: Path) -> None:
    pytest.importorskip("click", reason="not run: click is not installed")
    for program in ("bash", "curl"):
        if shutil.which(program) is None:
            pytest.skip(f"not run: {program} is not installed")
    [commands] = [block.code for block in blocks("docs/webhooks.md", "console") if "curl" in block.code]
    received: list[bytes] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        received.append(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        start_response("200 OK", [("Content-Length", "0")])
        return []

    server = make_server("127.0.0.1", 0, BLOCKS[0].run()["guard"].wsgi(application))
    threading.Thread(target=server.handle_request).start()
    script = "".join(line.removeprefix("$ ") + "\n" for line in commands.splitlines())
    script = script.replace("127.0.0.1:8000", f"127.0.0.1:{server.server_port}").replace("curl", "curl --silent --fail")
    done = subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, env=environ_of_a_shell(tmp_path), check=False)
    server.server_close()

    assert done.returncode == 0
    assert received == [b'{"type": "invoice.paid"}']


def test_the_headers_of_standard_webhooks_are_those_that_the_page_names() -> None:
    fields = schemes.STANDARD_WEBHOOKS.sign_fields(KEY, message_id="msg_1", now=NOW, body=b"{}")
    [names] = re.findall(r"send the headers (.*?)\.", PAGE, re.DOTALL)

    assert [name.split(":")[0] for name in re.findall(r"`(.*?)`", names)] == sorted(fields.headers, key=names.find)


def test_the_table_says_what_the_presets_do() -> None:
    rows = {row[0].strip("`"): row for row in ROWS if row[0].strip("`") in schemes.__all__}
    assert len(rows) == 7
    for name, (_, message, place, time, *_) in rows.items():
        scheme: Scheme = getattr(schemes, name)
        [source] = scheme.signature.places()
        header = source.parameter[1] if source.parameter else ""
        assert message.strip("`") == scheme.message or message.startswith("the same")
        assert place.startswith(f"`{header}`")
        assert ("items" in place) == hasattr(source, "key")
        assert (time == "none") == (scheme.timestamp is None)
        if scheme.timestamp is not None:
            is_symmetric = scheme.timestamp.leeway == scheme.timestamp.max_age == 300
            assert time == ("300 s in the past or future" if is_symmetric else "300 s in the past, 60 s in the future")


INBOX = signed_ids(
    ids={"user_id": Query("user_id"), "team": Header("X-Team")},
    expires=Expires(Query("expires"), max_lifetime=3_600),
    nonce=Header("X-Nonce"),
)
KEY = "8f1c6f0f5b1f4b6d9f6a2d7e4c3b2a19"


def sent(**ids: str) -> Sent:
    given = {"user_id": "u1", "team": "t:1.2", "nonce": "n1", **ids}
    fields = INBOX.sign_fields(KEY, given, now=NOW)
    query = "&".join(f"{name}={value}" for name, value in fields.query.items())
    return Sent(query=query, headers=list(fields.headers.items()))


def test_signed_ids_are_verified_once(call: Call) -> None:
    guard = Guard(INBOX, KEY, single_use=MemoryOnce(10), clock=lambda: NOW)
    reply = call(guard, sent())

    assert dict(reply.verdict.ids) == {"user_id": "u1", "team": "t:1.2", "nonce": "n1"}
    assert reply.verdict.expires_at == NOW + 1_800
    assert call(guard, sent()).status == 401
    assert call(guard, sent(nonce="n2")).status == 200
    assert call(guard, sent(nonce="n3", user_id="u.1:2|x")).status == 200


def test_signed_ids_sign_their_parts_in_order_with_newlines_between() -> None:
    import hashlib
    import hmac

    signed = hmac.new(KEY.encode(), b"u1\nt\nn\n1900000000", hashlib.sha256).hexdigest()

    assert INBOX.sign(KEY, user_id="u1", team="t", nonce="n", expires=1_900_000_000) == signed


def test_signed_ids_without_a_nonce_and_with_other_places() -> None:
    plain = signed_ids(
        ids={"a": Query("a")},
        expires=Expires(Query("e"), max_lifetime=5),
        signature=Query("s"),
        tenant=Query("t"),
        name="x",
    )

    assert (plain.name, plain.message, list(plain.ids)) == ("x", "{a}\n{expires}", ["a"])
    assert plain.tenant == Query("t")


@pytest.mark.parametrize("ids", [{"nonce": Query("n")}, ["a"], {}])
def test_signed_ids_that_cannot_be_meant_are_refused(ids: Any) -> None:
    with pytest.raises(ValueError, match="ids"):
        signed_ids(ids=ids, expires=Expires(Query("e"), max_lifetime=5))
