"""One view guarded, where the rest of the project is not."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from asgiref.sync import iscoroutinefunction

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.decider import decider_of
from hmac_guard.django.driver import DjangoDriver, respond
from hmac_guard.guard import Guard

_View = TypeVar("_View", bound=Callable[..., Any])


def hmac_guarded(guard: Guard) -> Callable[[_View], _View]:
    """Guard one view: a function, sync or async, or a class with `dispatch` (Django's and Django REST framework's).

    The guard's `only` and `exempt` do not count, since the router has decided. A request that the middleware of the
    same guard has judged is not judged again. A CORS preflight is refused: a view that answers OPTIONS itself is a view
    like any other, and Django's own answer to OPTIONS comes from middleware. Raises `ConfigError`.
    """
    hidden = hide(guard)
    del guard
    driver = DjangoDriver("hmac_guarded", decider_of("hmac_guarded", hidden).for_view())
    route_guard = hidden.get().for_route()

    def decorate(view: _View) -> _View:
        if not isinstance(view, type):
            return cast(_View, _marked(route_guard, _guarded(driver, view)))
        if not callable(getattr(view, "dispatch", None)):
            raise ConfigError(f"hmac_guarded: {view.__name__} has no dispatch; guard a view, a function or a class")
        view.dispatch = _marked(route_guard, _guarded_dispatch(driver, view.dispatch))  # type: ignore[attr-defined]
        return view

    return decorate


def _guarded(driver: DjangoDriver, view: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(view)
    def sync(request: Any, *args: Any, **kwargs: Any) -> Any:
        refusal = driver.refuse(request)
        return view(request, *args, **kwargs) if refusal is None else respond(refusal, request)

    @wraps(view)
    async def later(request: Any, *args: Any, **kwargs: Any) -> Any:
        refusal = await driver.arefuse(request)
        return await view(request, *args, **kwargs) if refusal is None else respond(refusal, request)

    return later if iscoroutinefunction(view) else sync


def _guarded_dispatch(driver: DjangoDriver, dispatch: Callable[..., Any]) -> Callable[..., Any]:
    # A view keeps its request, and error trackers look into the local variables of every frame.
    @wraps(dispatch)
    def sync_or_later(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        view = hide(self)
        del self
        if getattr(view.get(), "view_is_async", False):
            return later(view, request, *args, **kwargs)
        refusal = driver.refuse(request)
        return dispatch(view.get(), request, *args, **kwargs) if refusal is None else respond(refusal, request)

    async def later(view: Hidden[Any], request: Any, *args: Any, **kwargs: Any) -> Any:
        refusal = await driver.arefuse(request)
        return await dispatch(view.get(), request, *args, **kwargs) if refusal is None else respond(refusal, request)

    return sync_or_later


def _marked(guard: Guard, view: _View) -> _View:
    """`uncovered_routes` looks for the mark; Django copies it from `dispatch` to what `as_view` makes."""
    view.hmac_guard = guard  # type: ignore[attr-defined]
    return view
