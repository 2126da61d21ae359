"""Settings of the test run: the real ones, with the few differences that tests need."""

import os
import tempfile
from pathlib import Path

_folder = Path(tempfile.mkdtemp(prefix="neuraxis-test-"))
os.environ.setdefault("NEURAXIS_VAR", str(_folder))
os.environ.setdefault("SECRET_KEY", "test-secret-key-" * 4)
os.environ.setdefault("PSEUDONYM_KEY", "test-pseudonym-key-" * 4)
os.environ.setdefault("ALLOWED_HOSTS", "testserver,localhost,127.0.0.1")
os.environ.setdefault("NEURAXIS_TLS", "off")
os.environ.setdefault("LOG_LEVEL", "WARNING")

from monitoring.settings import *  # noqa: E402, F403

STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # quick, tests only
CELERY_TASK_ALWAYS_EAGER = False
AXES_ENABLED = False
# WhiteNoise warns of a missing folder, and warnings are errors here.
STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # noqa: F405
