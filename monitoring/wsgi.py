"""WSGI entry point."""

import os

from django.core.wsgi import get_wsgi_application

from monitoring.checks import secrets_require
from monitoring.collector import collector_settle

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "monitoring.settings")
application = get_wsgi_application()
secrets_require()
collector_settle()
