"""The steps of a decision: skip, read, look up keys, conclude, finish. They do no I/O.

The WSGI and ASGI drivers, and the handles of the frameworks, do the I/O between the steps and nothing else:

    skip(request)             the outcome of a request that the guard does not look at, or None
                              the driver reads the body into the request, if the reader needs it
    reader.read(request)      what the request says
    ask(resolver, reading)    what the key resolver answers. The driver waits for it, if it is awaitable
    token(...)                what the driver asks the single-use store for, if there is one
    note_use(...)             keeps its answer
    conclude(...)             the refusal, or None if the application is called. Then the verdict is on the request,
                              the log line is written, and the callbacks were called
    fault(scope, failure)     the refusal if the guard itself failed
"""

import logging
import re
import time
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from hmac_guard.applications import check_kind
from hmac_guard.core.errors import ConfigError, OuterError
from hmac_guard.core.fields import signature_in_path
from hmac_guard.core.frozen import Frozen
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.judge import DUMMY_KEYRING, judge
from hmac_guard.core.key import MODES, Keyring
from hmac_guard.core.paths import ExemptPaths, GuardedPaths, is_canonical
from hmac_guard.core.reader import Reader
from hmac_guard.core.reading import Reading
from hmac_guard.core.refusal import Refusal
from hmac_guard.core.request import Request, is_preflight
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.verdict import NOT_CHECKED, VERIFIED, Claim, Decision, Reason, Verdict, make, new, unverified
from hmac_guard.keys.resolver import KeyResolver, StaticKeys, as_keyring
from hmac_guard.log import Failure, FailureLog, failure_of, for_log, logger
from hmac_guard.mount_points import check_entries, mount_points_of
from hmac_guard.once.store import token_of

#: The keys of a tenant, None for a tenant without keys, or the failure of the key resolver.
Ring = Keyring | Failure | None
#: The types of these. One check for all: the time must not show whether a tenant has keys.
ANSWERS = frozenset({Keyring, type(None), Failure})
OnVerdict = Callable[[Verdict, Claim], object]
OnDecision = Callable[[Decision], object]


class Outcome(NamedTuple):
    """A verdict, and its effect: the refusal, or None if the application is called.

    `now` is the Unix time of the decision, or 0.0 if neither the keys nor the scheme have times.
    """

    verdict: Verdict
    mode: str
    refusal: Refusal | None = None
    detail: str = ""
    ring: Keyring | None = None
    now: float = 0.0


class Judged(NamedTuple):
    """An earlier decision of a guard.

    Attributes:
        request: The request that it read.
        verdict: The verdict.
        refusal: The refusal, or None.
        with_any_body: Whether the decision holds for another body too: the guard reads none, it refused, or no body can
            change the verdict.
    """

    request: Request
    verdict: Verdict
    refusal: Refusal | None
    with_any_body: bool

    def __repr__(self) -> str:
        return f"<Judged {self.request!r}>"


class Decider(Frozen):
    """The decisions of one guard.

    It has at most 29 attributes: CPython 3.11 takes longer to read the attributes of an object that has more.
    """

    scheme: Scheme
    reader: Reader
    keys: KeyResolver
    mode: str
    annotate_as: str
    issued_as: str
    issuer: object
    static_ring: Keyring | None
    max_body: int
    by_tenant: bool
    only: GuardedPaths
    exempt: ExemptPaths
    preflight: bool
    refusals: Mapping[Reason, Refusal]
    on_verdict: OnVerdict | None
    on_decision: OnDecision | None
    clock: Callable[[], float]
    explain: Any
    once: Any
    #: Whether `skip` has an outcome only for an OPTIONS request.
    sees_all: bool
    #: Whether `Decision.seconds` is wanted.
    is_timed: bool
    _has_callbacks: bool
    _count: Callable[[Verdict, str, bool, float], object] | None
    _applied_mode: Mapping[str | None, str]
    _judge: Callable[[Scheme, Reading, Keyring, float, bool], Verdict]
    _failures: FailureLog
    _faults: FailureLog
    _warned: set[str]
    #: The parts of a path that may be a signature, for a scheme that reads it there.
    _secret_in_path: re.Pattern[str] | None

    def __init__(self, **options: Any) -> None:
        self._set(**options)
        self._set(static_ring=self.keys.keyring if isinstance(self.keys, StaticKeys) else None)
        self._set(
            _failures=FailureLog("the key resolver"),
            _faults=FailureLog("a key of the key resolver"),
            _judge=self._judge_for(),
            _warned=set(),
            issued_as=self.annotate_as + ":issuer",  # annotate_as cannot contain a ':'
            sees_all=self.mode != "off" and not self.only and not self.exempt,
            _applied_mode=_applied_modes(self.mode),
            is_timed=self.on_decision is not None,
            _count=_counter_of(self.on_decision),
            _has_callbacks=self.on_verdict is not None or self.on_decision is not None,
            _secret_in_path=signature_in_path(self.scheme),
        )

    def _judge_for(self) -> Any:
        if self.once is not None:
            return self._judge_once
        # Static keys were checked when the guard was made.
        return judge if self.static_ring is not None or not self.scheme.times else self._judge_dated

    def for_route(self, **changes: Any) -> "Decider":
        """Return this decider without `only` and `exempt`: the router has already decided."""
        bound = object.__new__(Decider)
        bound._set(**{**vars(self), "only": GuardedPaths(), "exempt": ExemptPaths(), **changes})
        bound._set(sees_all=self.mode != "off")
        return bound

    def for_view(self) -> "Decider":
        """Return this decider for a decorator or a dependency. For it, an OPTIONS request is like any other."""
        return self.for_route(preflight=False)

    @property
    def reads_tenant(self) -> bool:
        """Whether the tenant of a request matters: the scheme has one, and the keys may depend on it."""
        return self.reader.reads_tenant

    def possible_refusals(self) -> dict[Reason, Refusal]:
        """Return every refusal that this guard may send."""
        impossible: set[Reason] = set()
        if not self.reader.needs_body:
            impossible |= {Reason.BAD_FRAMING, Reason.BODY_TIMEOUT, Reason.BODY_TOO_LARGE, Reason.UNSUPPORTED_BODY}
        if not self.scheme.times:
            impossible |= {Reason.EXPIRED, Reason.NOT_YET_VALID}
        if self.once is None:
            impossible.add(Reason.REPLAYED)
        return {reason: sent for reason, sent in self.refusals.items() if reason not in impossible}

    def skip(self, request: Request) -> Outcome | None:
        """Return the outcome of a request that the guard does not look at; None for any other request."""
        # No `map`: a StopIteration out of it would count as the end of the paths.
        if self.mode == "off":
            reason = Reason.OFF
        elif (self.only or self.exempt) and all(
            self.is_exempt_path(path, request.whole_path) for path in request.paths()
        ):
            reason = Reason.EXEMPT
        elif self.preflight and is_preflight(request):
            reason = Reason.PREFLIGHT
        else:
            return None
        return Outcome(unverified(reason, self.scheme.name), self.mode)

    def is_exempt_path(self, path: str, whole: str = "") -> bool:
        """Return whether the guard skips requests for `path`, by `only` and `exempt`.

        Args:
            path: The path without the mount point of the server.
            whole: The path with it. An application may route this form, so `only` guards it too.
        """
        if ";" in path or not is_canonical(path):
            return False
        return self.exempt.holds(path) or (bool(self.only) and not (self.only.holds(path) or self.only.holds(whole)))

    def check_mount_point(self, mount_point: str, setting: str) -> None:
        """Check `only` and `exempt` against a mount point that the application sets itself.

        Args:
            mount_point: The mount point.
            setting: The name of the setting that sets it, for messages.

        Raises:
            ConfigError: An entry cannot work in an application with this mount point.
        """
        for argument, entries in (("only", self.only), ("exempt", self.exempt)):
            check_entries(argument, entries, mount_point, setting)

    def may_skip(self, start: str, *, fixed: bool) -> bool:
        """Return whether a request for a route may skip the guard.

        Args:
            start: The path of the route, or its fixed first part.
            fixed: Whether `start` is the whole path.
        """
        if self.mode == "off":
            return True
        if fixed:
            return self.is_exempt_path(start)
        return self.exempt.may_hold(start) or (bool(self.only) and not self.only.holds_all(start))

    def ask(self, resolver: Hidden[KeyResolver], reading: Reading) -> Any:
        """Call the key resolver.

        It is called for a request that can be verified, and for a refused one if the mode of its tenant may apply.

        Returns:
            What it returns, hidden unless its type is in `ANSWERS`: it may be a secret, or awaitable. A `Failure` if it
            raises; None if it is not called.
        """
        if reading.refused is not None and not reading.tenant_is_certain:
            return None
        try:
            answer = resolver.get()(self.claim(reading))
        except Exception as error:
            return failure_of(error)
        return answer if type(answer) in ANSWERS else hide(answer)

    def claim(self, reading: Reading, detail: str = "") -> Claim:
        """Return what resolvers and callbacks see of a request."""
        request = reading.request
        claim = new(Claim)
        claim.scheme = self.scheme.name
        claim.ids = reading.ids
        claim.tenant = reading.tenant
        claim.problem, claim.detail = None, detail
        if reading.refused is not None:
            claim.problem, claim.detail = reading.refused
        claim.method = request.method
        # A call for each claim would take more time than the other lines here.
        claim.path = request.path if self._secret_in_path is None else self._shown(request.path)
        return claim

    def _shown(self, path: str) -> str:
        """Return a path without the signature."""
        return path if self._secret_in_path is None else self._secret_in_path.sub("<signature>", path)

    def conclude(self, scope: MutableMapping[str, Any], reading: Reading, ring: Any, started: float) -> Refusal | None:
        """Conclude a request: judge it, then finish it.

        Args:
            scope: The ASGI scope or the WSGI environ.
            reading: What the request says.
            ring: The tenant's keys; None for a tenant without keys, or a `Failure` to get them.
            started: The `time.perf_counter()` at the beginning, if `is_timed`.

        Returns:
            The refusal, or None if the application is called.
        """
        keyring = self.static_ring
        if keyring is None:
            if type(ring) is Failure:
                return self._conclude_without_keys(scope, reading, ring, started)
            if self._failures.is_failing and ring is not None:
                self._failures.succeeded()
            # No branch here: a tenant without keys takes the same instructions as any other.
            keyring = (ring, DUMMY_KEYRING)[ring is None]
        mode, by_tenant = self.mode, self.by_tenant
        if by_tenant:
            mode = self._mode_of(reading, keyring)
            if mode == "off":
                outcome = Outcome(unverified(Reason.OFF, self.scheme.name), mode)
                return self.finish(scope, reading.request, reading, outcome, started)
        if keyring.mode is not None and (keyring.mode != mode or not by_tenant):
            self._warn_of_mode(reading, keyring.mode)
        scheme, judge_with = self.scheme, self._judge
        now = self.clock() if keyring.timed or scheme.times else 0.0
        verdict = judge_with(scheme, reading, keyring, now, by_tenant)
        if verdict.reason is not VERIFIED:
            outcome = self._unverified(reading, verdict, mode, ring, now)
            return self.finish(scope, reading.request, reading, outcome, started)
        if reading.tenant is not None and not by_tenant:
            self._warn_once(_TENANT_NOT_PROVEN)
        request = reading.request
        scope[self.annotate_as], scope[self.issued_as] = verdict, (self.issuer, request, verdict, None)
        # An object in the scope must not refer to the scope: only the garbage collector would free the two.
        request.source = None
        if self._has_callbacks:
            self._call_back(reading, verdict, mode, False, "", started)
        return None

    def _conclude_without_keys(
        self, scope: MutableMapping[str, Any], reading: Reading, failure: Failure, started: float
    ) -> Refusal | None:
        if not failure.logged:
            self._failures.failed(failure)
        # The guard's own mode applies, since the tenant's is not known.
        reason = reading.refused.reason if reading.refused else Reason.KEYS_UNAVAILABLE
        verdict = unverified(reason, self.scheme.name)
        return self.finish(scope, reading.request, reading, self._unverified(reading, verdict, self.mode), started)

    def token(self, scope: Mapping[str, Any], reading: Reading, ring: Ring) -> tuple[bytes, float] | None:
        """Return the question for the single-use store.

        Returns:
            The token of a verified request, and the Unix time until which the store must remember it. None if the store
            is not asked: the request is not verified, or has already spent this token.
        """
        reading.verdict = reading.used = None
        if reading.message is None or not isinstance(ring, Keyring):
            return None
        if self.by_tenant and self._mode_of(reading, ring) == "off":
            return None
        now = self.clock()
        reading.verdict = verdict = self._prove(reading, ring, now)
        if verdict.reason is not VERIFIED:
            return None
        token = token_of(self.once.scope, verdict.tenant, reading.message)
        if scope.get(self.annotate_as + ":spent") == (self.issuer, token):
            reading.used = True
            return None
        last = min(each.last(int(reading.others[each.name])) for each in self.scheme.times)
        return token, time.time() + last - now + _LONGER

    def note_use(
        self, scope: MutableMapping[str, Any], reading: Reading, token: bytes, answer: "bool | Failure"
    ) -> None:
        """Keep the answer of the store, or its failure, for `conclude`."""
        reading.used = answer
        if isinstance(answer, Failure):
            self.once.failures.failed(answer)
            return
        if self.once.failures.is_failing:
            self.once.failures.succeeded()
        if answer:
            scope[self.annotate_as + ":spent"] = (self.issuer, token)

    def _judge_dated(self, scheme: Scheme, reading: Reading, ring: Keyring, now: float, by_tenant: bool) -> Verdict:
        """Judge for a scheme with times, with keys that a resolver gave."""
        return self._prove(reading, ring, now)

    def _judge_once(self, scheme: Scheme, reading: Reading, ring: Keyring, now: float, by_tenant: bool) -> Verdict:
        """Judge for a guard with a single-use store, by the answer of the store."""
        verdict = self._prove(reading, ring, now) if reading.verdict is None else reading.verdict
        if verdict.reason is not VERIFIED or reading.used is True:
            return verdict
        return Verdict(Reason.REPLAYED if reading.used is False else Reason.KEYS_UNAVAILABLE, self.scheme.name)

    def _prove(self, reading: Reading, ring: Keyring, now: float) -> Verdict:
        if self.static_ring is None:
            fault = next(filter(None, map(self.scheme.fault_of_key, ring.keys)), None)
            if fault is not None:
                self._faults.failed(Failure(f"ConfigError: {fault}", ""))
                return Verdict(Reason.KEYS_UNAVAILABLE, self.scheme.name)
            if self._faults.is_failing and ring is not DUMMY_KEYRING:
                self._faults.succeeded()
        return judge(self.scheme, reading, ring, now, self.by_tenant)

    def _mode_of(self, reading: Reading, ring: Keyring) -> str:
        """Return the mode, if the keys are by tenant. The tenant's mode counts only if the request was read fully."""
        return self._applied_mode[ring.mode] if reading.tenant_is_certain else self.mode

    def _warn_of_mode(self, reading: Reading, mode: str) -> None:
        """Log once why a tenant's own mode does not apply."""
        if not self.by_tenant:
            self._warn_once(
                "a Keyring has a mode, but its resolver does not say that its keys are by tenant, so the "
                "mode does not count; mark the resolver with hmac_guard.keys.per_tenant, and make ChainKeys of keys "
                "by tenant alone"
            )
        elif reading.tenant_is_certain:
            self._warn_once(
                f"a tenant's mode is {mode!r}, but the guard's mode is {self.mode!r}, and the less strict of the "
                f"two applies; make the guard with mode={mode!r}"
            )

    def _unverified(
        self, reading: Reading, verdict: Verdict, mode: str, ring: Keyring | None = None, now: float = 0.0
    ) -> Outcome:
        reason = verdict.reason
        detail = reading.refused.detail if reading.refused else self._detail(reading, reason)
        if reading.tenant is None and reason is Reason.UNKNOWN_KEY:
            detail = "the request names no tenant" if self.by_tenant else "the guard has no active key"
        if mode == "enforce":
            return make(Outcome, (verdict, mode, self.refusals[reason], detail, ring, now))
        tenant = reading.tenant if ring is not None and reading.tenant_is_certain and self.by_tenant else None
        return Outcome(verdict._replace(claimed=reading.ids, claimed_tenant=tenant), mode, None, detail, ring, now)

    def _detail(self, reading: Reading, reason: Reason) -> str:
        if reason in _OUTSIDE:
            return reading.outside.detail
        if self.once is not None and reason is Reason.KEYS_UNAVAILABLE and reading.verdict:
            return "the single-use store gave no answer"
        return _DETAILS.get(reason, "")

    def _warn_once(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            logger.warning("the guard of the scheme %s: %s", self.scheme.name, text)

    def finish(
        self,
        scope: MutableMapping[str, Any],
        request: Request,
        reading: Reading | None,
        outcome: Outcome,
        started: float,
    ) -> Refusal | None:
        """Put the verdict on the request, write the log line and call the callbacks.

        Args:
            scope: The ASGI scope or the WSGI environ.
            request: The request.
            reading: What the request says; None for a request that was skipped.
            outcome: The verdict and the refusal.
            started: See `conclude`.

        Returns:
            The refusal, or None if the application is called.

        Raises:
            OuterError: The request is refused because a layer outside of the guard raised an exception.
        """
        verdict, mode, refusal, detail, _, _ = outcome
        # The client has gone, or a layer outside of the guard answers: there is nothing to report.
        if refusal is not None and request.broke_off:
            self.forget(scope)
            if request.outer_error is not None:
                raise OuterError(request.outer_error)
            return refusal
        if reading is not None:
            self._log(reading, outcome)
        scope[self.annotate_as], scope[self.issued_as] = verdict, (self.issuer, request, verdict, refusal)
        request.source = None
        if self._has_callbacks:
            self._call_back(reading, verdict, mode, refusal is not None, detail, started)
        return refusal

    def _call_back(
        self, reading: Reading | None, verdict: Verdict, mode: str, refused: bool, detail: str, started: float
    ) -> None:
        # A callback that only counts needs no claim and no `Decision`. Making them takes half of the time.
        count, on_verdict = self._count, self.on_verdict
        if count is not None:
            _call("on_decision", count, verdict, mode, refused, time.perf_counter() - started)
            if on_verdict is None:
                return
        claim, failure = None if reading is None else self.claim(reading, detail), None
        if on_verdict is not None and claim is not None and mode != "off":
            # As `_call` does it, which takes a sixth of the time here.
            try:
                on_verdict(verdict, claim)
            except Exception as error:
                failure = failure_of(error)
            if failure is not None:
                _log_failed("on_verdict", failure)
        if count is None and self.on_decision is not None:
            decision = make(Decision, (verdict, claim, mode, refused, time.perf_counter() - started))
            _call("on_decision", self.on_decision, decision)

    def judged(self, scope: Mapping[str, Any], request: Request) -> Judged | None:
        """Return the earlier decision of this guard about the same request, without a look at its body; or None.

        A verdict of another guard with the same scheme does not count: it may have other keys. A verdict on a skipped
        request does not count either: a handle on a route must guard the route.

        A handle answers with the refusal of the decision, if there is one. The code of an application may have caught
        the refusal of the first handle, and the next handle must not let the request pass.
        """
        issued = scope.get(self.issued_as)
        if type(issued) is not tuple or not issued or issued[0] is not self.issuer:
            return None
        _, earlier, verdict, refusal = issued
        with_any_body = refusal is not None or not self.reader.needs_body or earlier.is_refused_ahead
        found = Judged(earlier, verdict, refusal, with_any_body)
        if found.verdict.reason in _NOT_JUDGED or scope.get(self.annotate_as) is not found.verdict:
            return None
        return found if found.request.is_same_as(request) else None

    def forget(self, scope: MutableMapping[str, Any]) -> None:
        """Remove the values under the guard's names from a request that gets no verdict.

        A server or an outer layer may have put them there. Two servers put the environment variables there.
        """
        scope.pop(self.annotate_as, None)
        scope.pop(self.issued_as, None)

    def _log(self, reading: Reading, outcome: Outcome) -> None:
        reason = outcome.verdict.reason
        # The log of the key resolver's failures counts the requests without keys.
        if reason in _NOT_LOGGED:
            return
        if logger.isEnabledFor(logging.WARNING):
            self._write(reading, outcome)
        if self.explain is not None:
            self.explain(reading.request, reading, outcome)

    def _write(self, reading: Reading, outcome: Outcome) -> None:
        request, reason = reading.request, outcome.verdict.reason
        path = for_log(self._shown(request.path), 200)
        method, tenant = for_log(request.method, 40), for_log(reading.tenant, 80)
        logger.warning(
            "%s: %s: %s; %s %s (scheme %s%s)",
            "refused" if outcome.refusal else "would be refused",
            reason.value,
            outcome.detail,
            method,
            path,
            self.scheme.name,
            "" if tenant is None else f", tenant {tenant}",
            extra={
                "reason": reason.value,
                "detail": outcome.detail,
                "method": method,
                "path": path,
                "scheme": self.scheme.name,
                "tenant": tenant,
            },
        )

    def closing(self) -> Callable[[], None] | None:
        """Return the `close` of `on_decision`, which may still write something; None if it has no `close`."""
        close = getattr(self.on_decision, "close", None)
        return partial(_call, "on_decision.close", close) if callable(close) else None

    def fault(self, scope: MutableMapping[str, Any], failure: Failure) -> Refusal:
        """Return the refusal if the guard itself failed. The request is refused in every mode."""
        # A scope or a log filter that raises must not keep the answer from the client.
        with suppress(Exception):
            self.forget(scope)
        with suppress(Exception):
            if failure.reason:
                logger.error("refused: %s", failure.reason)
            else:
                logger.critical("the guard itself failed, the request was refused: %s", failure)
        return self.refusals[Reason.KEYS_UNAVAILABLE]


def _applied_modes(guard_mode: str) -> dict[str | None, str]:
    """Return the mode that applies for each mode of a tenant.

    It is the less strict one of the two modes. `MODES` begins with the strictest.
    """
    modes: dict[str | None, str] = {mode: max(mode, guard_mode, key=MODES.index) for mode in MODES}
    return {None: guard_mode, **modes}


_TENANT_NOT_PROVEN = (
    "verdict.tenant stays None, since the key resolver does not say whether its keys are by tenant; mark it with "
    "hmac_guard.keys.per_tenant if each tenant has its own keys"
)
#: Seconds for which a store remembers a token after its end. The clocks of hosts may differ by 60 seconds. Times are
#: compared in whole units, so a signature is valid until almost a second after its end.
_LONGER = 61.0
# Constants: the look-up of a member of an enumeration takes longer than its use.
_NOT_JUDGED = frozenset(NOT_CHECKED)
_NOT_LOGGED = frozenset({Reason.OFF, Reason.KEYS_UNAVAILABLE})
_OUTSIDE = frozenset({Reason.EXPIRED, Reason.NOT_YET_VALID})
_DETAILS = {
    Reason.INVALID_SIGNATURE: "no active key made the signature",
    Reason.UNKNOWN_KEY: "the tenant has no active key",
    Reason.KEYS_UNAVAILABLE: "the keys are unavailable",
    Reason.REPLAYED: "the signature was used before",
}


def keyring_of(answer: object) -> Ring:
    """Return the ring for a resolver's answer."""
    if answer is None or type(answer) is Keyring:
        return answer
    hidden = hide(answer)
    del answer
    try:
        return as_keyring(hidden)
    except Exception as error:
        return failure_of(error)


def _counter_of(on_decision: object) -> Callable[..., object] | None:
    """Return the `count_decision` of a callback that only counts; None if a subclass has its own `__call__`."""
    both = {"__call__", "count_decision"}
    nearest: Mapping[str, object] = next(
        (vars(base) for base in type(on_decision).__mro__ if both & vars(base).keys()), {}
    )
    return getattr(on_decision, "count_decision", None) if "count_decision" in nearest else None


def _call(name: str, callback: Callable[..., object], *arguments: object) -> None:
    """Call a callback. An exception is logged and does not change the decision."""
    try:
        callback(*arguments)
        return
    except Exception as error:
        failure = failure_of(error)
    _log_failed(name, failure)


def _log_failed(name: str, failure: Failure) -> None:
    logger.error("%s failed, the verdict stands: %s", name, failure)


def decider_of(owner: str, guard: object) -> Decider:
    """Return the decider of a guard.

    Args:
        owner: Where the guard was given, for messages.
        guard: The guard. It may be hidden, because a user may give a key in its place.

    Raises:
        ConfigError: The object is not a guard.
    """
    hidden = hide(guard)
    del guard
    decider, kind = getattr(hidden.get(), "_decider", None), type(hidden.get()).__name__
    if not isinstance(decider, Decider):
        raise ConfigError(f"{owner}: guard must be a Guard, not {kind}")
    return decider


def check_app(middleware: type, app: Any, decider: Decider, kind: str) -> None:
    """Raise `ConfigError` for an application that the middleware of this decider cannot wrap."""
    if not callable(app):
        raise ConfigError(f"GuardMiddleware: app must be {kind} application")
    check_kind(app, kind)
    inner = getattr(app, "guard", None) if isinstance(app, middleware) else None
    if inner is not None and inner._decider.issuer is decider.issuer:
        raise ConfigError("GuardMiddleware: this guard is already around the application; remove one of the two")
    if inner is not None and inner.annotate_as == decider.annotate_as:
        raise ConfigError("GuardMiddleware: two stacked guards need two names; give one of them annotate_as=")
    check_mount_points(app, decider)


def check_mount_points(app: Any, decider: Decider) -> None:
    """Raise `ConfigError` if an entry of this decider cannot work in an application that sets its mount point."""
    if decider.only or decider.exempt:
        for mount_point, setting in mount_points_of(app):
            decider.check_mount_point(mount_point, setting)
