"""A decorator that guards one view."""

from collections.abc import Callable
from functools import partial, wraps
from types import FunctionType
from typing import Any, TypeVar, cast

from asgiref.sync import iscoroutinefunction

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.decider import decider_of
from hmac_guard.django.driver import DjangoDriver, respond
from hmac_guard.guard import Guard

_View = TypeVar("_View", bound=Callable[..., Any])


def hmac_guarded(guard: Guard) -> Callable[[_View], _View]:
    """Guard one view: a sync or async function, or a class with `dispatch`, of Django or Django REST framework.

    The guard's `only` and `exempt` do not apply: Django has already chosen the view. A request that the same guard has
    already judged is not judged again; a refused one is refused again. A CORS preflight is refused, because the view
    could answer it with data. Let the CORS middleware answer preflights.

    Args:
        guard: The guard.

    Raises:
        ConfigError: `guard` is not a guard, the decorated class has no `dispatch`, or the decorated function is a
            method: its first parameter is `self` or `cls`.
    """
    hidden = hide(guard)
    del guard
    driver = DjangoDriver("hmac_guarded", decider_of("hmac_guarded", hidden).for_view())
    route_guard = hidden.get().for_route()

    def decorate(view: _View) -> _View:
        if _is_method(view):
            raise ConfigError(
                f"hmac_guarded: {view.__qualname__} is a method, and its first argument is no request; decorate the "
                "class, or write @method_decorator(hmac_guarded(guard)) above the method"
            )
        if not isinstance(view, type):
            return cast(_View, _marked(route_guard, _guarded(driver, view)))
        if not callable(getattr(view, "dispatch", None)):
            raise ConfigError(
                f"hmac_guarded: {view.__name__} has no dispatch; decorate a view function or a view class"
            )
        view.dispatch = _marked(route_guard, _guarded_dispatch(driver, view.dispatch))  # type: ignore[attr-defined]
        return view

    return decorate


def _is_method(view: object) -> bool:
    # A bound method, or the partial of `method_decorator`, has its instance.
    if not isinstance(view, FunctionType):
        return False
    code = view.__code__
    return code.co_argcount > 0 and code.co_varnames[0] in ("self", "cls")


def _guarded(driver: DjangoDriver, view: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(view)
    def sync(request: Any, *args: Any, **kwargs: Any) -> Any:
        refusal = driver.refuse(request)
        return view(request, *args, **kwargs) if refusal is None else respond(refusal, request)

    @wraps(view)
    async def later(request: Any, *args: Any, **kwargs: Any) -> Any:
        return await driver.answer(request, view, *args, **kwargs)

    return later if iscoroutinefunction(view) or _is_async_dispatch(view) else sync


def _is_async_dispatch(view: Any) -> bool:
    """Return whether this is the dispatch of an async view instance, which `method_decorator` has put into a partial.

    It is no coroutine function, but returns what the methods of the view return: coroutines.
    """
    while not isinstance(view, partial) and hasattr(view, "__wrapped__"):
        view = view.__wrapped__
    method = view.func if isinstance(view, partial) else view
    instance = getattr(method, "__self__", None)
    return getattr(method, "__name__", "") == "dispatch" and bool(getattr(instance, "view_is_async", False))


def _guarded_dispatch(driver: DjangoDriver, dispatch: Callable[..., Any]) -> Callable[..., Any]:
    # A view instance has its request. It is hidden, because error trackers record the local variables of every frame.
    @wraps(dispatch)
    def sync_or_later(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        view = hide(self)
        del self
        if getattr(view.get(), "view_is_async", False):
            return driver.answer(request, _later(dispatch, view), *args, **kwargs)
        refusal = driver.refuse(request)
        return dispatch(view.get(), request, *args, **kwargs) if refusal is None else respond(refusal, request)

    return sync_or_later


def _later(dispatch: Callable[..., Any], view: Hidden[Any]) -> Callable[..., Any]:
    async def dispatch_later(request: Any, *args: Any, **kwargs: Any) -> Any:
        return await dispatch(view.get(), request, *args, **kwargs)

    return dispatch_later


def _marked(guard: Guard, view: _View) -> _View:
    """Mark a view for `uncovered_routes`. Django copies the mark from `dispatch` to the result of `as_view`."""
    view.hmac_guard = guard  # type: ignore[attr-defined]
    return view
