from collections.abc import Awaitable, Callable
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from hmac_guard.core.strict import Strict
from hmac_guard.decider import decider_of
from hmac_guard.django.conf import guard_from_settings
from hmac_guard.django.driver import DjangoDriver, respond
from hmac_guard.guard import Guard


class GuardMiddleware(Strict):
    """Guards every request of a Django project, in sync and async code, without switching threads.

    The guard comes from the setting `HMAC_GUARD`. For a second guard, make a subclass with another `guard`, and add it
    to MIDDLEWARE. The verdict is `request.hmac_guard` (the guard's `annotate_as`).

    In MIDDLEWARE, put it below the CORS middleware, so that a page on another origin can read a refusal, and above all
    middleware that reads the body.

    Raises:
        ConfigError: The setting or the guard is wrong. It is raised when Django loads the middleware.
    """

    sync_capable = True
    async_capable = True
    guard: Guard | None = None

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self._driver = self.make_driver(type(self).__name__)
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    @classmethod
    def guard_in_use(cls) -> Guard:
        return cls.guard or guard_from_settings()

    @classmethod
    def make_driver(cls, owner: str) -> DjangoDriver:
        return DjangoDriver(owner, decider_of(owner, cls.guard_in_use()))

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._driver.answer(request, self.get_response)
        refusal = self._driver.refuse(request)
        return cast(HttpResponseBase, self.get_response(request)) if refusal is None else respond(refusal, request)
