"""Configures Django when it is imported, once for all tests of a process."""

import django
from django.conf import settings

if not settings.configured:
    settings.configure(
        SECRET_KEY="not a secret",
        ALLOWED_HOSTS=["*"],
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "hmac_guard.django"],
        ROOT_URLCONF=(),
        MIDDLEWARE=[],
        USE_TZ=True,
    )
    django.setup()
