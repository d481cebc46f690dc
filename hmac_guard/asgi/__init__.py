"""The ASGI interface."""

from hmac_guard.asgi.middleware import GuardMiddleware as GuardMiddleware

__all__ = ["GuardMiddleware"]
