"""Describes `GuardAuthentication` to drf-spectacular. Importing this module registers the class."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

from hmac_guard import openapi


class GuardScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The security scheme of `GuardAuthentication` and its subclasses. Its name is the name of the guard's scheme."""

    target_class = "hmac_guard.django.rest.GuardAuthentication"
    match_subclasses = True

    @property
    def name(self) -> str:  # type: ignore[override]
        return openapi.scheme_name(self.target.guard_in_use())

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return openapi.security_scheme(self.target.guard_in_use())
