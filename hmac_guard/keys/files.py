"""Keys from files, the way Docker and Kubernetes give secrets to a container."""

import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.key import Key, Keyring
from hmac_guard.core.verdict import Claim
from hmac_guard.forking import after_fork, check_process
from hmac_guard.keys.forms import key_from_text, tenant_in
from hmac_guard.keys.resolver import Resolver
from hmac_guard.log import logger

#: Seconds between two looks at the files.
EVERY = 1.0

# A file may change twice within one tick of the file system's clock. So a file that has just changed is read again.
_STILL_WARM = 2.0

Tenant = str | None
Stamp = tuple[str, int, int, int]


class FileKeys(Resolver):
    """Reads keys from files, and reads them again within a second of a change.

    A file contains the secret alone: white space, a newline, a byte order mark or quotes are refused (see `Key`). The
    id of a key is the name of its file. Give each tenant its own secret. This is not checked: two tenants with the same
    secret can sign for each other.

    If a new version of a file cannot be read, is empty or is not a key, the last good one stays in use, and the log
    says so; the other files are used as they are. A tenant whose file is gone is unknown, even the last tenant. If the
    whole folder is gone, the last good keys stay in use.

    The files must be local: the thread of a request looks at them, once a second.

    Args:
        paths: The paths of the files. With one path, it is the key. With several, the first signs, any verifies, and
            all but the first may be missing: a rotation. A single path with `{tenant}` in the file's name means one
            file for each tenant; hidden files are skipped.
        form: How the secrets are written: "text" (used as UTF-8), "hex", "base64" or "whsec" (used decoded).

    Raises:
        ConfigError: There is no file, or a file is not a key when this is made.

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
    _faults: list[str]
    _stamps: list[Stamp] | None
    _due: float
    _lock: threading.Lock
    per_tenant: bool
    blocking = False

    def __init__(self, *paths: "str | os.PathLike[str]", form: str = "text") -> None:
        if not paths or not all(map(_is_path, paths)):
            raise ConfigError('FileKeys: give the path of a file: FileKeys("/run/secrets/hmac_key")')
        files = tuple(map(Path, paths))
        per_tenant = any("{tenant}" in str(path) for path in files)
        if per_tenant and (len(files) > 1 or "{tenant}" not in files[0].name or "{tenant}" in str(files[0].parent)):
            raise ConfigError("FileKeys: give one path where it has {tenant}, and that in the file's name")
        self._set(_paths=files, _form=form, per_tenant=per_tenant, _keys={}, _rings={}, _faults=[])
        self._set(_stamps=None, _due=0.0)
        self._renew_lock()
        after_fork(self._renew_lock)
        self._refresh()
        if self._faults:
            raise ConfigError(self._faults[0])
        if not self._rings:
            raise ConfigError(f"FileKeys: there is no file like {files[0]}; put one there for each tenant")

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
        for fault in self._faults:
            if fault not in known_faults:
                logger.error("%s; the last good keys stay in use", fault)

    def _renew_lock(self) -> None:
        self._set(_lock=threading.Lock())

    def _refresh(self) -> None:
        try:
            files = self._files_by_tenant()
        except OSError as error:
            self._set(_faults=[f"FileKeys: {self._paths[0].parent} cannot be listed ({error.strerror})"], _stamps=None)
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

    def _read(self, files: Mapping[Tenant, Sequence[Path]]) -> tuple[dict[Path, Key], dict[Tenant, Keyring], list[str]]:
        """Return the keys in the files, with the last good one of each bad file, their rings, and what was wrong."""
        keys: dict[Path, Key] = {}
        rings: dict[Tenant, Keyring] = {}
        faults: list[str] = []
        for tenant, paths in files.items():
            found = [(path, *self._key_in(path, faults, may_be_missing=path is not paths[0])) for path in paths]
            keys.update((path, key) for path, key, _ in found if key is not None)
            try:
                ring = _ring_of([(key, is_kept) for _, key, is_kept in found if key is not None])
            except ConfigError as error:  # Two keys are the same.
                faults.append(str(error))
                ring = self._rings.get(tenant)
            if ring is not None:
                rings[tenant] = ring
        return keys, rings, faults

    def _key_in(self, path: Path, faults: list[str], *, may_be_missing: bool) -> tuple[Key | None, bool]:
        """Return the key in a file, or the last good one, and whether it is the last good one."""
        try:
            text = _text_of(path)
            if text is not None:
                return key_from_text(f"FileKeys: {path}", text, self._form, id=path.name), False
            if not may_be_missing:
                raise ConfigError(f"FileKeys: there is no file {path}; put the secret there")
        except ConfigError as error:
            faults.append(str(error))
        else:
            if path.parent.is_dir():
                return None, False
        return self._keys.get(path), True

    def __repr__(self) -> str:
        return f"FileKeys({', '.join(repr(str(path)) for path in self._paths)})"


def _ring_of(keys: list[tuple[Key, bool]]) -> Keyring | None:
    """Return the ring of these keys. A last good key does not count if a file has the same key now.

    Raises:
        ConfigError: Two files have the same key.
    """
    read = [key for key, is_kept in keys if not is_kept]
    with suppress(ConfigError):
        return Keyring([key for key, _ in keys]) if keys else None
    return Keyring(read)


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
        raise ConfigError(f"FileKeys: {path} cannot be read ({error.strerror})") from None
    with suppress(UnicodeDecodeError):
        return hide(secret.get().decode())
    # Raised out here, since the decoder's error holds the secret.
    raise ConfigError(f"FileKeys: {path} is not UTF-8 text; write the secret as hex or base64")
