"""A guard as an authentication class of Django REST framework."""

import hashlib
import json
from functools import cache
from typing import Any

from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from hmac_guard.core.refusal import Refusal
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.sources import Cookie
from hmac_guard.core.verdict import Reason, Verdict
from hmac_guard.decider import decider_of
from hmac_guard.django.conf import guard_from_settings
from hmac_guard.django.driver import DjangoDriver
from hmac_guard.guard import Guard


class SignedCaller:
    """Who called, as far as it was proven: `request.user` behind `GuardAuthentication`. `verdict` has the ids.

    It is no user of the database. `pk` is a stable name for the proven ids, by which throttles tell callers apart.
    """

    is_authenticated = True
    is_active = True
    is_anonymous = False

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        proven = json.dumps([verdict.scheme, verdict.tenant, *verdict.ids.items()])
        self.pk = hashlib.sha256(proven.encode()).hexdigest()

    def __str__(self) -> str:
        return f"signed:{self.pk[:12]}"


class GuardAuthentication(BaseAuthentication):
    """Authenticates by the guard of the setting `HMAC_GUARD`; for another one make a subclass with its `guard`.

    `request.user` is what `user_of` makes of the verdict, a `SignedCaller` if you do not say otherwise; `request.auth`
    is the verdict. Put it first: Django REST framework asks no further class once one has found a user. A request that
    the guard refuses is refused here, before the permission classes: that of a fresh project permits every request. The
    answer has the guard's status, headers and document, rendered by the view.

    Where an unverified request goes on, since the guard or the tenant only reports or is off, the authentication
    classes behind this one are asked. A user that one of them finds stands, with its `request.auth`. Where none does,
    `request.user` is anonymous and `request.auth` is the verdict.

    A browser sends cookies from any page. So a request with a cookie in which the scheme looks for its signature has to
    pass Django's CSRF check too, as with `SessionAuthentication`; the answer is 403 where it does not.
    """

    guard: Guard | None = None

    def authenticate(self, request: Request) -> tuple[Any, Verdict] | None:
        driver = self._driver()
        refusal = driver.refuse(request._request)
        if refusal is not None:
            raise GuardRefused(refusal)
        verdict = driver.verdict_on(request._request)
        if not verdict:
            _keep(verdict, request)
            return None
        if _may_be_signed_by_cookie(driver.decider.scheme, request):
            SessionAuthentication().enforce_csrf(request)
        return self.user_of(verdict), verdict

    def authenticate_header(self, request: Request) -> str:
        return dict(self._driver().decider.refusals[Reason.MISSING_SIGNATURE].headers)["WWW-Authenticate"]

    def user_of(self, verdict: Verdict) -> Any:
        """The `request.user` for a verified verdict; override it to look up your own."""
        return SignedCaller(verdict)

    @classmethod
    def guard_in_use(cls) -> Guard:
        return cls.guard or guard_from_settings()

    def _driver(self) -> DjangoDriver:
        return _driver_of(type(self).__name__, self.guard_in_use())


def _keep(verdict: Verdict, request: Any) -> None:
    """Leave the verdict in `request.auth` where none of the authentication classes finds a user.

    If `authenticate` returned the verdict, no further class would be asked, and a permission class would answer 403
    where REST framework answers 401 to a request that no class authenticated.
    """
    not_authenticated = request._not_authenticated

    def not_authenticated_but_judged() -> None:
        not_authenticated()
        request.auth = verdict

    request._not_authenticated = not_authenticated_but_judged


def _may_be_signed_by_cookie(scheme: Scheme, request: Request) -> bool:
    """Whether the request has a cookie with the name of one that may hold the signature, however cookies are parsed."""
    places = scheme.signature.places()
    sent = request.META.get("HTTP_COOKIE", "")
    return any(isinstance(place, Cookie) and place.name in sent for place in places)


@cache
def _driver_of(owner: str, guard: Guard) -> DjangoDriver:
    return DjangoDriver(owner, decider_of(owner, guard).for_view())


class GuardRefused(APIException):
    """The guard's answer, in the form that Django REST framework renders."""

    def __init__(self, refusal: Refusal) -> None:
        headers = dict(refusal.headers)
        self.status_code = refusal.status.value
        self.detail = _document(refusal.body)
        self.auth_header = headers.get("WWW-Authenticate")
        self.wait = int(headers.get("Retry-After", 0))


def _document(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")
