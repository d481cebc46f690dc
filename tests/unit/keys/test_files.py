"""Keys from files, as containers get them: read again when they change; a bad change is not used."""

import logging
import os
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from key_sources import KEY, OTHER_KEY, claim_of
from support import Call, Sent
from waiting import TIMEOUT

from hmac_guard import ConfigError, Guard, KeysUnavailable, Query, Scheme
from hmac_guard.keys import ChainKeys, FileKeys, files

SCHEME = Scheme(name="one", ids={"a": Query("a")}, message="{a}", signature=Query("sig"), tenant=Query("t"))


@pytest.fixture(autouse=True)
def look_at_every_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "EVERY", 0.0)


def verifies(keys: FileKeys, secret: str, tenant: str | None = None) -> bool:
    ring = keys(claim_of(tenant))
    return ring is not None and SCHEME.sign(secret, a="x") in {SCHEME.sign(key, a="x") for key in ring.keys}


def write(path: Path, secret: str) -> Path:
    path.write_text(secret)
    return path


def test_a_file_holds_a_key(call: Call, tmp_path: Path) -> None:
    guard = Guard(SCHEME, FileKeys(write(tmp_path / "hmac_key", KEY)))
    reply = call(guard, Sent(query=f"a=x&sig={SCHEME.sign(KEY, a='x')}&t=acme"))

    assert reply.status == 200
    assert (reply.verdict.key_id, reply.verdict.tenant) == ("hmac_key", None)


@pytest.mark.parametrize(
    ("form", "text", "secret"),
    [
        ("text", KEY, KEY.encode()),
        ("hex", KEY, bytes.fromhex(KEY)),
        ("base64", "AAECAwQFBgcICQoLDA0ODw==", bytes(range(16))),
    ],
)
def test_the_form_is_named(tmp_path: Path, form: str, text: str, secret: bytes) -> None:
    ring = FileKeys(str(write(tmp_path / "key", text)), form=form)(claim_of(None))

    assert ring is not None
    assert SCHEME.sign(ring.keys[0], a="x") == SCHEME.sign(secret, a="x")


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    path = write(tmp_path / "key", KEY)
    keys = FileKeys(path)

    path.write_text(OTHER_KEY)

    assert verifies(keys, OTHER_KEY)
    assert not verifies(keys, KEY)


def test_a_file_that_is_put_in_the_place_of_another_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "key", KEY)
    keys = FileKeys(path)

    os.replace(write(tmp_path / "new", OTHER_KEY), path)

    assert verifies(keys, OTHER_KEY)


def test_a_volume_of_kubernetes_that_swaps_its_folder_is_read(tmp_path: Path) -> None:
    for version, secret in (("..1", KEY), ("..2", OTHER_KEY)):
        (tmp_path / version).mkdir()
        write(tmp_path / version / "acme", secret)
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "acme").symlink_to("..data/acme")
    keys = FileKeys(tmp_path / "{tenant}")
    assert verifies(keys, KEY, "acme")

    (tmp_path / "..next").symlink_to("..2")
    os.replace(tmp_path / "..next", tmp_path / "..data")

    assert verifies(keys, OTHER_KEY, "acme")
    assert keys(claim_of(".data")) is None


def test_two_changes_within_a_tick_of_the_clock_are_both_seen(tmp_path: Path) -> None:
    path = write(tmp_path / "key", KEY)
    keys = FileKeys(path)
    for _ in range(50):
        for secret in (OTHER_KEY, KEY):
            path.write_text(secret)
            assert verifies(keys, secret)


def test_a_file_that_has_not_changed_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_STILL_WARM", -60.0)
    keys = FileKeys(write(tmp_path / "key", KEY))
    ring = keys(claim_of(None))

    assert keys(claim_of(None)) is ring


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda path: os.replace(write(path.parent / "new", OTHER_KEY), path), id="another file"),
        pytest.param(lambda path: path.write_text(f"longer {OTHER_KEY}"), id="another size"),
    ],
)
def test_a_file_with_the_same_time_is_read_if_it_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object]
) -> None:
    """Two versions are unpacked within one tick of the clock of the file system."""
    monkeypatch.setattr(files, "_STILL_WARM", -60.0)
    stat = Path.stat

    def stat_at_one_time(path: Path, **options: bool) -> SimpleNamespace:
        seen = stat(path, **options)
        return SimpleNamespace(st_mode=seen.st_mode, st_ino=seen.st_ino, st_size=seen.st_size, st_ctime_ns=0)

    monkeypatch.setattr(Path, "stat", stat_at_one_time)
    path = write(tmp_path / "key", KEY)
    keys = FileKeys(path)

    change(path)

    assert not verifies(keys, KEY)


def test_a_tenant_may_have_the_name_of_the_pattern(tmp_path: Path) -> None:
    write(tmp_path / "acme", KEY)
    (tmp_path / "{tenant}").symlink_to("none")

    assert FileKeys(tmp_path / "{tenant}")(claim_of("{tenant}")) is None


def test_the_files_are_looked_at_once_in_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "EVERY", 3_600.0)
    path = write(tmp_path / "key", KEY)
    keys = FileKeys(path)
    keys(claim_of(None))

    path.write_text(OTHER_KEY)

    assert verifies(keys, KEY)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda path: path.write_text(""), id="empty"),
        pytest.param(lambda path: path.write_text(" \n"), id="blank"),
        pytest.param(lambda path: path.write_text("<KEY>"), id="a placeholder"),
        pytest.param(lambda path: path.write_text(OTHER_KEY + "\n"), id="with a newline at its end"),
        pytest.param(lambda path: path.write_bytes(b"\xff" * 32), id="not text"),
        pytest.param(lambda path: path.unlink(), id="gone"),
        pytest.param(lambda path: (path.unlink(), path.mkdir()), id="a folder"),
        pytest.param(lambda path: (path.unlink(), path.symlink_to(path)), id="a link to itself"),
    ],
)
def test_a_bad_new_version_leaves_the_last_good_one_in_use(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], object]
) -> None:
    path = write(tmp_path / "key", KEY)
    keys = FileKeys(path)

    spoil(path)
    for _ in range(3):
        assert verifies(keys, KEY)

    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "last good keys stay in use" in caplog.text
    assert str(path) in caplog.text
    assert OTHER_KEY not in caplog.text


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_text("")], ids=["gone", "empty"])
@pytest.mark.parametrize("bad", ["key", "key_old"])
def test_a_bad_file_does_not_keep_the_new_version_of_another_one_from_being_used(
    tmp_path: Path, bad: str, spoil: Callable[[Path], object]
) -> None:
    """An operator spoils one file, and replaces a leaked key in the other."""
    files = {name: write(tmp_path / name, f"{name} {KEY}") for name in ("key", "key_old")}
    keys = FileKeys(*files.values())
    assert verifies(keys, f"key {KEY}")
    spoil(files[bad])
    assert verifies(keys, f"{bad} {KEY}") == (bad == "key" or spoil is not Path.unlink)

    other = next(name for name in files if name != bad)
    files[other].write_text(OTHER_KEY)

    assert verifies(keys, OTHER_KEY)
    assert not verifies(keys, f"{other} {KEY}")


def test_a_key_that_moves_is_not_held_by_the_last_good_one_of_its_old_file(tmp_path: Path) -> None:
    """The key in `key` has leaked. The operator puts the other key in its place, and empties its file."""
    current, previous = write(tmp_path / "key", KEY), write(tmp_path / "key_old", OTHER_KEY)
    keys = FileKeys(current, previous)
    current.write_text(OTHER_KEY)
    previous.write_text("")

    assert verifies(keys, OTHER_KEY)
    assert not verifies(keys, KEY)


def test_both_keys_stay_in_use_if_their_folder_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir()
    keys = FileKeys(write(folder / "key", KEY), write(folder / "key_old", OTHER_KEY), tmp_path / "none" / "key")
    shutil.rmtree(folder)

    assert verifies(keys, KEY)
    assert verifies(keys, OTHER_KEY)


def test_a_key_whose_folder_was_gone_is_not_used_if_the_folder_returns_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_STILL_WARM", -60.0)
    folder = tmp_path / "previous"
    folder.mkdir()
    keys = FileKeys(write(tmp_path / "key", KEY), write(folder / "key", OTHER_KEY))
    shutil.rmtree(folder)
    assert verifies(keys, OTHER_KEY)

    folder.mkdir()

    assert not verifies(keys, OTHER_KEY)


def test_a_path_that_is_given_twice_is_used_once(tmp_path: Path) -> None:
    previous = tmp_path / "key_old"
    keys = FileKeys(write(tmp_path / "key", KEY), previous, previous)
    for spoilt in (OTHER_KEY, ""):
        previous.write_text(spoilt)
        assert verifies(keys, KEY)
        assert verifies(keys, OTHER_KEY)


@pytest.mark.parametrize("changed", ["key", "key_old"])
def test_two_files_with_one_key_keep_no_key_in_use_that_no_file_has(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, changed: str
) -> None:
    """The key in `changed` has leaked, and the operator copies the other file over it."""
    paths = {name: write(tmp_path / name, f"{name} {KEY}") for name in ("key", "key_old")}
    keys = FileKeys(*paths.values())
    kept = next(name for name in paths if name != changed)

    paths[changed].write_text(f"{kept} {KEY}")
    for _ in range(3):
        assert verifies(keys, f"{kept} {KEY}")
        assert not verifies(keys, f"{changed} {KEY}")

    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (
            logging.ERROR,
            f"FileKeys: {paths['key']} and {paths['key_old']} have the same key; put a different key into one of the "
            "files; until then, this key is used once",
        )
    ]
    for path in paths.values():
        path.write_text("")
    assert verifies(keys, f"{kept} {KEY}")
    assert not verifies(keys, f"{changed} {KEY}")


def test_the_other_files_are_used_if_two_files_have_one_key(tmp_path: Path) -> None:
    """`key_a` and `key_b` get one key, `key_c` is spoilt, and `key_d` gets the last good key of `key_c`."""
    paths = [write(tmp_path / f"key_{name}", f"{name} {KEY}") for name in "abcde"]
    keys = FileKeys(*paths)
    for path, text in zip(paths, [f"b {KEY}", f"b {KEY}", "", f"c {KEY}", ""], strict=True):
        path.write_text(text)

    ring = keys(claim_of(None))

    assert ring is not None
    assert [key.id for key in ring.keys] == ["key_a", "key_d", "key_e"]
    assert [name for name in "abcde" if verifies(keys, f"{name} {KEY}")] == ["b", "c", "e"]


def test_a_good_version_after_a_bad_one_is_used(tmp_path: Path) -> None:
    path = write(tmp_path / "key", KEY)
    keys = FileKeys(path)
    path.write_text("")
    assert verifies(keys, KEY)

    path.write_text(OTHER_KEY)

    assert verifies(keys, OTHER_KEY)


def test_a_file_may_be_unreadable_for_a_time(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("not run: the superuser may read every file")
    path = write(tmp_path / "key", KEY)
    keys = FileKeys(path)
    path.chmod(0)
    assert verifies(keys, KEY)


def test_the_previous_key_may_come_and_go(tmp_path: Path) -> None:
    current, previous = write(tmp_path / "key", KEY), tmp_path / "key_old"
    keys = FileKeys(current, previous)
    assert not verifies(keys, OTHER_KEY)

    previous.write_text(OTHER_KEY)
    ring = keys(claim_of(None))
    assert ring is not None
    assert [key.id for key in ring.keys] == ["key", "key_old"]

    previous.unlink()
    assert not verifies(keys, OTHER_KEY)


def test_a_folder_holds_a_file_for_each_tenant(call: Call, tmp_path: Path) -> None:
    write(tmp_path / "acme.key", KEY)
    write(tmp_path / "other.key", OTHER_KEY)
    write(tmp_path / "README", "not a key")
    write(tmp_path / ".acme.key", "hidden")
    guard = Guard(SCHEME, FileKeys(tmp_path / "{tenant}.key"))

    def status(tenant: str) -> int:
        return call(guard, Sent(query=f"a=x&sig={SCHEME.sign(KEY, a='x')}&t={tenant}")).status

    tenants = ("acme", "other", "ACME", "README", "acme.key", "../acme", "%2E%2E", ".acme")
    assert {tenant: status(tenant) for tenant in tenants} == {
        tenant: 200 if tenant == "acme" else 401 for tenant in tenants
    }


def test_tenants_come_go_and_fail_one_by_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path / "a", KEY)
    write(tmp_path / "b", KEY)
    keys = FileKeys(tmp_path / "{tenant}")

    write(tmp_path / "a", "")
    write(tmp_path / "c", OTHER_KEY)
    (tmp_path / "b").unlink()

    assert [verifies(keys, KEY, tenant) for tenant in "abc"] == [True, False, False]
    assert verifies(keys, OTHER_KEY, "c")
    assert len(caplog.records) == 1


@pytest.mark.parametrize("text", ["", KEY], ids=["bad", "just changed"])
def test_only_the_files_that_may_have_changed_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """One tenant's file is bad, or changes often. The files of all others are not read again."""
    paths = {tenant: write(tmp_path / tenant, f"{tenant} {KEY}") for tenant in "abc"}
    monkeypatch.setattr(files, "_STILL_WARM", -60.0)
    keys = FileKeys(tmp_path / "{tenant}")
    rings = [keys(claim_of(tenant)) for tenant in "ac"]
    read, read_bytes = [], Path.read_bytes

    def noted(path: Path) -> bytes:
        read.append(path.name)
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", noted)
    monkeypatch.setattr(files, "_STILL_WARM", 60.0)

    paths["b"].write_text(text)
    for _ in range(3):
        keys(claim_of("a"))

    assert read == ["b"] * 3
    assert all(keys(claim_of(tenant)) is ring for tenant, ring in zip("ac", rings, strict=True))
    assert verifies(keys, text or f"b {KEY}", "b")


def test_a_file_that_can_be_read_later_is_used_although_it_has_not_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The permissions of a folder around the file have changed."""
    monkeypatch.setattr(files, "_STILL_WARM", -60.0)
    write(tmp_path / "a", KEY)
    keys = FileKeys(tmp_path / "{tenant}")
    write(tmp_path / "b", OTHER_KEY)

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as unreadable:
        unreadable.setattr(Path, "read_bytes", refuse)
        with pytest.raises(KeysUnavailable):
            keys(claim_of("b"))

    assert verifies(keys, OTHER_KEY, "b")


@pytest.mark.parametrize(
    "fail",
    [
        pytest.param(lambda folder: write(folder / "acme", f"{KEY}\n"), id="with a newline at its end"),
        pytest.param(lambda folder: write(folder / "acme", ""), id="empty"),
        pytest.param(lambda folder: (folder / "acme").mkdir(), id="a folder"),
        pytest.param(lambda folder: folder.rename(folder.parent / "away"), id="the folder of the keys is gone"),
    ],
)
def test_a_tenant_whose_file_was_never_good_is_not_unknown(
    call: Call, tmp_path: Path, caplog: pytest.LogCaptureFixture, fail: Callable[[Path], object]
) -> None:
    """An operator renews the key of a mapping with a file, and the file or its folder cannot be read."""
    folder = tmp_path / "keys"
    folder.mkdir()
    write(folder / "globex", OTHER_KEY)
    keys = FileKeys(folder / "{tenant}")

    def status(source: Any, secret: str, tenant: str = "acme") -> int:
        return call(Guard(SCHEME, source), Sent(query=f"a=x&sig={SCHEME.sign(secret, a='x')}&t={tenant}")).status

    fail(folder)

    old = f"old {KEY}"
    assert [status(keys, KEY), status(ChainKeys(keys, {"acme": old}), old)] == [503, 503]
    assert status(keys, OTHER_KEY, "globex") == 200
    assert "no key" in caplog.text
    assert "the key resolver failed: hmac_guard.core.errors.KeysUnavailable: FileKeys: " in caplog.text
    assert KEY not in caplog.text


def test_a_link_to_no_file_is_not_unknown_while_its_folder_cannot_be_listed(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir()
    write(folder / "globex", OTHER_KEY)
    (folder / "acme").symlink_to("none")
    keys = FileKeys(folder / "{tenant}")
    assert keys(claim_of("acme")) is None

    folder.rename(tmp_path / "away")
    with pytest.raises(KeysUnavailable, match="cannot be listed"):
        keys(claim_of("acme"))

    (tmp_path / "away").rename(folder)
    assert keys(claim_of("acme")) is None


def test_the_last_file_that_is_deleted_revokes_its_key(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "acme", KEY)
    keys = FileKeys(tmp_path / "{tenant}")

    path.unlink()
    for _ in range(3):
        assert keys(claim_of("acme")) is None
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "no tenant has keys" in caplog.text

    write(path, KEY)
    assert verifies(keys, KEY, "acme")


def test_a_link_whose_file_is_deleted_revokes_its_key(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("secrets", "tenants"):
        (tmp_path / name).mkdir()
    for tenant, secret in (("acme", KEY), ("globex", OTHER_KEY)):
        write(tmp_path / "secrets" / tenant, secret)
        (tmp_path / "tenants" / tenant).symlink_to(f"../secrets/{tenant}")
    keys = FileKeys(tmp_path / "tenants" / "{tenant}")
    assert verifies(keys, KEY, "acme")

    (tmp_path / "secrets" / "acme").unlink()
    for _ in range(3):
        assert keys(claim_of("acme")) is None
        assert verifies(keys, OTHER_KEY, "globex")
    assert [record.getMessage() for record in caplog.records] == [
        f"FileKeys: the link {tmp_path}/tenants/acme leads to no file, so this tenant has no keys"
    ]

    after_a_restart = FileKeys(tmp_path / "tenants" / "{tenant}")
    assert after_a_restart(claim_of("acme")) is None
    assert verifies(after_a_restart, OTHER_KEY, "globex")
    write(tmp_path / "secrets" / "acme", KEY)
    assert verifies(keys, KEY, "acme")


def test_the_keys_of_links_stay_in_use_if_the_folder_of_their_files_is_gone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An agent that writes the secrets restarts. Kubernetes links the folder too."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "tenants").mkdir()
    (tmp_path / "tenants" / "..data").symlink_to("../secrets")
    for tenant, secret in (("acme", KEY), ("globex", OTHER_KEY)):
        write(tmp_path / "secrets" / tenant, secret)
        (tmp_path / "tenants" / tenant).symlink_to(f"..data/{tenant}")
    keys = FileKeys(tmp_path / "tenants" / "{tenant}")

    shutil.rmtree(tmp_path / "secrets")
    for _ in range(3):
        assert verifies(keys, KEY, "acme")
        assert verifies(keys, OTHER_KEY, "globex")
    assert [record.getMessage() for record in caplog.records] == [
        f"FileKeys: the folder {tmp_path}/secrets is gone; the last good keys stay in use"
    ]

    (tmp_path / "secrets").mkdir()
    write(tmp_path / "secrets" / "globex", OTHER_KEY)
    assert keys(claim_of("acme")) is None
    assert verifies(keys, OTHER_KEY, "globex")


def test_a_link_into_a_folder_that_is_missing_from_the_start_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "acme", KEY)
    (tmp_path / "globex").symlink_to("none/globex")
    keys = FileKeys(tmp_path / "{tenant}")

    assert [verifies(keys, KEY, "acme"), keys(claim_of("globex"))] == [True, None]
    assert [record.getMessage() for record in caplog.records] == [
        f"FileKeys: the link {tmp_path}/globex leads to no file, so this tenant has no keys"
    ]


def test_a_previous_key_or_a_deleted_file_is_missing_without_a_line_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / ".old").symlink_to("none")
    FileKeys(write(tmp_path / "a", KEY), tmp_path / ".old")
    deleted = write(tmp_path / "b", OTHER_KEY)
    keys = FileKeys(tmp_path / "{tenant}")
    names = os.listdir(tmp_path)
    monkeypatch.setattr(os, "listdir", lambda path: names)
    deleted.unlink()

    assert [verifies(keys, KEY, "a"), keys(claim_of("b"))] == [True, None]
    assert not caplog.records


def test_a_folder_that_is_gone_while_it_is_looked_at_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "keys"
    folder.mkdir()
    write(folder / "acme", KEY)
    keys = FileKeys(folder / "{tenant}")
    names = os.listdir(folder)
    shutil.rmtree(folder)
    monkeypatch.setattr(os, "listdir", lambda path: names)

    assert verifies(keys, KEY, "acme")


def test_a_folder_that_is_gone_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "keys"
    folder.mkdir()
    path = write(folder / "acme", KEY)
    keys = FileKeys(folder / "{tenant}")

    path.unlink()
    folder.rmdir()

    assert verifies(keys, KEY, "acme")
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("paths", "why"),
    [
        pytest.param([], "give the path", id="no path"),
        pytest.param([""], "give the path", id="an empty path"),
        pytest.param([7], "give the path", id="a number"),
        pytest.param(["{tmp}/none"], "no file .*none", id="no such file"),
        pytest.param(["{tmp}/empty"], "empty or blank", id="an empty file"),
        pytest.param(["{tmp}/newline"], "newline", id="a newline at its end"),
        pytest.param(["{tmp}"], "cannot be read", id="a folder"),
        pytest.param(["{tmp}/key", "{tmp}/empty"], "empty or blank", id="an empty previous key"),
        pytest.param(["{tmp}/key", "{tmp}/same"], "same key", id="one key twice"),
        pytest.param(["{tmp}/{tenant}", "{tmp}/key"], "one path", id="a pattern beside a path"),
        pytest.param(["{tmp}/{tenant}/key"], "in the file's name", id="a pattern in the folder's name"),
        pytest.param(["{tmp}/{tenant}.pem"], "no file like", id="no tenant at all"),
        pytest.param(["{tmp}/none/{tenant}"], "cannot be listed", id="no such folder"),
    ],
)
def test_files_that_cannot_work_are_refused(tmp_path: Path, paths: list[object], why: str) -> None:
    for name, text in {"key": KEY, "same": KEY, "empty": "", "newline": OTHER_KEY + "\n"}.items():
        write(tmp_path / name, text)
    given = [path.replace("{tmp}", str(tmp_path)) if isinstance(path, str) else path for path in paths]

    with pytest.raises(ConfigError, match=why) as refusal:
        FileKeys(*given)  # type: ignore[arg-type]
    assert OTHER_KEY not in str(refusal.value)


@pytest.mark.parametrize("form", ["{}", "q83v/{}/wq8Zr4Jg==", "/k3jdQ9x+{}=", "{0}{0}{0}{0}{0}{0}{0}{0}"])
def test_a_secret_in_the_place_of_a_path_is_not_shown(tmp_path: Path, form: str) -> None:
    secret = form.format("c2d0e4a7-61f3-4b8e-9d25-7f1a3b6c8e90")
    with pytest.raises(ConfigError, match="there is no such file; give the path of a file, not the secret itself"):
        FileKeys(secret)

    path = write(tmp_path / "key", KEY)
    if len(secret) < 256:
        assert repr(FileKeys(path, secret)) == f"FileKeys('{path}', '...')"
        return
    with pytest.raises(ConfigError, match=r"FileKeys: \.\.\. cannot be read"):
        FileKeys(path, secret)


@pytest.mark.parametrize("path", ["none", "no/such/hmac_key", "2k8s9.key"])
def test_a_path_of_no_file_is_shown(path: str) -> None:
    with pytest.raises(ConfigError, match=f"there is no file {path}; put the secret there"):
        FileKeys(path)


def test_a_path_below_a_folder_that_is_missing_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "hmac-Keys" / "v2-key"
    with pytest.raises(ConfigError, match=f"there is no file {path}; put the secret there"):
        FileKeys(path)


@pytest.mark.parametrize("path", ["2k8s9{tenant}", "{tenant}", "2k8s9"])
def test_any_path_of_a_file_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path(path.replace("{tenant}", "acme")), KEY)

    assert verifies(FileKeys(path), KEY, "acme")


def test_the_representation_shows_the_path_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "key", KEY)

    assert repr(FileKeys(path)) == f"FileKeys('{path}')"


def test_no_request_uses_the_known_keys_while_another_one_reads_changed_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that was forked just now knows the keys that its parent has read, maybe long ago."""
    keys = FileKeys(write(tmp_path / "hmac_key", KEY))
    (tmp_path / "new").write_text(OTHER_KEY)
    (tmp_path / "new").rename(tmp_path / "hmac_key")
    monkeypatch.setattr(files, "EVERY", 60.0)
    begun, go_on, refresh = threading.Event(), threading.Event(), FileKeys._refresh

    def slow(self: FileKeys) -> None:
        begun.set()
        go_on.wait(TIMEOUT)
        refresh(self)

    monkeypatch.setattr(FileKeys, "_refresh", slow)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(verifies, keys, OTHER_KEY)
        assert begun.wait(TIMEOUT)
        second = threads.submit(verifies, keys, OTHER_KEY)
        time.sleep(0.05)
        go_on.set()

    assert (first.result(), second.result()) == (True, True)
