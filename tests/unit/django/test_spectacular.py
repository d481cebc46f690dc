"""The OpenAPI document that drf-spectacular writes for a guarded view."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rest_framework", reason="not run: Django REST framework is not installed")
pytest.importorskip("drf_spectacular", reason="not run: drf-spectacular is not installed")

# First, because it configures Django.
from django_project import project  # isort: skip

from django.core.management import call_command
from django.urls import path
from drf_spectacular.openapi import AutoSchema
from orders import KEY, ORDERS
from rest_framework.generics import GenericAPIView
from rest_framework.response import Response
from rest_framework.serializers import CharField, Serializer

from hmac_guard import Guard
from hmac_guard.django.rest import GuardAuthentication
from hmac_guard.schemes import NANGO

APPS = ["django.contrib.contenttypes", "django.contrib.auth", "rest_framework", "drf_spectacular", "hmac_guard.django"]


class ByNango(GuardAuthentication):
    guard = Guard(NANGO, KEY)


class Order(Serializer[Any]):
    order_id = CharField()


class Orders(GenericAPIView[Any]):
    schema = AutoSchema()  # as DEFAULT_SCHEMA_CLASS of a project does
    serializer_class = Order
    authentication_classes: Any = (GuardAuthentication,)

    def get(self, request: Any) -> Response:
        return Response({"order_id": request.auth.ids["order_id"]})


class Inbox(Orders):
    authentication_classes = (ByNango,)


def test_spectacular_names_the_security_scheme_without_warnings(tmp_path: Path) -> None:
    document = tmp_path / "openapi.json"
    urls = [path("orders", Orders.as_view()), path("inbox", Inbox.as_view())]
    with project(urls=urls, INSTALLED_APPS=APPS, HMAC_GUARD=Guard(ORDERS, KEY)):
        call_command("spectacular", "--fail-on-warn", "--validate", "--format=openapi-json", f"--file={document}")
    found = json.loads(document.read_text())

    assert found["components"]["securitySchemes"]["orders"]["name"] == "sig"
    assert found["components"]["securitySchemes"]["nango"]["name"] == "hmac"
    assert {"orders": []} in found["paths"]["/orders"]["get"]["security"]
    assert {"nango": []} in found["paths"]["/inbox"]["get"]["security"]
