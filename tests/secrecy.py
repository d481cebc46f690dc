"""Searches every key of a test in all output of the package: the log, at any level, printed text, warnings, its own
exceptions, and the answers to refused requests (T090 to T092). What a process
prints that a test starts counts as printed if the test reads all of it, or none.

It also looks at what an error tracker would copy: the local variables of the package's functions, each time the package
logs, warns, raises or calls user code, and in the traceback of its own errors. There digests and signatures count as
well.

Not seen: what the tests of the commands read off a command, and a key that a process makes for itself. User code that
is seen being called: key resolvers, `on_verdict`, `on_change`, clocks, and a database's driver.
"""

import base64
import functools
import logging
import re
import subprocess
import sys
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator
from itertools import islice
from types import FrameType, TracebackType
from typing import Any

from cryptography.fernet import Fernet
from sqlalchemy import Column, Engine, MetaData, event
from sqlalchemy.schema import SchemaItem
from sqlalchemy.sql.base import ReadOnlyColumnCollection

import hmac_guard.asgi.driver
import hmac_guard.core.key
import hmac_guard.keys.resolver
import hmac_guard.wsgi.driver
from hmac_guard import Claim, Reason, Scheme
from hmac_guard.cli.output import CliError
from hmac_guard.core.errors import ConfigError, KeysUnavailable, WeakKeyWarning
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.key import Key
from hmac_guard.decider import Decider
from hmac_guard.keys import SqlKeys
from hmac_guard.keys.resolver import CallableKeys

#: A shorter text, or one with fewer different letters, occurs in other texts by chance.
LONG_ENOUGH, LETTERS = 12, 4

#: The modules of the functions whose variables must not contain a secret: all except those of the snippets, which use
#: only the key of the documentation.
CHECKED = re.compile(r"hmac_guard\b(?!\.snippets)")

#: The request as the caller passed it to a middleware or a command. The caller has these variables too; `django` is
#: Django's request.
REQUEST = frozenset({"scope", "environ", "receive", "request", "django", "body"})
GIVEN = frozenset({"words", "rest", "captured", "request_texts", "signature", "options", "others", "ctx"})

#: Limits for one test: searches per callback, searched tracebacks, digests, items of a container, and buffered
#: characters, in all and for one variable.
MAX_LOOKS, MAX_ERRORS, MAX_DIGESTS, MAX_ITEMS, MAX_TEXT, MAX_REPR_LENGTH = 40, 100, 64, 100, 2_000_000, 20_000

#: They have no attributes and no items.
PLAIN = frozenset({bool, bytes, float, int, str, type(None)})

#: Their texts are too short for a secret.
EMPTY = frozenset({bool, type(None)})

#: The most keys and digests whose encodings are remembered.
MAX_FORMS = 1000

#: What a table of SQLAlchemy is defined by.
DEFINITIONS = (SchemaItem, MetaData, ReadOnlyColumnCollection)

_SIGNATURE = re.compile(r"[A-Za-z0-9+/_-]{43,}")


class Secrecy(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.made: set[bytes] = set()
        self.signatures: set[str] = set()
        self.digests: deque[bytes] = deque(maxlen=MAX_DIGESTS)
        self.recorded: list[str] = []
        self.shown: dict[str, str] = {}
        self.size = 0
        self.places: set[str] = set()
        self.raised: list[BaseException] = []
        self.looking = False
        self.looks: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        # A formatter may print every attribute of a record, also extras and arguments.
        self.recorded.append(f"{record.getMessage()} {vars(record)!r} {record.exc_info and record.exc_info[1]!r}")
        if record.name == "hmac_guard":
            self.look("log")

    def record(self, *things: object) -> None:
        self.recorded += [thing.decode("latin-1") if isinstance(thing, bytes) else str(thing) for thing in things]

    def look(self, occasion: str) -> None:
        """Note what the variables of the package's functions show that are running now, and of those through which the
        error went that is being handled."""
        self.looks[occasion] += 1
        if self.looks[occasion] > MAX_LOOKS:
            return
        self.looking = True
        frame: FrameType | None = sys._getframe(1)
        seen: set[int] = set()
        while frame is not None:
            if _is_checked(frame.f_globals.get("__name__")):
                self._look_at(frame, seen)
            frame = frame.f_back
        self._look_back(sys.exc_info()[1], seen)
        self.looking = False

    def _look_back(self, error: BaseException | None, seen: set[int]) -> None:
        trace: TracebackType | None = error.__traceback__ if error is not None else None
        while trace is not None:
            if _is_checked(trace.tb_frame.f_globals.get("__name__")):
                self._look_at(trace.tb_frame, seen)
            trace = trace.tb_next

    def _look_at(self, frame: FrameType, seen: set[int]) -> None:
        """Note what the variables of a frame show, except the objects with the ids in `seen`, which are noted."""
        place = f"{frame.f_globals['__name__']}:{frame.f_code.co_name}"
        given = REQUEST | GIVEN if place.startswith(("hmac_guard.cli", "hmac_guard.explain")) else REQUEST
        for name, value in frame.f_locals.items():
            if name not in given and id(value) not in seen:
                seen.add(id(value))
                for text in texts_of(value):
                    if text not in self.shown:
                        self.shown[text] = f"{name} of {place}"
                        self.size += len(text)
        if self.size > MAX_TEXT:
            self._search()

    def _search(self) -> None:
        # Other threads may go on to note texts and digests.
        noted, self.shown, self.size = self.shown, {}, 0
        rows = list(noted.items())
        if not rows:
            return
        text = "\n".join(shown for shown, _ in rows)
        forms = {form for secret in (*self.made, *self.digests) for form in forms_of(secret)}
        kept = {form for form in forms if form in text} | self.signatures.intersection(_SIGNATURE.findall(text))
        self.places |= {f"{form} in {place}" for shown, place in rows for form in kept if form in shown}

    def clear(self) -> None:
        """Reset the findings."""
        self.recorded, self.shown, self.size, self.places, self.raised = [], {}, 0, set(), []
        self.looks.clear()
        _definitions.clear()

    def found(self) -> list[str]:
        """Return the leaked secrets, and reset the findings."""
        for error in self.raised:
            self._look_back(error, set())
        self._search()
        recorded = "\n".join(self.recorded)
        secrets = tuple(self.made) if recorded else ()
        found = {form for secret in secrets for form in forms_of(secret) if form in recorded} | self.places
        self.clear()
        return sorted(found)


@functools.cache
def _is_checked(module: object) -> bool:
    return CHECKED.match(str(module)) is not None


def texts_of(value: object) -> Iterator[str]:
    """Yield what an error tracker records of a variable: its repr, its attributes and its items."""
    things = (value,) if type(value) in PLAIN else (value, *_attributes(value), *_items(value))
    for thing in things:
        kind = type(thing)
        if kind in EMPTY:
            continue
        try:
            if kind in PLAIN:
                text = repr(thing)
            else:
                text = _text_of_definition(thing) if _is_definition(thing) else repr(_some(thing))
            yield text[:MAX_REPR_LENGTH]
        except Exception:  # An incomplete object, such as `self` in its constructor.
            continue


def _is_definition(thing: Any) -> bool:
    """Return whether this is a part of a table's definition, or the refusals of a guard, by their reasons."""
    kind: Any = type(thing)
    return _defines(kind) or (kind is dict and Reason.UNKNOWN_KEY in thing)


@functools.cache
def _defines(kind: type) -> bool:
    return issubclass(kind, DEFINITIONS)


def _text_of_definition(thing: Any, show: Callable[[Any], str] = repr) -> str:
    """Return the repr of a definition. It takes up to milliseconds, and the definition does not change."""
    if id(thing) not in _definitions:
        _definitions[id(thing)] = (thing, show(thing))
    return _definitions[id(thing)][1]


#: By id, with the object itself, so that no other one gets its id.
_definitions: dict[int, tuple[object, str]] = {}


def _some(thing: Any) -> Any:
    """Return the object, or the first items of a large container."""
    if not isinstance(thing, (dict, list, tuple, set)) or len(thing) <= MAX_ITEMS:
        return thing
    return dict(islice(thing.items(), MAX_ITEMS)) if isinstance(thing, dict) else list(islice(thing, MAX_ITEMS))


def _attributes(value: object) -> list[Any]:
    # A proxy of Flask has no attributes outside of a context.
    if isinstance(value, (type, type(sys))) or type(value).__name__ == "LocalProxy":
        return []
    kind: Any = type(value)
    slots = _slots_of(kind)
    return [*getattr(value, "__dict__", {}).values(), *(getattr(value, name, None) for name in slots)]


@functools.cache
def _slots_of(kind: type) -> frozenset[str]:
    return frozenset(name for base in kind.__mro__ for name in _names(vars(base).get("__slots__", ())))


def _names(slots: Any) -> Any:
    return [slots] if isinstance(slots, str) else slots


def _items(value: object) -> list[Any]:
    if isinstance(value, dict):
        return [part for pair in islice(value.items(), MAX_ITEMS) for part in pair]
    return [*islice(value, MAX_ITEMS)] if isinstance(value, (tuple, list)) else []


@functools.lru_cache(maxsize=MAX_FORMS)
def forms_of(secret: bytes) -> tuple[str, ...]:
    """Return a key or a digest in all encodings."""
    if len(secret) < LONG_ENOUGH or len(set(secret)) < LETTERS:
        return ()
    encoded = {base64.b64encode(secret).decode(), base64.urlsafe_b64encode(secret).decode()}
    texts = {secret.decode("latin-1"), secret.decode("utf-8", "replace"), secret.hex(), secret.hex().upper()}
    return tuple(texts | {repr(secret)[2:-1], ascii(secret.decode("latin-1"))[1:-1]} | {e.rstrip("=") for e in encoded})


SECRECY = Secrecy()


def watch() -> None:
    """Start to record all keys, all errors of the package and all output of processes."""
    _note_secrets()
    _note_errors()
    _note_user_code()
    _keep_columns()
    show, communicate = warnings.showwarning, subprocess.Popen.communicate

    def noted_warning(message: Any, *args: Any, **more: Any) -> None:
        SECRECY.record(message)
        show(message, *args, **more)

    def noted_output(self: Any, *args: Any, **more: Any) -> Any:
        output = communicate(self, *args, **more)
        SECRECY.record(*output)
        return output

    subprocess.Popen.communicate = noted_output  # type: ignore[method-assign]
    warnings.showwarning = noted_warning


def _note_secrets() -> None:
    """Keys, before anything is made of them, digests, signatures, and the keys that seal keys. No function of this file
    stands between the package and who calls it: it would be the caller of whom a warning speaks."""
    digest, sign, make_box = Key.digest, Scheme.signature_of, Fernet.__init__

    def noted_secret(value: Any) -> Hidden[Any]:
        if isinstance(value, (str, bytes)):
            SECRECY.made.add(value.encode(errors="replace") if isinstance(value, str) else value)
        return hide(value)

    def noted_digest(self: Key, algorithm: str, message: bytes) -> bytes:
        SECRECY.digests.append(made := digest(self, algorithm, message))
        return made

    def noted_signature(self: Scheme, key: Key, message: bytes) -> bytes:
        SECRECY.signatures.update(_SIGNATURE.findall((made := sign(self, key, message)).decode()))
        return made

    def noted_box(self: Fernet, key: Any, *args: Any) -> None:
        if isinstance(key, (str, bytes)):
            SECRECY.made.add(key.encode() if isinstance(key, str) else key)
        make_box(self, key, *args)

    vars(hmac_guard.core.key)["hide"] = noted_secret
    Key.digest = noted_digest  # type: ignore[method-assign]
    Scheme.signature_of = noted_signature  # type: ignore[method-assign]
    Fernet.__init__ = noted_box  # type: ignore[method-assign, assignment]


def _note_errors() -> None:
    def noted_error(self: Exception, *args: Any) -> None:
        next(make[kind] for kind in type(self).__mro__ if kind in make)(self, *args)
        SECRECY.record(*args)
        SECRECY.look(type(self).__name__)
        if len(SECRECY.raised) < MAX_ERRORS:
            SECRECY.raised.append(self)

    make: dict[type, Any] = {}
    for kind in (CliError, ConfigError, KeysUnavailable, WeakKeyWarning):
        make[kind] = kind.__init__
        kind.__init__ = noted_error  # type: ignore[method-assign, assignment]


def _note_user_code() -> None:
    call, unwrapped = CallableKeys.__call__, hmac_guard.keys.resolver.unwrapped

    def noted_call(self: CallableKeys, claim: Claim) -> Any:
        SECRECY.look("resolver")
        return call(self, claim)

    def noted_unwrapped(resolver: Any) -> Hidden[Any]:
        # `noted_call` calls the user's callable, too.
        return hide(resolver) if isinstance(resolver, CallableKeys) else unwrapped(resolver)

    CallableKeys.__call__ = noted_call  # type: ignore[method-assign]
    for driver in (hmac_guard.wsgi.driver, hmac_guard.asgi.driver):
        vars(driver)["unwrapped"] = noted_unwrapped
    for kind, callbacks in (
        (Decider, ("on_verdict", "on_decision", "_count", "clock")),
        (SqlKeys, ("_on_change", "clock")),
    ):
        kind._set = _noting(kind._set, callbacks)  # type: ignore[method-assign]
    for moment in ("before_cursor_execute", "handle_error"):
        event.listen(Engine, moment, lambda *_: SECRECY.look("statement"))


def _keep_columns() -> None:
    """Rows, statements and sets of columns show each of their columns."""
    show = Column.__repr__

    def kept_text(self: Column[Any]) -> str:
        return _text_of_definition(self, show) if self.table is not None else show(self)

    Column.__repr__ = kept_text  # type: ignore[method-assign]


def _noting(keep: Any, callbacks: tuple[str, ...]) -> Any:
    def noted_set(self: Any, **fields: Any) -> None:
        for name in callbacks:
            if fields.get(name) is not None:
                fields[name] = noted_callback(name, fields[name])
        keep(self, **fields)

    def noted_callback(name: str, function: Any) -> Any:
        def call(*args: Any) -> Any:
            SECRECY.look(name)
            return function(*args)

        if hasattr(function, "count_decision"):
            call.count_decision = function.count_decision  # type: ignore[attr-defined]
        return call

    return noted_set


def watched() -> Iterator[None]:
    """Check one test: it must not leak a key."""
    before = set(SECRECY.made)
    SECRECY.digests.clear()
    SECRECY.clear()
    logging.getLogger().addHandler(SECRECY)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(SECRECY)
        found = SECRECY.found()
        # Keys of other tests do not count.
        SECRECY.made = before
    assert not found, f"a key was leaked: {found}"
