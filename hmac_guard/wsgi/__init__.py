"""The WSGI interface."""

from hmac_guard.wsgi.middleware import GuardMiddleware as GuardMiddleware

__all__ = ["GuardMiddleware"]
