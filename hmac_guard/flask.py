"""The guard for Flask: an extension, a decorator for views, and a `before_request` function."""

import io
from collections.abc import Callable, Iterator
from functools import wraps
from inspect import iscoroutinefunction
from itertools import accumulate
from types import MethodType
from typing import Any, NamedTuple, ParamSpec, cast
from weakref import WeakKeyDictionary, ref

from flask import Blueprint, Flask, Response, current_app, has_request_context, request, request_started
from werkzeug.exceptions import HTTPException
from werkzeug.local import LocalProxy
from werkzeug.routing import RoutingException, Rule

from hmac_guard.applications import can_take
from hmac_guard.core.errors import BodyAlreadyRead, ConfigError, OuterError
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.numbers import check_flag
from hmac_guard.core.refusal import Refusal
from hmac_guard.core.strict import Strict
from hmac_guard.core.verdict import Reason, Verdict, verdict_from
from hmac_guard.coverage import Layers, covered
from hmac_guard.decider import Judged, decider_of
from hmac_guard.guard import Guard
from hmac_guard.keys.resolver import functions_of
from hmac_guard.log import failure_of, logger
from hmac_guard.wsgi.body import Body
from hmac_guard.wsgi.driver import Driver

_P = ParamSpec("_P")

#: The media types that Flask reads as a form. For another type, `request.form` is empty and leaves the body unread.
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")

#: The verdict on the current request, of a guard with the default `annotate_as`. For another name use
#: `verdict_from(request, name)`. Raises `LookupError` if no guard has judged the request.
current_verdict: Verdict = cast(Verdict, LocalProxy(lambda: verdict_from(request)))


class GuardExtension(Strict):
    """A guard for a Flask application, for some of its blueprints, or for single views.

    On a blueprint or a view, the guard's `only` and `exempt` do not apply: Flask's router has already chosen the view.
    A request that the same guard has already judged is not judged again; a refused one is refused again. A refusal
    passes through `after_request`, so that Flask-CORS adds its headers. Several guards of one application need
    different names (`annotate_as`).

    Args:
        guard: A `Guard`, or a function that takes the application and returns a `Guard`. Use a function if the keys
            are in `app.config`: `GuardExtension(lambda app: Guard(NANGO, app.config["NANGO_KEY"]))`. It is called
            once, by `init_app`.
        app: An application to guard, as `init_app` does.

    Raises:
        ConfigError: `guard` is not a guard or such a function, or it cannot guard a Flask application.

    Example::

        signed = GuardExtension(guard)
        signed.init_app(app)                            # every request of the application
        blueprint.before_request(signed.before_request) # every request of a blueprint
        @signed.guarded                                 # one view, below @app.get(…); sync or async
    """

    def __init__(self, guard: Guard | Callable[[Flask], Guard], app: Flask | None = None) -> None:
        hidden: Hidden[Any] = hide(guard)
        del guard
        self._make = hidden.get() if _is_factory(hidden) else None
        self._bound = None if self._make else _bind(hidden)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask, *, everywhere: bool = True) -> None:
        """Guard every request of the application, static files and unknown paths included.

        Call it before the `init_app` of other extensions, so that they cannot answer before the guard.

        Args:
            app: The application.
            everywhere: With False, only the guard is made from `app.config`. Use this for `guarded` and
                `before_request`.

        Raises:
            ConfigError: An argument is not valid, or another guard of the application has the same `annotate_as`.
        """
        if not isinstance(app, Flask):
            raise ConfigError(_other_than_an_application(app))
        check_flag("GuardExtension: everywhere", everywhere)
        guards: dict[GuardExtension, _Bound] = app.extensions.setdefault("hmac_guard", {})
        bound = self._bound or _bind(cast(Callable[[Flask], Guard], self._make)(app))
        if self in guards or any(other.guard is bound.guard for other in guards.values()):
            raise ConfigError("GuardExtension: this guard is already a guard of the application; remove one of the two")
        if any(other.guard.annotate_as == bound.guard.annotate_as for other in guards.values()):
            raise ConfigError(
                "GuardExtension: two guards of one application need different names; set annotate_as on one of them"
            )
        guards[self] = bound
        if everywhere:
            app.before_request(self.before_any_request)

    def guarded(self, view: Callable[_P, Any]) -> Callable[_P, Any]:
        """Guard one view, sync or async. Put `@signed.guarded` below the route, directly above `def`.

        Below another decorator, a refusal is raised, as by `flask.abort`. This decorator must not catch it. Error
        handlers do not get it, apart from those of Flask-RESTX, and of Flask with `TRAP_HTTP_EXCEPTIONS`.

        Above the route it has no effect, because Flask has already registered the unguarded view. The first request
        detects this: the application answers every request with 503, and an ERROR line in the log names the view. The
        same happens if one function is registered both guarded and unguarded, also in two applications.

        Raises:
            ConfigError: `view` is a class. Give a class `decorators = [signed.guarded]` instead.
        """
        if isinstance(view, type):
            raise ConfigError(
                f"GuardExtension.guarded: {view.__name__} is a class; give it `decorators = [signed.guarded]` instead"
            )
        try:
            _GIVEN.add(view, self)
        except TypeError:
            raise ConfigError(
                "GuardExtension.guarded: give a function; this object does not support weak references"
            ) from None
        request_started.connect(_refuse_bare_views)

        @wraps(view)
        def guarded_view(*args: _P.args, **kwargs: _P.kwargs) -> Any:
            refused = _check(self.bound_to(current_app).on_view)
            if refused is not None:
                # A decorator above may make another response of what the view returns.
                if current_app.view_functions.get(request.endpoint or "") is not itself():
                    raise _RaisedRefusal(refused)
                return refused
            return current_app.ensure_sync(view)(*args, **kwargs)

        guarded_view.hmac_guard = self  # type: ignore[attr-defined]  # `uncovered_routes` looks for it
        itself = ref(guarded_view)  # Weak: otherwise only the garbage collector would free it.
        return guarded_view

    def before_request(self) -> Response | None:
        """Return the refusal of the current request, or None. Give this to `blueprint.before_request`."""
        return _check(self.bound_to(current_app).on_route)

    def before_any_request(self) -> Response | None:
        """Return the refusal of the current request, or None. `only` and `exempt` apply. `init_app` registers this."""
        return _check(self.bound_to(current_app).everywhere)

    def bound_to(self, app: Flask) -> "_Bound":
        """Return the guard of an application. Raise `ConfigError` if `init_app` must be called first."""
        if self._bound is not None:
            return self._bound
        if self in app.extensions.get("hmac_guard", ()):
            return cast(_Bound, app.extensions["hmac_guard"][self])
        raise ConfigError("GuardExtension: the guard is made by init_app; call init_app(app) first")


class _RaisedRefusal(HTTPException, RoutingException):
    """Makes Flask answer with a refusal. Flask gives no exception with this base to an error handler."""

    def __init__(self, response: Response) -> None:
        super().__init__(response=response)
        self.code = response.status_code  # Flask-RESTX and error handlers of it read this.


class _Given(NamedTuple):
    """The extensions that guard one view.

    Attributes:
        itself: The extensions whose `guarded` got this view.
        around: The extensions whose `guarded` got a wrapper of this view.
    """

    itself: set[GuardExtension]
    around: set[GuardExtension]


class _GivenViews:
    """The views that `guarded` got. Flask must not call them without the guard."""

    def __init__(self) -> None:
        self._views: WeakKeyDictionary[Any, _Given] = WeakKeyDictionary()
        self._sound: WeakKeyDictionary[Flask, int] = WeakKeyDictionary()
        self._added = 0

    def add(self, view: Any, extension: GuardExtension) -> None:
        for depth, part in enumerate(_parts(view)):
            # `method_decorators` of Flask-RESTful give the method of a new instance for each request.
            if isinstance(part, MethodType) and has_request_context():
                continue
            given = self._views.setdefault(part, _Given(set(), set()))
            extensions = given.around if depth else given.itself
            if extension not in extensions:
                extensions.add(extension)
                self._added += 1

    def bare_in(self, app: Flask) -> list[tuple[str, GuardExtension]]:
        """Return the endpoints of `app` whose view is unguarded although `guarded` of an extension got it.

        The guarded form may be in another application, which may not exist yet: it does not count.
        """
        added = self._added
        if self._sound.get(app) == added:
            return []
        found = [*self._bare(app)]
        if not found:
            self._sound[app] = added
        return found

    def _bare(self, app: Flask) -> Iterator[tuple[str, GuardExtension]]:
        for endpoint, view in app.view_functions.items():
            for depth, part in enumerate(_parts(view)):
                given = self._given(part)
                for extension in given.itself if depth else given.itself | given.around:
                    yield endpoint, extension
                if isinstance(getattr(part, "hmac_guard", None), GuardExtension):
                    break

    def _given(self, part: Any) -> _Given:
        try:
            return self._views[part]
        except (KeyError, TypeError):  # TypeError: what cannot be referred to weakly, or has no hash
            return _Given(set(), set())


_GIVEN = _GivenViews()


def _parts(view: Any) -> Iterator[Any]:
    """Yield a view and the functions that it wraps."""
    seen: set[int] = set()
    while view is not None and id(view) not in seen:
        yield view
        seen.add(id(view))
        view = getattr(view, "__wrapped__", None)


def _refuse_bare_views(app: Flask, **_: object) -> None:
    """Answer 503 if `guarded` is above a route. Flask sends `request_started` before it calls any function."""
    bare = _GIVEN.bare_in(app)
    for endpoint, _extension in bare:
        logger.error(
            "ConfigError: GuardExtension: Flask calls the view of the endpoint %s without its guard; every request is "
            "answered with 503. Put @signed.guarded below the route, directly above def. If a view is guarded on one "
            "route and open on another, write a second function for the open route.",
            ascii(endpoint),
        )
    if bare:
        raise _RaisedRefusal(_unavailable(app, bare[0][1]))


def _unavailable(app: Flask, extension: GuardExtension) -> Response:
    try:
        refusals = extension.bound_to(app).everywhere.decider.refusals
    except ConfigError:  # `init_app`, which makes the guard, was not called.
        return Response(status=503)
    return _response(refusals[Reason.KEYS_UNAVAILABLE])


class _Bound(NamedTuple):
    """The drivers of one guard: for the whole application, for a blueprint and for a view."""

    guard: Guard
    everywhere: Driver
    on_route: Driver
    on_view: Driver


def _other_than_an_application(given: object) -> str:
    fix = (
        "blueprint.before_request(GuardExtension(guard).before_request)"
        if isinstance(given, Blueprint)
        else "GuardExtension(guard, app). Quart: app.asgi_app = guard.asgi(app.asgi_app)"
    )
    return f"GuardExtension: app must be a Flask application, not {type(given).__name__}; write {fix}"


def _is_factory(hidden: Hidden[Any]) -> bool:
    """Return whether this is a function that makes a guard.

    Raises:
        ConfigError: It is neither a guard nor such a function.
    """
    if isinstance(hidden.get(), Guard) or not callable(hidden.get()):
        return False  # `decider_of` refuses what is not a guard.
    kind = hidden.get() if isinstance(hidden.get(), type) else type(hidden.get())
    is_async = any(map(iscoroutinefunction, functions_of(hidden.get())))
    if kind is hidden.get() or is_async or not can_take(hidden.get(), 1):
        raise ConfigError(
            f"GuardExtension: guard must be a Guard, or a sync function that takes the application and returns a "
            f"Guard, not {kind.__name__}; write GuardExtension(guard, app)"
        )
    return True


def _bind(guard: Any) -> _Bound:
    hidden = hide(guard)
    del guard
    decider = decider_of("GuardExtension", hidden)
    deciders = (decider, decider.for_route(), decider.for_view())
    return _Bound(hidden.get(), *[Driver("GuardExtension", each) for each in deciders])


def _check(driver: Driver) -> Response | None:
    environ = request.environ
    refusal, failure, outer, sent = None, None, None, environ["REQUEST_METHOD"]
    try:
        # A function before the guard may have set another method, and a class-based view then uses that one.
        if request.method != sent.upper():
            environ["REQUEST_METHOD"] = request.method
        judged = _judged(driver, environ)
        if judged is None:
            _rewind_body(driver, environ)
            refusal = driver.decide(environ)
        else:
            refusal = judged.refusal
    except OuterError as error:
        outer = error
    except Exception as error:
        failure = failure_of(error)
    environ["REQUEST_METHOD"] = sent  # By this one, Werkzeug decides whether an answer has a body.
    if outer is not None:
        outer.raise_error()
    if failure is not None:
        refusal = driver.decider.fault(environ, failure)
    return None if refusal is None else _response(refusal)


def _judged(driver: Driver, environ: dict[str, Any]) -> Judged | None:
    """Return the decision if this guard has already judged this request, else None."""
    judged = driver.decider.judged(environ, driver.request(environ))
    if judged is None or judged.with_any_body or judged.request.stream is environ["wsgi.input"]:
        return judged
    return None


def _rewind_body(driver: Driver, environ: dict[str, Any]) -> None:
    """Let the guard read a body that Flask has cached, for example because `request.get_json()` was called before.

    The guard refuses a body that the client has cut off, with the framing of the request.

    Raises:
        BodyAlreadyRead: Flask has parsed the body as a form, or it is not certain that its bytes are still there.
    """
    if not driver.decider.reader.needs_body or "stream" not in (kept := _kept()):
        return
    if driver.decider.skip(driver.request(environ)) is not None:
        return
    length, cached = request.content_length, kept.get("_cached_data")
    if cached is not None:
        # What is left of a parsed form is empty.
        if (not cached and _is_parsed(environ)) or (length is not None and length < len(cached)):
            raise BodyAlreadyRead
        environ["wsgi.input"] = io.BytesIO(cached)
        # Werkzeug also reads a body that the server does not promise to end. Chunks without this promise are refused.
        if "HTTP_TRANSFER_ENCODING" not in environ:
            environ["wsgi.input_terminated"] = True
        return
    if _is_parsed(environ):
        raise BodyAlreadyRead
    if length and not environ.get("wsgi.input_terminated"):
        environ["wsgi.input"] = kept["stream"]  # It ends, also if a function has read a part of it.
    if "form" not in kept and (length is not None or _may_have_body(environ)):
        # A function may have read a part from the stream. Then the stream ends early, and raises no exception.
        body = Body(environ["wsgi.input"], length, ends=False)
        if length is None or length > driver.decider.max_body or (body.read(length) and not body.has_raised):
            raise BodyAlreadyRead
        environ["wsgi.input"] = body.rest()
    # Flask opens the stream again, after the driver has read as much as the guard needs.
    del kept["stream"]


def _is_parsed(environ: dict[str, Any]) -> bool:
    """Return whether Flask has read the body to parse it as a form."""
    kept = _kept()
    if any(map(kept.get, ("form", "files"))):
        return True
    may_have_body = "HTTP_TRANSFER_ENCODING" in environ or bool(request.content_length)
    return "form" in kept and request.mimetype in _FORMS and may_have_body


def _may_have_body(environ: dict[str, Any]) -> bool:
    """Return whether a request without a length may have a body that Flask reads."""
    # Werkzeug reads the stream if the server sets this, also to False.
    if "wsgi.input_terminated" not in environ:
        return False
    return "HTTP_TRANSFER_ENCODING" in environ or request.method not in ("GET", "HEAD", "OPTIONS")


def _kept() -> dict[str, Any]:
    """Return what Flask keeps of the current request: its stream, its bytes and its parsed form, if they were read."""
    kept: dict[str, Any] = vars(cast(Any, request)._get_current_object())
    return kept


def _response(refusal: Refusal) -> Response:
    return Response(refusal.body, refusal.status, list(refusal.headers))


def uncovered_routes(app: Flask) -> list[str]:
    """Return the rules that no guard covers.

    A rule is covered by a middleware around `app.wsgi_app`, by `init_app`, by a blueprint's `before_request`, or by
    `guarded` on its view. It is not covered by a subclass of `GuardMiddleware` with its own `__call__`, or of
    `GuardExtension` with its own `before_any_request` or `before_request`. For a class, `guarded` counts only in the
    `decorators` of the class, and not on its methods or in `method_decorators` of Flask-RESTful. A rule is uncovered if
    `only` or `exempt` of the guard may skip it, or if the guard is off.

    A layer around `app.wsgi_app`, outside of the guard's middleware, may answer requests itself. It is listed by its
    name, for example `<flask_socketio._SocketIOMiddleware around the application>`. Layers that are known to run no
    handlers are not listed: werkzeug's `ProxyFix`, OpenTelemetry. If you know that a layer answers no requests, add it
    to the list in your test.

    Example::

        def test_every_route_is_guarded():
            assert uncovered_routes(app) == ["/health"]
    """
    itself = type(app).wsgi_app.__get__(app)
    layers = Layers(app.wsgi_app, lambda layer: bool(itself == layer))
    rules = {rule.rule for rule in app.url_map.iter_rules() if _is_open(app, rule, layers)}
    return sorted({*rules, *(f"<{name} around the application>" for name in layers.unknown())})


def _is_open(app: Flask, rule: Rule, layers: Layers) -> bool:
    start, variable, _ = rule.rule.partition("<")
    starts = [start]
    if not variable and not rule.strict_slashes:  # The rule also matches the path with the other end.
        starts.append(start.removesuffix("/") if start.endswith("/") else start + "/")
    return any(_is_open_at(app, rule, layers, each, fixed=not variable) for each in starts)


def _is_open_at(app: Flask, rule: Rule, layers: Layers, start: str, *, fixed: bool) -> bool:
    passed = (layers.is_open(application, start, fixed=fixed) for application in layers.applications)
    return any(passed) and not covered(_guards_before(app, rule.endpoint), start, fixed=fixed)


def _guards_before(app: Flask, endpoint: str) -> Iterator[Guard]:
    blueprints = accumulate(endpoint.split(".")[:-1], "{}.{}".format)
    for hook in [hook for name in (None, *blueprints) for hook in app.before_request_funcs.get(name, ())]:
        extension: Any = getattr(hook, "__self__", None)
        method = getattr(hook, "__func__", None)
        # Another method of a subclass may let any request through.
        if method is GuardExtension.before_any_request:
            yield extension.bound_to(app).guard
        elif method is GuardExtension.before_request:
            yield extension.bound_to(app).guard.for_route()
    marked = getattr(app.view_functions.get(endpoint), "hmac_guard", None)
    if isinstance(marked, GuardExtension):
        yield marked.bound_to(app).guard.for_route()
