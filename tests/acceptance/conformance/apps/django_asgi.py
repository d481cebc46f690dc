from django.core.asgi import get_asgi_application

from acceptance.conformance.apps import django_site

django_site.urlpatterns += django_site.routes(later=True)
app = get_asgi_application()
