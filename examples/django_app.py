"""Your own scheme in Django: one id in a header, one in a JSON body or a form, and a key for each tenant.

Run it:

    pip install 'hmac-guard[cli]' django waitress
    export ORDERS_KEY_acme=the-secret-that-acme-and-we-share ORDERS_KEY_globex=the-secret-that-globex-and-we-share
    waitress-serve --listen=127.0.0.1:8003 django_app:application

Try it, in a second terminal that has the same keys:

    signature=$(hmac-guard sign django_app:ORDERS tenant_id=acme order_id=42 --key-env ORDERS_KEY_acme)

    # 200, as JSON and as a form
    curl http://127.0.0.1:8003/orders -H "X-Tenant: acme" -H "X-Signature: $signature" --json '{"order": {"id": "42"}}'
    curl http://127.0.0.1:8003/orders -H "X-Tenant: acme" -H "X-Signature: $signature" -d order_id=42

    # 401: a signature of acme is not valid for another tenant or another order
    curl http://127.0.0.1:8003/orders -H "X-Tenant: globex" -H "X-Signature: $signature" -d order_id=42
    curl http://127.0.0.1:8003/orders -H "X-Tenant: acme" -H "X-Signature: $signature" -d order_id=43
"""

import json

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from hmac_guard import Claim, Form, Guard, Header, Json, Reason, Scheme, Verdict, verdict_from
from hmac_guard.keys import EnvKeys

ORDERS = Scheme(
    name="orders",
    ids={"tenant_id": Header("X-Tenant"), "order_id": Json("/order/id") | Form("order_id")},
    message="{tenant_id}:{order_id}",
    signature=Header("X-Signature"),
    tenant=Header("X-Tenant"),
)


def tell(verdict: Verdict, claim: Claim) -> None:
    print(f"{verdict.scheme}: {verdict.reason}", flush=True)  # A counter for each reason would go here.


def orders(request: HttpRequest) -> JsonResponse:
    verdict = verdict_from(request)
    ids = verdict.ids if verdict else verdict.claimed  # Verified; in report mode, the ids in the request.
    if verdict.reason in (Reason.OFF, Reason.EXEMPT):  # Not checked: read them as before.
        is_json = request.content_type == "application/json"
        order = json.loads(request.body)["order"]["id"] if is_json else request.POST.get("order_id", "")
        ids = {"tenant_id": request.headers.get("X-Tenant", ""), "order_id": order}
    return JsonResponse({"ids": dict(ids), "tenant": verdict.tenant})


urlpatterns = [path("orders", orders)]
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1", "localhost"])

guard = Guard(ORDERS, keys=EnvKeys("ORDERS_KEY_{tenant}"), on_verdict=tell)
application = guard.wsgi(get_wsgi_application())
