"""One view guarded, where the rest of the project is not."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from asgiref.sync import iscoroutinefunction

from hmac_guard.core.errors import ConfigError
from hmac_guard.django.judging import Judge, respond
from hmac_guard.guard import Guard, check_guard

_View = TypeVar("_View", bound=Callable[..., Any])


def hmac_guarded(guard: Guard) -> Callable[[_View], _View]:
    """Guard one view: a function, sync or async, or a class with `dispatch` (Django's and Django REST framework's).

    The guard's `only` and `exempt` do not count, since the router has decided. What the middleware of the same guard
    let through is not judged again. A view that takes OPTIONS itself is also run for a CORS preflight, with a verdict
    that is not verified; `Guard(…, preflight=False)` turns that off. Raises `ConfigError`.
    """
    judge = Judge("hmac_guarded", check_guard("hmac_guarded", guard).for_route())

    def decorate(view: _View) -> _View:
        if not isinstance(view, type):
            return cast(_View, _guarded(judge, view))
        if not callable(getattr(view, "dispatch", None)):
            raise ConfigError(f"hmac_guarded: {view.__name__} has no dispatch; guard a view, a function or a class")
        view.dispatch = _guarded_dispatch(judge, view.dispatch)  # type: ignore[attr-defined]
        return view

    return decorate


def _guarded(judge: Judge, view: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(view)
    def sync(request: Any, *args: Any, **kwargs: Any) -> Any:
        refusal = judge.refuse(request)
        return view(request, *args, **kwargs) if refusal is None else respond(refusal, request)

    @wraps(view)
    async def later(request: Any, *args: Any, **kwargs: Any) -> Any:
        refusal = await judge.arefuse(request)
        return await view(request, *args, **kwargs) if refusal is None else respond(refusal, request)

    return _marked(judge, later if iscoroutinefunction(view) else sync)


def _guarded_dispatch(judge: Judge, dispatch: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(dispatch)
    def sync_or_later(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(self, "view_is_async", False):
            return later(self, request, *args, **kwargs)
        refusal = judge.refuse(request)
        return dispatch(self, request, *args, **kwargs) if refusal is None else respond(refusal, request)

    async def later(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        refusal = await judge.arefuse(request)
        return await dispatch(self, request, *args, **kwargs) if refusal is None else respond(refusal, request)

    return _marked(judge, sync_or_later)


def _marked(judge: Judge, view: _View) -> _View:
    """`uncovered_routes` looks for the mark; Django copies it from `dispatch` to what `as_view` makes."""
    view.hmac_guard = judge.guard  # type: ignore[attr-defined]
    return view
