from django.core.wsgi import get_wsgi_application

from acceptance.conformance.apps import django_site

django_site.urlpatterns += django_site.routes(later=False)
app = get_wsgi_application()
