"""Configures Django, once for all tests of one process: to import it is to have it done."""

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
