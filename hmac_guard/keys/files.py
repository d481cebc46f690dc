"""Keys from files, the way Docker and Kubernetes give secrets to a container."""

import os
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from hmac_guard.core.errors import ConfigError, KeysUnavailable
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.key import Key, Keyring, are_same
from hmac_guard.core.verdict import Claim
from hmac_guard.forking import after_fork, check_process
from hmac_guard.keys.forms import key_from_text, shown_path, tenant_in
from hmac_guard.keys.resolver import Resolver, keys_of
from hmac_guard.log import logger

#: Seconds between two looks at the files.
EVERY = 1.0

# A file may change twice within one tick of the file system's clock. So a file that has just changed is read again.
_STILL_WARM = 2.0

Tenant = str | None
#: What distinguishes one version of a file from the next; None if there is no file.
Stamp = tuple[int, int, int] | None
#: What is wrong, and what is used until it is right.
Faults = dict[str, str]

_LAST_GOOD = "the last good keys stay in use"
_NO_KEY = "no key of this file is in use"
_NO_OTHERS = f"{_LAST_GOOD}, and no key for any other tenant"


class _Read(NamedTuple):
    """What the files of one ring had when they were last read.

    Attributes:
        stamps: The stamps of the files; None if the files are to be read again even if they do not change.
        keys: The key of each file, or its last good one.
        ring: The ring of these keys; None if there is no file.
        faults: What was wrong.
    """

    stamps: list[Stamp] | None
    keys: dict[Path, Key]
    ring: Keyring | None
    faults: Faults


_UNREAD = _Read(None, {}, None, {})


class _Seen(NamedTuple):
    """What is known about all tenants. Requests read it without a lock, so it is replaced as a whole.

    Attributes:
        read: What the files of each tenant had.
        others: What holds for a tenant without a file: a fault if the folder cannot be listed.
    """

    read: dict[Tenant, _Read]
    others: _Read

    def ring(self, tenant: Tenant) -> Keyring | None:
        """Return the ring of a tenant; None if it has no file. Raise `KeysUnavailable` if that is not known."""
        found = self.read.get(tenant, self.others)
        if found.ring is None and (faults := [*found.faults, *self.others.faults]):
            unavailable: Any = KeysUnavailable(faults[0])
            unavailable.text_is_logged = True
            raise unavailable
        return found.ring


class FileKeys(Resolver):
    """Reads keys from files, and reads them again within a second of a change.

    A file contains the secret alone: white space, a newline, a byte order mark or quotes are refused (see `Key`). The
    id of a key is the name of its file. Give each tenant its own secret. This is not checked: two tenants with the same
    secret can sign for each other.

    If a new version of a file cannot be read, is empty or is not a key, the last good one stays in use, and the log
    says so; the other files are used as they are. If two files get the same key, it is used once, and the log says so.
    A tenant whose file is gone is unknown, even the last tenant. This holds for a link whose file is gone too, and the
    log says so. If the whole folder is gone, or the folder of the file that a link names, the last good keys stay in
    use, and the log says so.

    A tenant whose only file was never good is not unknown: its requests are answered 503. While the folder cannot be
    listed, this holds for each tenant without a last good key.

    The files must be local: once a second, the thread of a request looks at all of them, under ASGI that of the event
    loop. This takes about 10 µs for each file, so 0.1 seconds for 10,000 tenants. Keep as many in a database.

    Args:
        paths: The paths of the files. With one path, it is the key. With several, the first signs, any verifies, and
            all but the first may be missing: a rotation. A single path with `{tenant}` in the file's name means one
            file for each tenant; hidden files are skipped.
        form: How the secrets are written: "text" (used as UTF-8), "hex", "base64" or "whsec" (used decoded).

    Raises:
        ConfigError: There is no file, a file is not a key, or two files have the same key when this is made.

    Example::

        FileKeys("/run/secrets/hmac_key")
        FileKeys("/run/secrets/hmac_key", "/run/secrets/hmac_key_old")
        FileKeys("/etc/hmac-keys/{tenant}")
    """

    __slots__ = (
        "__weakref__",
        "_due",
        "_faults",
        "_form",
        "_lock",
        "_paths",
        "_rings",
        "_seen",
        "per_tenant",
    )

    _paths: tuple[Path, ...]
    _form: str
    _seen: _Seen
    _rings: dict[Tenant, Keyring]
    _faults: Faults
    _due: float
    _lock: threading.Lock
    per_tenant: bool
    blocking = False

    def __init__(self, *paths: "str | os.PathLike[str]", form: str = "text") -> None:
        # Hidden: a user may give the secret in place of its file's path, and it must not be logged.
        hidden = hide(paths)
        del paths
        if not hidden.get() or not all(map(_is_path, hidden.get())):
            raise ConfigError('FileKeys: give the path of a file: FileKeys("/run/secrets/hmac_key")')
        if "{tenant}" not in os.fspath(hidden.get()[0]) and shown_path(Path(hidden.get()[0])) == "...":
            raise ConfigError("FileKeys: there is no such file; give the path of a file, not the secret itself")
        files = hide(tuple(map(Path, hidden.get())))
        per_tenant = any("{tenant}" in str(path) for path in files.get())
        if per_tenant and (
            len(files.get()) > 1 or "{tenant}" not in files.get()[0].name or "{tenant}" in str(files.get()[0].parent)
        ):
            raise ConfigError("FileKeys: give one path where it has {tenant}, and that in the file's name")
        self._set(_paths=files.get(), _form=form, per_tenant=per_tenant)
        self._set(_seen=_Seen({}, _UNREAD), _rings={}, _faults={}, _due=0.0)
        self._renew_lock()
        after_fork(self._renew_lock)
        self._refresh()
        if self._faults:
            raise ConfigError(next(iter(self._faults)))
        if not self._rings:
            raise ConfigError(f"FileKeys: there is no file like {files.get()[0]}; put one there for each tenant")

    def __call__(self, claim: Claim) -> Keyring | None:
        if time.monotonic() >= self._due:
            check_process()
            # Other threads wait: in a worker that was forked just now, the known keys may be as old as its parent.
            with self._lock:
                if time.monotonic() >= self._due:
                    self._look_again()
        tenant = claim.tenant if self.per_tenant else None
        return self._rings.get(tenant) or self._seen.ring(tenant)

    def _look_again(self) -> None:
        known_faults = self._faults
        try:
            self._refresh()
        finally:
            self._set(_due=time.monotonic() + EVERY)
        for fault, used in self._faults.items():
            if fault not in known_faults:
                logger.error("%s; %s", fault, used)

    def _renew_lock(self) -> None:
        self._set(_lock=threading.Lock())

    def _refresh(self) -> None:
        try:
            files = self._files_by_tenant()
        except OSError as error:
            fault = f"FileKeys: {self._paths[0].parent} cannot be listed ({error.strerror})"
            others = _UNREAD._replace(faults={fault: _NO_OTHERS})
            self._set(_seen=self._seen._replace(others=others), _faults=others.faults)
            return
        known = self._seen.read
        read = {tenant: self._read_again(paths, known.get(tenant, _UNREAD)) for tenant, paths in files.items()}
        rings = {tenant: found.ring for tenant, found in read.items() if found.ring is not None}
        faults = {fault: used for found in read.values() for fault, used in found.faults.items()}
        if self._rings and not rings:
            logger.error("FileKeys: no file like %s is left, so no tenant has keys", self._paths[0])
        self._set(_seen=_Seen(read, _UNREAD), _rings=rings, _faults=faults)

    def _files_by_tenant(self) -> dict[Tenant, Sequence[Path]]:
        if not self.per_tenant:
            return {None: self._paths}
        [pattern] = self._paths
        return {
            tenant: [pattern.parent / name]
            for name in sorted(os.listdir(pattern.parent))
            if (tenant := tenant_in(name, pattern.name)) and not name.startswith(".")
        }

    def _read_again(self, paths: Sequence[Path], known: _Read) -> _Read:
        """Return what the files of one ring have now. They are read only if that may differ from what is known."""
        stamps = list(map(_stamp_of, paths))
        if stamps == known.stamps:
            return known
        faults: Faults = {}
        looked_up = [(path, *self._key_in(path, known.keys.get(path), faults)) for path in paths]
        found = [(path, key, is_kept) for path, key, is_kept in looked_up if key is not None]
        ring = _ring_of(found, faults) if found else None
        # A file that could not be read may be readable later without a change: its folder may have other permissions.
        was_read = not any(is_kept for *_, is_kept in looked_up)
        warm_since = (time.time() - _STILL_WARM) * 1e9
        is_final = was_read and all(stamp is None or stamp[-1] < warm_since for stamp in stamps)
        return _Read(stamps if is_final else None, {path: key for path, key, _ in found}, ring, faults)

    def _key_in(self, path: Path, last_good: Key | None, faults: Faults) -> tuple[Key | None, bool]:
        """Return the key in a file, or the last good one, and whether it is the last good one."""
        try:
            text = _text_of(path)
            if text is not None:
                return key_from_text(f"FileKeys: {path}", text, self._form, id=path.name), False
            if path is self._paths[0]:
                raise ConfigError(f"FileKeys: there is no file {path}; put the secret there")
        except ConfigError as error:
            faults[str(error)] = _NO_KEY if last_good is None else _LAST_GOOD
        else:
            # Of the file that a link names: its folder may be gone while the folder of the link is still there.
            folder = Path(os.path.realpath(path)).parent
            if last_good is None or folder.is_dir():
                if self.per_tenant and path.is_symlink():
                    logger.warning("FileKeys: the link %s leads to no file, so this tenant has no keys", path)
                return None, False
            faults[f"FileKeys: the folder {folder} is gone"] = _LAST_GOOD
        return last_good, True

    def known_keys(self) -> Iterable[Key]:
        return keys_of(self._rings)

    def _description(self) -> str:
        return f"FileKeys({', '.join(repr(shown_path(path)) for path in self._paths)})"


def _ring_of(found: list[tuple[Path, Key, bool]], faults: Faults) -> Keyring:
    """Return the ring of these keys, each once. Add a fault for each two files that have the same key now."""
    used: dict[Path, Key] = {}
    # First the keys that the files have now: a last good one that is the same is not used.
    for path, key, is_kept in sorted(found, key=itemgetter(2)):
        same = next((other for other in used if are_same(used[other], key)), None)
        if same is None:
            used[path] = key
        elif not is_kept:
            fault = f"FileKeys: {same} and {path} have the same key; put a different key into one of the files"
            faults[fault] = "until then, this key is used once"
    paths = [path for path, *_ in found]
    return Keyring([used[path] for path in sorted(used, key=paths.index)])


def _is_path(path: object) -> bool:
    text = os.fspath(path) if isinstance(path, (str, os.PathLike)) else None
    return isinstance(text, str) and text != "" and "\0" not in text


def _stamp_of(path: Path) -> Stamp:
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_ino, seen.st_size, seen.st_ctime_ns


def _text_of(path: Path) -> Hidden[str] | None:
    try:
        secret = hide(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"FileKeys: {shown_path(path)} cannot be read ({error.strerror})") from None
    with suppress(UnicodeDecodeError):
        return hide(secret.get().decode())
    # Raised outside of the `with` block, because the decoder's error contains the secret.
    raise ConfigError(f"FileKeys: {path} is not UTF-8 text; write the secret as hex or base64")
