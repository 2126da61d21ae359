"""WSGI entry point."""

import os

from django.core.wsgi import get_wsgi_application

from monitoring.checks import secrets_require

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "monitoring.settings")
application = get_wsgi_application()
secrets_require()
