"""Key resolvers, and the answers that they may give.

A resolver is any callable, sync or async, that takes a `Claim` and returns the keys of its tenant. It may have these
attributes, which are read when a guard is made:

- `blocking = False`: under ASGI it is called inline. Every other sync resolver runs in a worker thread of the event
  loop's default executor (`asgiref.sync_to_async(thread_sensitive=False)`), so that one slow look-up blocks no other
  request. An async resolver runs on the event loop. Under WSGI a sync resolver runs on the request's own thread, and an
  async one by `asgiref.async_to_sync`, on an event loop that lives as long as that call.
- `on_loop`: its form for ASGI, called inline. A callable that returns the keys at once, or an awaitable.
- `per_tenant = True`: the keys that it returns for a tenant belong to that tenant alone, so that a signature under them
  proves the tenant (`verdict.tenant`). The decorator `per_tenant` sets it.
- `per_tenant = False`: its answer is the same for every tenant, so the tenant is not read from the request at all.
- `asgi_only = True`: it is bound to one event loop and cannot serve WSGI. `Guard.wsgi` refuses it.

Without `per_tenant` the tenant is read, and is not proven.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.frozen import Frozen
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.key import ALGORITHMS, Key, Keyring
from hmac_guard.core.numbers import is_finite
from hmac_guard.core.text import is_id
from hmac_guard.core.verdict import Claim

#: One key, or several keys; any of them verifies.
KeySource = Key | str | bytes | Sequence[Key | str | bytes] | Keyring
#: `None` and an empty sequence mean: no such tenant.
KeyAnswer = KeySource | None
KeyResolver = Callable[[Claim], KeyAnswer | Awaitable[KeyAnswer]]


def as_keyring(answer: object) -> Keyring | None:
    """Return the ring for a resolver's answer; None for a tenant without keys.

    Raises:
        ConfigError: The answer is not a key, or a key in it is empty or blank.
    """
    hidden: Hidden[Any] = hide(answer)
    del answer
    if hidden.get() is None or isinstance(hidden.get(), Keyring):
        ring: Keyring | None = hidden.get()
        return ring
    if isinstance(hidden.get(), (list, tuple)) and not hidden.get():
        return None
    if isinstance(hidden.get(), (list, tuple, Key, str, bytes)):
        return Keyring(hidden.get())
    raise ConfigError(
        f"keys: {type(hidden.get()).__name__} is not a key; give a Key, text, bytes, a list of these, a Keyring, or "
        "None"
    )


class Resolver(Frozen):
    """The base class of the resolvers of this package. See the module for the attributes."""

    __slots__ = ()

    per_tenant: bool | None = None
    blocking: bool = True
    asgi_only: bool = False
    on_loop: Any = None

    def __call__(self, claim: Claim) -> Any:
        """Return the keys of the claim's tenant, or an awaitable of them; None if the tenant has no keys."""
        raise NotImplementedError

    @property
    def needs_loop(self) -> bool:
        """Whether, under ASGI, this or a part of it must run on the event loop."""
        return self.asgi_only

    @property
    def needs_tenant(self) -> bool:
        """Whether this or a part of it has keys by tenant."""
        return self.per_tenant is True

    @property
    def is_shared(self) -> bool:
        """Whether this or a part of it has keys that are the same for every tenant."""
        return self.per_tenant is False

    def known_rings(self) -> Mapping[str, Keyring]:
        """Return the rings, by tenant, that were known when this was made."""
        return {}

    def known_keys(self) -> Iterable[Key]:
        """Return the keys that were known when this was made. There may be others."""
        return keys_of(self.known_rings())


class StaticKeys(Resolver):
    """Uses the same keys for every request.

    Args:
        keys: One key, several keys or a `Keyring`.

    Raises:
        ConfigError: There is no key, or the `Keyring` has a mode. A mode belongs to a tenant, and these keys belong to
            no tenant.
    """

    __slots__ = ("keyring",)

    keyring: Keyring
    blocking = False
    per_tenant = False

    def __init__(self, keys: KeySource) -> None:
        hidden = hide(keys)
        del keys
        keyring = as_keyring(hidden.get())
        if keyring is None:
            raise ConfigError("keys: give at least one key; without one every request would be refused")
        if keyring.mode is not None:
            raise ConfigError(
                f"keys: a Keyring with mode={keyring.mode!r} is a tenant's, but these keys are the same for every "
                "tenant; give the mode to the Guard, or put the ring into a mapping by tenant"
            )
        self._set(keyring=keyring)

    def __call__(self, claim: Claim) -> Keyring:
        return self.keyring

    def known_keys(self) -> Iterable[Key]:
        return self.keyring.keys

    def _description(self) -> str:
        return f"StaticKeys({self.keyring!r})"


class MappingKeys(Resolver):
    """Uses the keys of a mapping by tenant. The mapping is copied.

    Args:
        keys: The keys by tenant, as the request names it.

    Raises:
        ConfigError: A tenant is not text that a request can name or has no key, the mapping is empty, or two tenants
            have the same secret. A signature of one of them would prove the other.

    Example::

        MappingKeys({"pk_live_1": "s3cret", "pk_live_2": ["new", "old"]})
    """

    __slots__ = ("_rings",)

    _rings: dict[str, Keyring]
    blocking = False
    per_tenant = True

    def __init__(self, keys: Mapping[str, KeySource]) -> None:
        hidden: Hidden[Mapping[str, KeySource]] = hide(keys)
        del keys
        rings: dict[str, Keyring] = {}
        if not isinstance(hidden.get(), Mapping):
            raise ConfigError("MappingKeys: give a mapping of tenants to keys, such as a dict")
        if not all(map(_is_name, hidden.get())):
            raise ConfigError(
                "keys: each tenant of a mapping must be text that a request can name: 1 to 1,024 bytes without control "
                "characters and without white space at either end"
            )
        # By its keys, since a loop over the items would hold each secret in a variable.
        for tenant in hidden.get():
            try:
                ring = as_keyring(hidden.get()[tenant])
            except ConfigError as error:
                raise ConfigError(f"keys: the tenant {tenant!r}: {error}") from None
            if ring is None:
                raise ConfigError(f"keys: the tenant {tenant!r} has no key; give it one or leave it out")
            rings[tenant] = ring
        if not rings:
            raise ConfigError("keys: the mapping is empty; without a tenant every request would be refused")
        check_owners("keys", rings)
        self._set(_rings=rings)

    def __call__(self, claim: Claim) -> Keyring | None:
        return self._rings.get(claim.tenant) if claim.tenant is not None else None

    def known_rings(self) -> Mapping[str, Keyring]:
        return self._rings

    def _description(self) -> str:
        return f"<MappingKeys of {len(self._rings)} tenants>"


class CallableKeys(Resolver):
    """A user's callable as a resolver. It may hold secrets, and its `repr` may show them, so it is hidden.

    Args:
        resolver: The callable.
        per_tenant: The declaration; None reads the attribute of the callable.

    Raises:
        ConfigError: The callable cannot be a resolver, or one of its attributes is not valid.
    """

    __slots__ = ("_resolver", "asgi_only", "blocking", "on_loop", "per_tenant")

    _resolver: Hidden[Any]
    per_tenant: bool | None
    blocking: bool
    asgi_only: bool
    on_loop: Any

    def __init__(self, resolver: Any, *, per_tenant: bool | None = None) -> None:
        resolver = hide(resolver)
        _check_callable(resolver)
        on_loop = hide(getattr(resolver.get(), "on_loop", None))
        self._set(
            _resolver=resolver,
            per_tenant=_option(resolver, "per_tenant") if per_tenant is None else per_tenant,
            blocking=_option(resolver, "blocking") is not False,
            asgi_only=_option(resolver, "asgi_only") is True,
            on_loop=None if on_loop.get() is None else _hidden_call(on_loop),
        )

    def __call__(self, claim: Claim) -> Any:
        return self._resolver.get()(claim)

    @property
    def needs_loop(self) -> bool:
        return self.asgi_only or self.on_loop is not None or is_async(self)

    def unwrapped(self) -> Hidden[Any]:
        """Return the user's callable."""
        return self._resolver

    def _description(self) -> str:
        given = self._resolver
        return f"CallableKeys({getattr(given.get(), '__qualname__', type(given.get()).__name__)})"


def _hidden_call(function: Hidden[Any]) -> Callable[[Claim], Any]:
    """Return a function that calls another one, and shows nothing of it."""

    def call(claim: Claim) -> Any:
        return function.get()(claim)

    return call


def as_resolver(keys: Any) -> Resolver:
    """Return the resolver for a guard's `keys`.

    Raises:
        ConfigError: The argument is not a source of keys.
    """
    keys = hide(keys)
    if isinstance(keys.get(), Resolver):
        resolver: Resolver = keys.get()
        return resolver
    if isinstance(keys.get(), (Key, str, bytes, list, tuple, Keyring)):
        return StaticKeys(keys.get())
    return MappingKeys(keys.get()) if isinstance(keys.get(), Mapping) else CallableKeys(keys.get())


R = TypeVar("R", bound=Callable[..., Any])


def per_tenant(resolver: R) -> R:
    """Declare that the keys which a resolver returns for a tenant belong to that tenant alone.

    A signature under them then proves the tenant, and only then `verdict.tenant` is set. Never declare it if two
    tenants can have the same secret.

    Args:
        resolver: A function, sync or async, a class of resolvers, or any other callable.

    Returns:
        The same object, marked. Only an object without writable attributes, such as a bound method, is wrapped.

    Raises:
        ConfigError: The argument is not callable, or it is a resolver of this package whose keys are not by tenant.

    Example::

        @per_tenant
        def keys(claim):
            return secret_of(claim.tenant)
    """
    hidden: Hidden[Any] = hide(resolver)
    del resolver
    if isinstance(hidden.get(), Resolver) and hidden.get().per_tenant is not True:
        raise ConfigError(
            f"per_tenant: {type(hidden.get()).__name__} cannot be declared; declare the callable that gives its keys, "
            "or write CachedKeys(..., per_tenant=True)"
        )
    if not callable(hidden.get()):
        raise ConfigError("per_tenant: give a key resolver, a callable that takes a claim")
    if getattr(hidden.get(), "per_tenant", None) is not True:
        try:
            hidden.get().per_tenant = True
        except (AttributeError, TypeError):
            hidden = hide(CallableKeys(hidden.get(), per_tenant=True))
    declared: R = hidden.get()
    return declared


def check_modes(resolver: Resolver, guard_mode: str) -> None:
    """Raise `ConfigError` if the mode of a tenant cannot apply.

    It does not apply if some keys are the same for every tenant: they prove no tenant. Otherwise the less strict of
    the tenant's mode and the guard's mode applies.
    """
    with_mode = sorted(tenant for tenant, ring in resolver.known_rings().items() if ring.mode is not None)
    if with_mode and resolver.is_shared:
        raise ConfigError(
            f"Guard: the tenant {with_mode[0]!r} has a Keyring with a mode, which does not count beside keys that are "
            "the same for every tenant; give the mode to the Guard, or make ChainKeys of keys by tenant alone"
        )
    enforced = sorted(tenant for tenant, ring in resolver.known_rings().items() if ring.mode == "enforce")
    if enforced and guard_mode != "enforce":
        raise ConfigError(
            f"Guard: the tenant {enforced[0]!r} has a Keyring with mode='enforce', but the guard's mode is "
            f"{guard_mode!r}, and the less strict of the two applies; make the guard 'enforce' and give mode='report' "
            "to the tenants that are not ready"
        )


def keys_of(rings: Mapping[Any, Keyring]) -> Iterable[Key]:
    """Return the keys of all rings."""
    return [key for ring in rings.values() for key in ring.keys]


def check_owners(where: str, rings: Mapping[str, Keyring]) -> None:
    """Raise `ConfigError` if two tenants have a key in common."""
    owners = _owners_of_one_key(rings)
    if owners is not None:
        raise ConfigError(
            f"{where}: the tenants {owners[0]!r} and {owners[1]!r} have the same secret, so that a signature of one "
            "would prove the other; give each its own"
        )


def _owners_of_one_key(rings: Mapping[str, Keyring]) -> tuple[str, str] | None:
    """Return two owners of rings with a key in common, as HMAC compares keys; None if there are none."""
    for algorithm in ALGORITHMS:
        owners: Hidden[dict[bytes, str]] = hide({})
        for owner, ring in rings.items():
            for key in ring.keys:
                other = owners.get().setdefault(key.padded(algorithm), owner)
                if other != owner:
                    return other, owner
    return None


def unwrapped(resolver: KeyResolver) -> Hidden[KeyResolver]:
    """Return the callable that is called when the resolver is called."""
    hidden: Hidden[Any] = hide(resolver)
    del resolver
    return hidden.get().unwrapped() if isinstance(hidden.get(), CallableKeys) else hidden


def functions_of(resolver: Any) -> tuple[Any, ...]:
    """Return the functions that are known to run when the resolver is called."""
    resolver = unwrapped(resolver).get()
    while isinstance(resolver, partial):
        resolver = resolver.func
    return (resolver, type(resolver).__call__)


def is_async(resolver: Any) -> bool:
    """Return whether the resolver is known to return an awaitable."""
    return any(map(inspect.iscoroutinefunction, functions_of(resolver)))


def check_function(owner: str, argument: str, function: Any, takes: str) -> None:
    """Check a function that a user gives.

    Args:
        owner: The class that gets the function, for messages.
        argument: The name of the argument.
        function: The function.
        takes: The names of the arguments that the function gets, with ", " between them.

    Raises:
        ConfigError: It is a class, not a sync function, or it cannot be called with these arguments.
    """
    # A class can be called as well, but each call would only make an object.
    if isinstance(function, type):
        raise ConfigError(
            f"{owner}: {argument} is the class {function.__name__}; make one object of it: "
            f"{argument}={function.__name__}(…)"
        )
    if not callable(function) or is_async(function):
        raise ConfigError(f"{owner}: {argument} must be a sync function")
    if not _can_take(hide(function), len(takes.split(", ")) if takes else 0):
        raise ConfigError(f"{owner}: {argument} must be callable as {argument}({takes})")


def check_clock(owner: str, clock: Any, example: str = "time.time") -> None:
    """Check a clock that a user gives. It is called once, so that an exception of it is raised now.

    Args:
        owner: The class that gets the clock, for messages.
        clock: The clock.
        example: The name of a function that is such a clock.

    Raises:
        ConfigError: It is not a sync function without arguments that returns a number.
    """
    if not callable(clock):
        raise ConfigError(
            f"{owner}: clock must be a function that returns seconds, such as {example}, not {type(clock).__name__}"
        )
    check_function(owner, "clock", clock, "")
    now = clock()
    if not is_finite(now):
        returned = now if isinstance(now, float) else type(now).__name__
        raise ConfigError(
            f"{owner}: clock must return seconds, a finite number, as {example} does, not {returned}; of a datetime "
            "return .timestamp()"
        )


def _is_name(tenant: object) -> bool:
    return isinstance(tenant, str) and is_id(tenant)


def _check_callable(keys: Hidden[Any]) -> None:
    if not callable(keys.get()) or isinstance(keys.get(), type):
        raise ConfigError(
            f"keys: {type(keys.get()).__name__} is no source of keys; give a key, a list of keys, a mapping by tenant, "
            "or a callable that takes a claim"
        )
    functions = hide(functions_of(keys.get()))
    if any(map(inspect.isgeneratorfunction, functions.get())) or any(map(inspect.isasyncgenfunction, functions.get())):
        raise ConfigError("keys: the resolver is a generator (it has a 'yield'); it must return its answer")
    if not _can_take(keys, 1):
        raise ConfigError("keys: the resolver must take one argument, the claim")


def _can_take(function: Hidden[Any], count: int) -> bool:
    try:
        inspect.signature(function.get()).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:
        pass  # Some built-in callables have no signature to look at.
    return True


def _option(resolver: Hidden[Any], name: str) -> bool | None:
    """Return an attribute of a resolver that is True, False or missing."""
    value: bool | None = getattr(resolver.get(), name, None)
    if value is not None and not isinstance(value, bool):
        raise ConfigError(f"keys: the attribute {name} of the resolver must be True or False")
    return value


#: What a guard takes as its keys.
Keys = KeySource | Mapping[str, KeySource] | KeyResolver
