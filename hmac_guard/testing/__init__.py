"""Helpers for the tests of an application with a guard: `signed_client`, `sign_request` and `Clock`.

With pytest, they are the fixtures `signed_client`, `sign_request` and `guard_clock`, without an import.
"""

from hmac_guard.testing.clients import signed_client as signed_client
from hmac_guard.testing.clock import Clock as Clock
from hmac_guard.testing.requests import sign_request as sign_request

__all__ = ["Clock", "sign_request", "signed_client"]
