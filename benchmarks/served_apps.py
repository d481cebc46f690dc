"""The applications that `benchmarks.served` puts on real servers, bare and guarded."""

import gc
import logging

from benchmarks.frameworks import GUARD, django_asgi_stack, django_wsgi_stack, fastapi_stack, flask_stack

logging.getLogger("hmac_guard").addHandler(logging.NullHandler())

fastapi_bare, fastapi_guarded = fastapi_stack().bare, GUARD.asgi(fastapi_stack().bare)
flask_bare, flask_guarded = flask_stack().bare, GUARD.wsgi(flask_stack().bare)
_wsgi, _asgi = django_wsgi_stack(), django_asgi_stack()
django_wsgi_bare, django_wsgi_guarded = _wsgi.bare, _wsgi.checked["guard as Django middleware"]
django_asgi_bare, django_asgi_guarded = _asgi.bare, _asgi.checked["guard as Django middleware"]

# A collection need not go through the modules of the other frameworks, which a user's server does not have.
gc.collect()
gc.freeze()
