from importlib import import_module

from django.apps import AppConfig, apps
from django.core import checks


class GuardConfig(AppConfig):
    """Registers the system checks, and `GuardAuthentication` in drf-spectacular if that is installed."""

    name = "hmac_guard.django"
    label = "hmac_guard"
    verbose_name = "HMAC guard"

    def ready(self) -> None:
        from hmac_guard.django.checks import check_guard_settings

        checks.register(check_guard_settings, checks.Tags.security)
        if apps.is_installed("drf_spectacular"):
            import_module("hmac_guard.django.spectacular")
