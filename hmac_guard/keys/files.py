"""Keys from files, the way Docker and Kubernetes give secrets to a container."""

import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from operator import itemgetter
from pathlib import Path

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.key import Key, Keyring, are_same
from hmac_guard.core.verdict import Claim
from hmac_guard.forking import after_fork, check_process
from hmac_guard.keys.forms import key_from_text, shown_path, tenant_in
from hmac_guard.keys.resolver import Resolver
from hmac_guard.log import logger

#: Seconds between two looks at the files.
EVERY = 1.0

# A file may change twice within one tick of the file system's clock. So a file that has just changed is read again.
_STILL_WARM = 2.0

Tenant = str | None
Stamp = tuple[str, int, int, int]
#: What is wrong, and what is used until it is right.
Faults = dict[str, str]

_LAST_GOOD = "the last good keys stay in use"


class FileKeys(Resolver):
    """Reads keys from files, and reads them again within a second of a change.

    A file contains the secret alone: white space, a newline, a byte order mark or quotes are refused (see `Key`). The
    id of a key is the name of its file. Give each tenant its own secret. This is not checked: two tenants with the same
    secret can sign for each other.

    If a new version of a file cannot be read, is empty or is not a key, the last good one stays in use, and the log
    says so; the other files are used as they are. If two files get the same key, it is used once, and the log says so.
    A tenant whose file is gone is unknown, even the last tenant. If the whole folder is gone, the last good keys stay
    in use.

    The files must be local: the thread of a request looks at them, once a second.

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
        "_keys",
        "_lock",
        "_paths",
        "_rings",
        "_stamps",
        "per_tenant",
    )

    _paths: tuple[Path, ...]
    _form: str
    _keys: dict[Path, Key]
    _rings: dict[Tenant, Keyring]
    _faults: Faults
    _stamps: list[Stamp] | None
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
        self._set(_paths=files.get(), _form=form, per_tenant=per_tenant, _keys={}, _rings={}, _faults={})
        self._set(_stamps=None, _due=0.0)
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
        return self._rings.get(claim.tenant if self.per_tenant else None)

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
            self._set(_faults={fault: _LAST_GOOD}, _stamps=None)
            return
        stamps = _stamps_of(files.values())
        if stamps == self._stamps:
            return
        keys, rings, faults = self._read(files)
        if self._rings and not rings:
            logger.error("FileKeys: no file like %s is left, so no tenant has keys", self._paths[0])
        is_final = not faults and all(changed < (time.time() - _STILL_WARM) * 1e9 for *_, changed in stamps)
        self._set(_keys=keys, _rings=rings, _faults=faults, _stamps=stamps if is_final else None)

    def _files_by_tenant(self) -> dict[Tenant, Sequence[Path]]:
        if not self.per_tenant:
            return {None: self._paths}
        [pattern] = self._paths
        return {
            tenant: [pattern.parent / name]
            for name in sorted(os.listdir(pattern.parent))
            if (tenant := tenant_in(name, pattern.name)) and not name.startswith(".")
        }

    def _read(self, files: Mapping[Tenant, Sequence[Path]]) -> tuple[dict[Path, Key], dict[Tenant, Keyring], Faults]:
        """Return the keys in the files, with the last good one of each bad file, their rings, and what was wrong."""
        keys: dict[Path, Key] = {}
        rings: dict[Tenant, Keyring] = {}
        faults: Faults = {}
        for tenant, paths in files.items():
            looked_up = [(path, *self._key_in(path, faults, may_be_missing=path is not paths[0])) for path in paths]
            found = [(path, key, is_kept) for path, key, is_kept in looked_up if key is not None]
            keys.update((path, key) for path, key, _ in found)
            if found:
                rings[tenant] = _ring_of(found, faults)
        return keys, rings, faults

    def _key_in(self, path: Path, faults: Faults, *, may_be_missing: bool) -> tuple[Key | None, bool]:
        """Return the key in a file, or the last good one, and whether it is the last good one."""
        try:
            text = _text_of(path)
            if text is not None:
                return key_from_text(f"FileKeys: {path}", text, self._form, id=path.name), False
            if not may_be_missing:
                raise ConfigError(f"FileKeys: there is no file {path}; put the secret there")
        except ConfigError as error:
            faults[str(error)] = _LAST_GOOD
        else:
            if path.parent.is_dir():
                return None, False
        return self._keys.get(path), True

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


def _stamps_of(files: Iterable[Sequence[Path]]) -> list[Stamp]:
    """Return what distinguishes one version of the files from the next."""
    stamps = []
    for path in chain.from_iterable(files):
        with suppress(OSError):
            seen = path.stat()
            stamps.append((str(path), seen.st_ino, seen.st_size, seen.st_ctime_ns))
    return stamps


def _text_of(path: Path) -> Hidden[str] | None:
    try:
        secret = hide(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"FileKeys: {shown_path(path)} cannot be read ({error.strerror})") from None
    with suppress(UnicodeDecodeError):
        return hide(secret.get().decode())
    # Raised out here, since the decoder's error holds the secret.
    raise ConfigError(f"FileKeys: {path} is not UTF-8 text; write the secret as hex or base64")
