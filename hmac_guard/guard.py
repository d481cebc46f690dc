"""The guard: one frozen binding of a scheme, its keys and a policy. It decides what a verdict leads to."""

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from hmac_guard.applications import AsgiApplication
from hmac_guard.core.errors import ConfigError
from hmac_guard.core.frozen import Frozen
from hmac_guard.core.hidden import hide
from hmac_guard.core.paths import ExemptPaths, GuardedPaths
from hmac_guard.core.refusal import RefusalBody, make_refusals
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.signed import reader_of
from hmac_guard.decider import Decider, OnDecision, OnVerdict
from hmac_guard.keys.resolver import KeyResolver, Keys, Resolver, as_resolver, check_modes
from hmac_guard.options import (
    check_functions,
    check_key_form,
    check_policy,
    check_problem_base,
    check_scheme,
    check_single_use,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from hmac_guard.asgi import GuardMiddleware as AsgiGuard
    from hmac_guard.once.store import OnceStore
    from hmac_guard.wsgi import GuardMiddleware as WsgiGuard


#: What a guard does with what is not verified.
Mode = Literal["enforce", "report", "off"]


class _NoSignature:
    """Says of a guard what `__call__` says: FastAPI asks for the signature of a dependency where it is declared."""

    def __get__(self, guard: object, owner: type) -> NoReturn:
        if guard is None:
            raise AttributeError  # The class has the signature of its `__init__`.
        raise NotCallableError(_NOT_CALLABLE)


class NotCallableError(ConfigError, TypeError):
    """A guard was given where a middleware, a dependency or a function belongs."""


_NOT_CALLABLE = (
    "Guard: a guard is not a middleware, a view or a dependency itself. FastAPI and Starlette: "
    "app.add_middleware(hmac_guard.asgi.GuardMiddleware, guard=guard), or Security(GuardSecurity(guard)) with "
    "hmac_guard.fastapi. Flask: GuardExtension(guard, app) of hmac_guard.flask. Django: "
    '"hmac_guard.django.GuardMiddleware" in MIDDLEWARE. Elsewhere: guard.asgi(app) or guard.wsgi(app)'
)


class Guard(Frozen):
    """Proves the ids of every request before the application sees it.

    `scheme`       what is signed and how, and where it travels
    `keys`         a key (`Key`, text, bytes), a list of keys (any verifies, the first signs), a `Keyring`, a mapping by
                   tenant, or a key resolver: a callable `claim -> keys`, sync or async (see `hmac_guard.keys`)
    `mode`         "enforce" answers 401; "report" lets every request through, annotated and logged with the verdict it
                   would have got; "off" does not look. A tenant may have a mode of its own (`Keyring.mode`): the laxer
                   of the two applies, so make the guard with "enforce" and begin with the tenants in "report"
    `only`         guard these paths alone: exact ones, or prefixes that end in "/". Default: all. Write them as the
                   application routes them, without a mount point that it sets itself: a path is guarded if such a
                   prefix is anywhere in it, or if it ends with an entry
    `exempt`       leave these paths unguarded: exact ones, or prefixes that end in "/"; wins over `only`
    `preflight`    let CORS preflights through, since a browser cannot sign them
    `max_body`     the most bytes of a body that are read to find ids in; a larger one is answered 413
    `annotate_as`  the name of the verdict in the scope or environ; two stacked guards need two
    `refusal`      makes the body of each answer: `(code, message) -> bytes | (bytes, media type)`, called once a code
    `problem_base` the address of a page about refusals: the `type` of each problem document is this, "#" and the code
    `on_verdict`   called as `(verdict, claim)` once for each judged request; sync and quick, it is not awaited
    `on_decision`  called with a `Decision` once for each request, the skipped ones too; sync and quick as well
    `single_use`   a store of `hmac_guard.once`: each signature is accepted once. It needs a scheme with a time
    `single_use_scope`  guards that share a store and a scope share what was used; None is the scheme's name
    `clock`        gives Unix seconds, for keys that have a time and for signed times
    `debug`        explain each refusal in the log, never in the answer: which mistake was made, where the guard looked.
                   Slow to refuse, and not for production: it warns with `hmac_guard.explain.debug.DebugWarning`

    Middleware that rewrites the path or the method (a method override, `X-Script-Name`) belongs outside of the guard:
    inside, it changes what `only`, `exempt` and `preflight` have decided by. Raises `ConfigError` for what cannot work.
    A guard is immutable, and safe to share between threads and tasks.
    """

    scheme: Scheme
    keys: KeyResolver
    mode: str
    annotate_as: str
    max_body: int
    _decider: Decider

    def __init_subclass__(cls) -> NoReturn:
        raise TypeError("a Guard cannot be subclassed: the middleware does not call a subclass's methods; wrap it")

    def __init__(
        self,
        scheme: Scheme,
        keys: Keys,
        *,
        mode: Mode = "enforce",
        only: Iterable[str] = (),
        exempt: Iterable[str] = (),
        preflight: bool = True,
        max_body: int = 262_144,
        annotate_as: str = "hmac_guard",
        refusal: Callable[[str, str], RefusalBody] | None = None,
        problem_base: str | None = None,
        on_verdict: OnVerdict | None = None,
        on_decision: OnDecision | None = None,
        single_use: "OnceStore | None" = None,
        single_use_scope: str | None = None,
        clock: Callable[[], float] = time.time,
        debug: bool = False,
    ) -> None:
        hidden = hide(keys)
        del keys
        # A user may give the key in the place of the scheme.
        given = hide(scheme)
        del scheme
        check_scheme(given)
        scheme = given.get()
        check_policy(mode, preflight, max_body, annotate_as, debug)
        check_functions(refusal=refusal, on_verdict=on_verdict, on_decision=on_decision, clock=clock)
        check_problem_base(problem_base)
        resolver = as_resolver(hidden)
        check_modes(resolver, mode)
        if resolver.needs_tenant and scheme.tenant is None:
            raise ConfigError(
                f"Guard: keys are by tenant, but the scheme {scheme.name!r} has no tenant=; add it, or give one key"
            )
        check_key_form(scheme, resolver)
        reads_tenant = scheme.tenant is not None and resolver.per_tenant is not False
        once = _store_calls(single_use, single_use_scope, scheme, resolver)
        self._set(scheme=scheme, keys=resolver, mode=mode, annotate_as=annotate_as, max_body=max_body)
        decider = Decider(
            scheme=scheme,
            reader=reader_of(scheme, with_tenant=reads_tenant),
            keys=resolver,
            mode=mode,
            annotate_as=annotate_as,
            issuer=object(),
            max_body=max_body,
            by_tenant=reads_tenant and resolver.per_tenant is True,
            only=GuardedPaths(only),
            exempt=ExemptPaths(exempt),
            preflight=preflight,
            refusals=make_refusals(refusal, problem_base),
            on_verdict=on_verdict,
            on_decision=on_decision,
            clock=clock,
            watch=_explainer(scheme) if debug else None,
            once=once,
        )
        self._set(_decider=decider)

    def asgi(self, app: AsgiApplication) -> "AsgiGuard":
        """This guard around an ASGI application."""
        from hmac_guard.asgi import GuardMiddleware

        return GuardMiddleware(app, guard=self)

    def wsgi(self, app: "WSGIApplication") -> "WsgiGuard":
        """This guard around a WSGI application."""
        from hmac_guard.wsgi import GuardMiddleware

        return GuardMiddleware(app, guard=self)

    def for_route(self) -> "Guard":
        """This guard without `only` and `exempt`: for a handle on one route, where the router has decided.

        It is the same guard otherwise: a request that one of them has judged is not judged again by the other.
        """
        bound = object.__new__(Guard)
        bound._set(**{**vars(self), "_decider": self._decider.for_route()})
        return bound

    if not TYPE_CHECKING:  # To a type checker a guard is not callable.
        __signature__ = _NoSignature()

        def __call__(self, *given: object, **options: object) -> NoReturn:
            raise NotCallableError(_NOT_CALLABLE)

    def __repr__(self) -> str:
        return f"<Guard {self.scheme.name}, mode={self.mode!r}, annotate_as={self.annotate_as!r}>"


def _store_calls(store: Any, single_use_scope: str | None, scheme: Scheme, resolver: Resolver) -> Any:
    check_single_use(store is not None, single_use_scope, scheme, resolver)
    if store is None:
        return None
    from hmac_guard.once.calling import StoreCalls  # It imports asyncio.

    return StoreCalls(store, single_use_scope or scheme.name)


def _explainer(scheme: Scheme) -> Any:
    from hmac_guard.explain.debug import Explainer

    return Explainer(scheme)
