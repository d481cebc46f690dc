from django.apps import AppConfig
from django.core import checks


class GuardConfig(AppConfig):
    """Registers the system checks."""

    name = "hmac_guard.django"
    label = "hmac_guard"
    verbose_name = "HMAC guard"

    def ready(self) -> None:
        from hmac_guard.django.checks import check_guard_settings

        checks.register(check_guard_settings, checks.Tags.security)
