from typing import Any

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.urls import path

from acceptance.conformance.guards import HOOK_GUARD, ORDERS_GUARD, PIECE, UPLOAD_GUARD, BodyReport
from hmac_guard import Guard, verdict_from
from hmac_guard.django import GuardMiddleware


class Upload(GuardMiddleware):
    guard = UPLOAD_GUARD


class Hook(GuardMiddleware):
    guard = HOOK_GUARD


if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        MIDDLEWARE=["hmac_guard.django.GuardMiddleware", f"{__name__}.Upload", f"{__name__}.Hook"],
        HMAC_GUARD=ORDERS_GUARD,
    )


def answer(request: HttpRequest, guard: Guard | None) -> JsonResponse:
    report = BodyReport()
    while piece := request.read(PIECE):
        report.read(piece)
    return JsonResponse(report.answer(verdict_from(request, guard.annotate_as) if guard else None))


def endpoint(guard: Guard | None, *, later: bool) -> Any:
    def view(request: HttpRequest) -> JsonResponse:
        return answer(request, guard)

    async def later_view(request: HttpRequest) -> JsonResponse:
        return answer(request, guard)

    return later_view if later else view


def routes(*, later: bool) -> list[Any]:
    guards = {"orders": ORDERS_GUARD, "upload": UPLOAD_GUARD, "hook": HOOK_GUARD, "bare": None}
    return [path(name, endpoint(guard, later=later)) for name, guard in guards.items()]


urlpatterns: list[Any] = []
