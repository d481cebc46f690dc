"""The guard: an immutable combination of a scheme, its keys and a policy."""

import inspect
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NoReturn, final

from hmac_guard.applications import AsgiApplication
from hmac_guard.core.errors import ConfigError
from hmac_guard.core.frozen import Frozen
from hmac_guard.core.hidden import hide
from hmac_guard.core.key import Mode as Mode
from hmac_guard.core.paths import ExemptPaths, GuardedPaths
from hmac_guard.core.refusal import RefusalBody, make_refusals
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.signed import reader_of
from hmac_guard.decider import Decider, OnDecision, OnVerdict
from hmac_guard.keys.resolver import KeyResolver, Keys, Resolver, as_resolver, check_clock, check_modes
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


class _NoSignature(inspect.Signature):
    """Says that a guard is not callable. FastAPI reads the parameters of a dependency when it is declared."""

    def __get__(self, guard: object, owner: type) -> "_NoSignature":
        if guard is None:
            raise AttributeError  # The class has the signature of its `__init__`.
        return self

    @property
    def parameters(self) -> NoReturn:
        raise NotCallableError(_NOT_CALLABLE)

    __repr__ = object.__repr__


class NotCallableError(ConfigError, TypeError):
    """A guard was given in place of a middleware, a dependency or a function."""


_NOT_CALLABLE = (
    "Guard: a guard is not a middleware, a view or a dependency itself. FastAPI and Starlette: "
    "app.add_middleware(hmac_guard.asgi.GuardMiddleware, guard=guard), or Security(GuardSecurity(guard)) with "
    "hmac_guard.fastapi. Flask: GuardExtension(guard, app) of hmac_guard.flask. Django: "
    '"hmac_guard.django.GuardMiddleware" in MIDDLEWARE, @hmac_guarded(guard), or for Django REST framework a subclass '
    "of GuardAuthentication with this guard. Elsewhere: guard.asgi(app) or guard.wsgi(app)"
)


@final
class Guard(Frozen):
    """Proves the ids of every request before the application sees it.

    Middleware that rewrites the path or the method (a method override, `X-Script-Name`) belongs outside of the guard:
    inside, it changes what `only`, `exempt` and `preflight` have decided on. A guard is immutable, and safe to share
    between threads and tasks.

    Args:
        scheme: What is signed and how, and where it is sent.
        keys: A key (`Key`, text, bytes), a list of keys (any verifies, the first signs), a `Keyring`, a mapping by
            tenant, or a key resolver: a callable `claim -> keys`, sync or async (see `hmac_guard.keys`).
        mode: "enforce" answers 401. "report" lets every request through, annotated and logged with the verdict that it
            would have got. "off" does not look. A tenant may have its own mode (`Keyring.mode`). The less strict of the
            two applies, so make the guard with "enforce" and begin with the tenants in "report". While the keys of a
            tenant are unavailable, the guard's own mode applies.
        only: Guard only these paths: exact ones, or prefixes that end in "/". By default all. Write them as the
            application routes them, without a mount point that it sets itself: a path is guarded if such a prefix is
            anywhere in it, or if it ends with an entry.
        exempt: Do not guard these paths: exact ones, or prefixes that end in "/". It wins over `only`. If an
            application routes "/docs/" like "/docs", as Litestar does, the prefix "/docs/" opens the route "/docs" too.
        preflight: Let CORS preflights through, because a browser cannot sign them.
        max_body: The most bytes of a body that are read to find ids in. A larger body is answered 413.
        annotate_as: The name of the verdict in the scope or environ. Two stacked guards need two names.
        refusal: Makes the body of each answer: `(code, message) -> bytes | (bytes, media type)`. Called once for each
            code.
        problem_base: The address of a page about refusals. The `type` of each problem document is this, "#" and the
            code.
        on_verdict: Called as `(verdict, claim)` once for each request that is not skipped. It must be sync and quick:
            it is not awaited.
        on_decision: Called with a `Decision` once for each request, skipped ones too. It must be sync and quick as
            well.
        single_use: A store of `hmac_guard.once`: each signature is accepted once. The scheme must have a time.
        single_use_scope: Guards with the same store and scope share the used signatures. None is the scheme's name.
        clock: Returns Unix seconds, for keys with a time and for signed times. It is called once here, too.
        debug: Explain each refusal in the log, never in the answer: which mistake was made, and where the guard looked.
            Refusals become slow. Not for production: it warns with `hmac_guard.explain.debug.DebugWarning`.

    Raises:
        ConfigError: An argument is not valid, or the arguments cannot work together.

    Example::

        guard = Guard(NANGO, keys="the secret of 32 bytes or more ...")
        app.wsgi_app = guard.wsgi(app.wsgi_app)
    """

    scheme: Scheme
    keys: KeyResolver
    mode: Mode
    annotate_as: str
    max_body: int
    _decider: Decider

    def __init_subclass__(cls) -> None:
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
        check_functions(refusal=refusal, on_verdict=on_verdict, on_decision=on_decision)
        check_clock("Guard", clock)
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
            explain=_explainer(scheme) if debug else None,
            once=once,
        )
        self._set(_decider=decider)

    def asgi(self, app: AsgiApplication) -> "AsgiGuard":
        """Return this guard around an ASGI application.

        Args:
            app: The application.

        Raises:
            ConfigError: It is certainly not an ASGI application, or this guard cannot work around it.
        """
        from hmac_guard.asgi import GuardMiddleware

        return GuardMiddleware(app, guard=self)

    def wsgi(self, app: "WSGIApplication") -> "WsgiGuard":
        """Return this guard around a WSGI application.

        Args:
            app: The application.

        Raises:
            ConfigError: It is certainly not a WSGI application, or this guard cannot work around it. A key resolver or
                store that is bound to an event loop cannot serve WSGI.
        """
        from hmac_guard.wsgi import GuardMiddleware

        return GuardMiddleware(app, guard=self)

    def for_route(self) -> "Guard":
        """Return this guard without `only` and `exempt`, for a handle on one route: the router has already decided.

        Otherwise it is the same guard: a request that one of them has judged is not judged again by the other.
        """
        bound = object.__new__(Guard)
        bound._set(**{**vars(self), "_decider": self._decider.for_route()})
        return bound

    if not TYPE_CHECKING:  # To a type checker a guard is not callable.
        __signature__ = _NoSignature()

        def __call__(self, *given: object, **options: object) -> NoReturn:
            raise NotCallableError(_NOT_CALLABLE)

    def _description(self) -> str:
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
