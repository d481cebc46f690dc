"""The guard for Django: a middleware, a decorator, system checks, and an authentication class for REST framework.

MIDDLEWARE = [..., "hmac_guard.django.GuardMiddleware", ...]    # below the CORS middleware
INSTALLED_APPS = [..., "hmac_guard.django"]                     # for the system checks
HMAC_GUARD = "mysite.guards.GUARD"                              # a Guard; or a dict of its arguments, see `conf`
"""

from hmac_guard.django.middleware import GuardMiddleware as GuardMiddleware
from hmac_guard.django.routes import uncovered_routes as uncovered_routes
from hmac_guard.django.views import hmac_guarded as hmac_guarded

__all__ = ["GuardMiddleware", "hmac_guarded", "uncovered_routes"]
