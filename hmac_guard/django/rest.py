"""The guard as an authentication class of Django REST framework."""

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from typing import Any

from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import APIException, ErrorDetail
from rest_framework.request import Request

from hmac_guard.core.refusal import Refusal
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.sources import Cookie
from hmac_guard.core.verdict import Reason, Verdict
from hmac_guard.decider import Decider, decider_of
from hmac_guard.django.conf import guard_from_settings
from hmac_guard.django.driver import DjangoDriver
from hmac_guard.guard import Guard


class SignedCaller:
    """The `request.user` of a request that `GuardAuthentication` has verified. `verdict` has the verified ids.

    It is not a user in the database. `pk` is a stable hash of the verified ids, so that throttles can distinguish
    callers. It has no permissions, so permission classes that need one refuse it with 403.
    """

    is_authenticated = True
    is_active = True
    is_anonymous = False
    is_staff = False
    is_superuser = False

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        proven = json.dumps([verdict.scheme, verdict.tenant, *verdict.ids.items()])
        self.pk = hashlib.sha256(proven.encode()).hexdigest()

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        return False

    def has_perms(self, perm_list: Iterable[str], obj: Any = None) -> bool:
        return False

    def has_module_perms(self, module: str) -> bool:
        return False

    def __str__(self) -> str:
        return f"signed:{self.pk[:12]}"


class GuardAuthentication(BaseAuthentication):
    """Authenticates with the guard of the setting `HMAC_GUARD`. For another guard, make a subclass with its `guard`.

    `request.user` is the return value of `user_of`, by default a `SignedCaller`. `request.auth` is the verdict.

    Put this class first in the list: Django REST framework stops at the first class that finds a user. A request that
    the guard refuses is refused here, before the permission classes run. (The default permission class of REST
    framework permits every request.) The response has the guard's status, headers and document. The view renders it, in
    the media type of its renderers.

    If the mode is "report" or "off", an unverified request is not refused. Then REST framework calls the other
    authentication classes. If one of them finds a user, its user and its `request.auth` are used. If none does,
    `request.user` is anonymous and `request.auth` is the verdict.

    Browsers send cookies from every page. So if the scheme reads its signature from a cookie and the request has that
    cookie, the request must also pass Django's CSRF check, as with `SessionAuthentication`. Otherwise the answer is
    403.
    """

    guard: Guard | None = None

    def authenticate(self, request: Request) -> tuple[Any, Verdict] | None:
        driver = self._driver()
        refusal = driver.refuse(request._request)
        if refusal is not None:
            _send_with_answer(request, "Cache-Control", dict(refusal.headers)["Cache-Control"])
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
        """Return the `request.user` for a verified verdict. Override it to return your own user."""
        return SignedCaller(verdict)

    @classmethod
    def guard_in_use(cls) -> Guard:
        return cls.guard or guard_from_settings()

    @classmethod
    def make_driver(cls, owner: str) -> DjangoDriver:
        return _driver_of(owner, decider_of(owner, cls.guard_in_use()))

    def _driver(self) -> DjangoDriver:
        return self.make_driver(type(self).__name__)


def _send_with_answer(request: Any, name: str, value: str) -> None:
    """Set a header of the answer. REST framework takes two others from an exception, and all those of the view."""
    view = request.parser_context.get("view")
    if hasattr(view, "headers"):  # Without a view that runs, nothing is answered.
        view.headers = {**view.headers, name: value}


def _keep(verdict: Verdict, request: Any) -> None:
    """Set `request.auth` to the verdict if no authentication class finds a user.

    `authenticate` cannot return the verdict: REST framework would not call the other classes, and it would answer 403
    instead of 401 to a request without a user.
    """
    not_authenticated = request._not_authenticated

    def set_verdict() -> None:
        not_authenticated()
        request.auth = verdict

    request._not_authenticated = set_verdict


def _may_be_signed_by_cookie(scheme: Scheme, request: Request) -> bool:
    """Return whether a cookie of the request may contain the signature, with any parser of cookies."""
    places = scheme.signature.places()
    sent = request.META.get("HTTP_COOKIE", "")
    return any(isinstance(place, Cookie) and place.name in sent for place in places)


@cache
def _driver_of(owner: str, decider: Decider) -> DjangoDriver:
    return DjangoDriver(owner, decider.for_view())


class GuardRefused(APIException):
    """The refusal of the guard, in the form that Django REST framework renders."""

    def __init__(self, refusal: Refusal) -> None:
        headers = dict(refusal.headers)
        self.status_code = refusal.code
        self.detail = _coded(refusal.document(), refusal.client_code)
        self.auth_header = headers.get("WWW-Authenticate")
        self.wait = int(headers.get("Retry-After", 0))
        self._message, self._code = refusal.message, refusal.client_code

    def get_codes(self) -> Any:
        """Return the code that the client gets, such as "invalid_signature"."""
        return self._code

    def get_full_details(self) -> Any:
        """Return the message and the code that the client gets."""
        return {"message": self._message, "code": self._code}


class _Integer(int):
    """An integer with a `code`, as REST framework has it on each text of `detail`."""

    code: str


class _Float(float):
    """A float with a `code`."""

    code: str


_CODED: dict[type, Any] = {str: ErrorDetail, int: _Integer, float: _Float}


def _coded(part: Any, code: str) -> Any:
    """Return a part of a document, equal to the given one, whose texts and numbers have the attribute `code`."""
    if isinstance(part, dict):
        return {name: _coded(value, code) for name, value in part.items()}
    if isinstance(part, list):
        return [_coded(value, code) for value in part]
    kind = _CODED.get(type(part))
    if kind is None:  # True, False and None: their types have no subclasses.
        return part
    leaf = kind(part)
    leaf.code = code
    return leaf
