"""The guard: one frozen binding of a scheme, its keys and a policy. It decides what a verdict leads to."""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from hmac_guard.core import decision
from hmac_guard.core.decision import NOBODY
from hmac_guard.core.errors import ConfigError, refuse_unknown
from hmac_guard.core.express import Reader, compile_reader, leave
from hmac_guard.core.frozen import Frozen
from hmac_guard.core.hidden import hide
from hmac_guard.core.key import Keyring
from hmac_guard.core.paths import PathSet, exempt_set, guarded_set, is_canonical
from hmac_guard.core.refusal import Refusal, RefusalBody, make_refusals
from hmac_guard.core.request import Request
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.verdict import VERIFIED, Claim, Reason, Verdict
from hmac_guard.core.wire import Wire
from hmac_guard.keys.resolver import KeyResolver, as_keyring, as_resolver, check_modes
from hmac_guard.log import logger, where
from hmac_guard.options import check_functions, check_policy, check_scheme

if TYPE_CHECKING:
    from hmac_guard.asgi import GuardMiddleware as AsgiGuard
    from hmac_guard.wsgi import GuardMiddleware as WsgiGuard

#: What a door has to do: call the application with the verdict on the request, or send the refusal.
Outcome = tuple[Verdict, Refusal | None]


class Guard(Frozen):
    """Proves the ids of every request before the application sees it.

    `scheme`       what is signed and how, and where it travels
    `keys`         a key (`Key`, text, bytes), a list of keys (any verifies, the first signs), a `Keyring`, a mapping by
                   tenant, or a key resolver: a callable `claim -> keys`, sync or async (see `hmac_guard.keys`)
    `mode`         "enforce" answers 401; "report" lets every request through, annotated and logged with the verdict it
                   would have got; "off" does not look. A `Keyring.mode` overrides it for that tenant
    `only`         guard these paths alone: exact ones, or prefixes that end in "/". Default: all
    `exempt`       leave these paths unguarded, in the same notation; wins over `only`
    `preflight`    let CORS preflights through, since a browser cannot sign them
    `max_body`     the most bytes of a body that are read to find ids in; a larger one is answered 413
    `annotate_as`  the name under which the verdict stands in the scope or environ; two stacked guards need two
    `refusal`      makes the body of each answer: `(code, message) -> bytes | (bytes, media type)`, called once a code
    `on_verdict`   called as `(verdict, claim)` once for each judged request; sync and quick, it is not awaited
    `clock`        gives Unix seconds, for keys that have a time
    `debug`        explain each refusal in the log, never in the answer: which mistake was made, where the guard looked.
                   Slow to refuse, and not for production: it warns with `hmac_guard.explain.debug.DebugWarning`

    Raises `ConfigError` for whatever cannot work. It is immutable, and safe to share between threads and tasks.
    """

    scheme: Scheme
    keys: KeyResolver
    annotate_as: str
    issued_as: str
    issuer: object
    max_body: int
    needs_body: bool
    per_tenant: bool
    _express: Reader
    _mode: str
    _only: PathSet
    _exempt: PathSet
    _sees_all: bool
    _preflight: bool
    _refusals: dict[Reason, Refusal]
    _on_verdict: Callable[[Verdict, Claim], object] | None
    _clock: Callable[[], float]

    def __init_subclass__(cls) -> NoReturn:
        raise TypeError(
            "a Guard cannot be subclassed: its doors would go past what a subclass changes; wrap it instead"
        )

    def __init__(
        self,
        scheme: Scheme,
        keys: Any,
        *,
        mode: str = "enforce",
        only: Iterable[str] = (),
        exempt: Iterable[str] = (),
        preflight: bool = True,
        max_body: int = 262_144,
        annotate_as: str = "hmac_guard",
        refusal: Callable[[str, str], RefusalBody] | None = None,
        on_verdict: Callable[[Verdict, Claim], object] | None = None,
        clock: Callable[[], float] = time.time,
        debug: bool = False,
        **unknown: NoReturn,
    ) -> None:
        keys, options = hide(keys), tuple(unknown)
        unknown.clear()  # one of them may be the secret under a wrong name
        refuse_unknown("Guard", options)
        check_scheme(scheme)
        check_policy(mode, preflight, max_body, annotate_as, debug)
        check_functions(refusal=refusal, on_verdict=on_verdict, clock=clock)
        resolver = as_resolver(keys)
        check_modes(resolver, mode)
        if resolver.needs_tenant and scheme.tenant is None:
            raise ConfigError(
                f"Guard: keys are by tenant, but the scheme {scheme.name!r} has no tenant=; add it, or give one key"
            )
        reads_tenant = scheme.tenant is not None and resolver.per_tenant is not False
        paths = guarded_set(only), exempt_set(exempt)
        self._set(
            scheme=scheme,
            keys=resolver,
            annotate_as=annotate_as,
            issued_as=annotate_as + ":issuer",  # no annotate_as can have a ':', so it is no other guard's verdict
            issuer=object(),
            max_body=max_body,
            needs_body=scheme.needs_body,
            per_tenant=reads_tenant,
            _express=compile_reader(scheme, with_tenant=reads_tenant),
            _mode=mode,
            _only=paths[0],
            _exempt=paths[1],
            _sees_all=mode != "off" and not any(paths),
            _preflight=preflight,
            _refusals=make_refusals(refusal),
            _on_verdict=on_verdict,
            _clock=clock,
        )
        if debug:
            # Its methods stand before those of the class, so that nobody else pays for them.
            from hmac_guard.explain.debug import watching

            self._set(**watching(self))

    def asgi(self, app: Any) -> "AsgiGuard":
        """This guard around an ASGI application."""
        from hmac_guard.asgi import GuardMiddleware

        return GuardMiddleware(app, guard=self)

    def wsgi(self, app: Any) -> "WsgiGuard":
        """This guard around a WSGI application."""
        from hmac_guard.wsgi import GuardMiddleware

        return GuardMiddleware(app, guard=self)

    def for_route(self) -> "Guard":
        """This guard without `only` and `exempt`: for a handle on one route, where the router has decided by then.

        It is the same guard otherwise: what one has let through, the other one does not judge again.
        """
        bound = object.__new__(Guard)
        paths = {"_only": guarded_set(()), "_exempt": exempt_set(()), "_sees_all": self._mode != "off"}
        bound._set(**{**vars(self), **paths})
        return bound

    def waive(self, request: Request) -> Verdict | None:
        """The verdict on a request that this guard does not look at, or None where it has to be judged."""
        if self._sees_all and request.method != "OPTIONS":
            return None
        if self._mode == "off":
            return Verdict(Reason.OFF, self.scheme.name)
        # No `map`: a StopIteration out of it would pass for the end of the paths.
        if (self._only or self._exempt) and all(self._leaves_alone(path) for path in request.paths()):
            return Verdict(Reason.EXEMPT, self.scheme.name)
        if self._preflight and request.method == "OPTIONS" and _is_preflight(request):
            return Verdict(Reason.PREFLIGHT, self.scheme.name)
        return None

    def _leaves_alone(self, path: str) -> bool:
        if not is_canonical(path):
            return False
        if path in self._exempt and ";" not in path:
            return True
        return bool(self._only) and path not in self._only

    def may_skip(self, start: str, *, fixed: bool) -> bool:
        """Whether a request for a route could go unguarded: for the path `start` if it is `fixed`, else for any path
        that begins with it."""
        if self._mode == "off":
            return True
        if fixed:
            return self._leaves_alone(start)
        return self._exempt.may_hold(start) or (bool(self._only) and not self._only.holds_all(start))

    def wants_body(self, request: Request) -> bool:
        """Whether the body has to be read for a verdict: never where the scheme has no source in it, and not where it
        is of a media type that no source reads while the ids may come from elsewhere."""
        return self.needs_body and self.scheme.wants_body(request.media.kind)

    def takes_body(self, request: Request) -> bool:
        """Whether this guard would read the body of the request: for a handle whose framework has read it before."""
        return self.needs_body and self.waive(request) is None and self.wants_body(request)

    def reader(self, wire: Wire) -> Reader:
        """What a door reads plain requests with, before it makes a `Request` of one: it gives the claim of a request
        that has to be judged, or None for any other. Where `needs_body`, it is given the body as well."""
        return compile_reader(self.scheme, with_tenant=self.per_tenant, wire=wire) if self._sees_all else leave

    def read(self, request: Request) -> Claim:
        """What the request says. Pure, and never raises."""
        return self._express(request) or self.read_at_length(request)

    def read_at_length(self, request: Request) -> Claim:
        """The same, for a request that is known not to be plain."""
        return decision.read(self.scheme, request, with_tenant=self.per_tenant)

    def judge(self, claim: Claim, keyring: Keyring | None, now: float) -> Verdict:
        """Whether the claim is proven by one of the keys in force at `now` (Unix seconds). Pure, and never raises.

        `keyring` is None where there are no keys for the claim's tenant.
        """
        return decision.judge(self.scheme, claim, keyring, now)

    def asks_keys(self, claim: Claim) -> bool:
        """Whether the resolver is to be asked: for a claim that can be judged, and for a refused one that names its
        tenant, since the tenant may have a mode of its own."""
        return claim.problem is None or (self.per_tenant and claim.tenant is not None)

    def conclude(self, claim: Claim, answer: object) -> Outcome:
        """The outcome of a claim for which the key resolver gave `answer` (None also where it was not asked)."""
        # A tenant that nobody knows goes the same way as any other, to the nanosecond: no branch takes it aside.
        ring: Any = (answer, NOBODY)[answer is None]
        if type(ring) is not Keyring:
            try:
                ring = as_keyring(ring) or NOBODY
            except Exception as error:
                return self.keys_failed(claim, error)
        mode = ring.mode or self._mode
        if mode == "off":
            return Verdict(Reason.OFF, self.scheme.name), None
        verdict = decision.judge(self.scheme, claim, ring, self._clock() if ring.timed else 0.0)
        return (verdict, None) if verdict.reason is VERIFIED else self._outcome(verdict, mode)

    def refusals(self) -> dict[Reason, Refusal]:
        """Every refusal that this guard may send; those over a body only where its scheme reads one."""
        over_bodies = (Reason.BAD_FRAMING, Reason.BODY_TIMEOUT, Reason.BODY_TOO_LARGE, Reason.UNSUPPORTED_BODY)
        return {reason: sent for reason, sent in self._refusals.items() if self.needs_body or reason not in over_bodies}

    def keys_failed(self, claim: Claim, error: Exception) -> Outcome:
        """The outcome of a claim for which no keys could be had."""
        logger.error("the key resolver failed: %s", where(error))
        return self._outcome(Verdict(claim.problem or Reason.KEYS_UNAVAILABLE, self.scheme.name), self._mode)

    def _outcome(self, verdict: Verdict, mode: str) -> Outcome:
        return verdict, None if mode == "report" else self._refusals[verdict.reason]

    def record(self, claim: Claim, outcome: Outcome) -> None:
        """Tell the log and `on_verdict` of a judged request."""
        verdict, refusal = outcome
        if verdict.reason is not VERIFIED:
            if verdict.reason is Reason.OFF:
                return
            logger.warning(
                "%s: %s (scheme %s, tenant %s)",
                "refused" if refusal else "would be refused",
                verdict.reason.value,
                verdict.scheme,
                ascii(claim.tenant)[:80],
                extra={"reason": verdict.reason.value},
            )
        if self._on_verdict is not None:
            try:
                self._on_verdict(verdict, claim)
            except Exception as error:
                logger.error("on_verdict failed, the verdict stands: %s", where(error))

    def fault(self, error: Exception) -> Refusal:
        """The answer where the guard itself failed: the request is refused in every mode."""
        with suppress(Exception):  # A filter of the log that fails is the last thing to keep an answer from a client.
            logger.critical("the guard itself failed, the request was refused: %s", where(error))
        return self._refusals[Reason.KEYS_UNAVAILABLE]

    def __repr__(self) -> str:
        return f"<Guard {self.scheme.name}, mode={self._mode!r}, annotate_as={self.annotate_as!r}>"


def check_guard(owner: str, guard: object) -> Guard:
    """`guard`, if it is one. Raises `ConfigError`, which names `owner`."""
    if not isinstance(guard, Guard):
        raise ConfigError(f"{owner}: guard must be a Guard, not {type(guard).__name__}")
    return guard


def _is_preflight(request: Request) -> bool:
    """A CORS preflight, as the Fetch standard defines it."""
    return bool(request.header("origin") and request.header("access-control-request-method"))
