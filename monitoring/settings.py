"""Settings: one module; every difference between deployments is an environment variable.

``docs/deployment.md`` lists the variables. With ``DEBUG`` off, secrets and hosts have no
default: a forgotten one stops the start instead of weakening it. A secret may also be given
as a file: ``NAME_FILE`` holds the path.
"""

import hashlib
from pathlib import Path

import environ
import structlog

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.FileAwareEnv()

VERSION = (BASE_DIR / "VERSION").read_text(encoding="ascii").strip()

# DEMO_MODE shows demo log-ins and allows the seed; `make demo` switches it on.
DEMO_MODE: bool = env.bool("NEURAXIS_DEMO", default=False)
# Public on purpose: it opens synthetic clinics on one's own machine (docs/demo.md).
DEMO_PASSWORD = "neuraxis-demo" if DEMO_MODE else ""
DEBUG: bool = env.bool("DEBUG", default=False)
VAR_DIR = Path(env.str("NEURAXIS_VAR", default=str(BASE_DIR / "var")))


def _secret(name: str) -> str:
    """Return a secret; a demo or a debug run may go without.

    Elsewhere a missing one stays empty: commands that store nothing (`assess`) need none, and
    whatever serves or stores refuses to start (`monitoring.checks.secrets_require`).
    """
    value: str = env.str(name, default="")
    if not value and (DEMO_MODE or DEBUG):
        return hashlib.sha256(f"demo:{name}".encode()).hexdigest()
    return value


SECRET_KEY = _secret("SECRET_KEY")
# Key of every keyed hash of an identifier (series, scanner serial number); per clinic derived.
PSEUDONYM_KEY = _secret("PSEUDONYM_KEY")
ALLOWED_HOSTS: list[str] = env.list(
    "ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"] if DEMO_MODE or DEBUG else []
)
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])

# --- Applications ---------------------------------------------------------------------------
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "django_filters",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "axes",
    "django_structlog",
    "volumetry.apps.VolumetryConfig",
    "monitoring.apps.MonitoringConfig",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "monitoring.middleware.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "monitoring.middleware.RequestLogMiddleware",
    "monitoring.middleware.SessionAgeMiddleware",
    "monitoring.middleware.FirstPasswordMiddleware",
    "monitoring.middleware.ClinicMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "monitoring.urls"
WSGI_APPLICATION = "monitoring.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "monitoring.context.site",
            ],
            "builtins": ["monitoring.templatetags.neuraxis"],
        },
    }
]

# --- Database -------------------------------------------------------------------------------
DATABASES = {
    "default": env.db("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'neuraxis.sqlite3'}")
}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # Readers and the worker's writer side by side: write-ahead log, take the write lock at
    # BEGIN, wait up to 20 s for it.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": (
            "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;PRAGMA foreign_keys=ON;"
        ),
    }
else:
    DATABASES["default"]["CONN_MAX_AGE"] = 60
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True

# --- Background work: the database row is the truth, the broker a doorbell (docs/adr/0003) ----
BROKER_URL: str = env.str("BROKER_URL", default="filesystem://")
CELERY_BROKER_URL = BROKER_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_TIME_LIMIT = 25 * 60  # below RabbitMQ's consumer timeout of 30 minutes
CELERY_TASK_SOFT_TIME_LIMIT = 20 * 60
# The sweep that finds a silent worker must not wait behind what that worker measures.
CELERY_TASK_ROUTES = {
    "volumetry.tasks.runs_sweep": {"queue": "default"},
    "volumetry.tasks.*": {"queue": "volumetry"},
}
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_PUBLISH_RETRY = False
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, object] = {}
if BROKER_URL.startswith("filesystem"):
    _broker_dir = VAR_DIR / "broker"
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(_broker_dir / "messages"),
        "data_folder_out": str(_broker_dir / "messages"),
        "control_folder": str(_broker_dir / "control"),
        "store_processed": False,
        "polling_interval": 0.1,
    }
elif BROKER_URL.startswith("redis"):
    # Longer than the longest task, or Redis hands the same message out twice.
    CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 60 * 60}
RUN_HEARTBEAT_SECONDS: float = env.float("RUN_HEARTBEAT_SECONDS", default=15.0)
RUN_STALE_SECONDS: float = env.float("RUN_STALE_SECONDS", default=90.0)
RUN_RESEND_SECONDS: float = env.float("RUN_RESEND_SECONDS", default=120.0)
RUN_MAX_ATTEMPTS = 3
# How many runs of a clinic that is measured once more wait in the worker's queue at a time.
RUN_BACKGROUND_AT_ONCE: int = env.int("RUN_BACKGROUND_AT_ONCE", default=20)
# A table of published cord areas (docs/cohort.md); empty: none.
COHORT_REFERENCE: str = env.str("COHORT_REFERENCE", default="")
SWEEP_SECONDS: float = env.float("SWEEP_SECONDS", default=60.0)

# --- Files ----------------------------------------------------------------------------------
MEDIA_ROOT = Path(env.str("MEDIA_ROOT", default=str(VAR_DIR / "media")))
SCRATCH_ROOT = Path(env.str("SCRATCH_ROOT", default=str(VAR_DIR / "scratch")))
FILE_UPLOAD_TEMP_DIR = str(SCRATCH_ROOT)
FILE_UPLOAD_PERMISSIONS = 0o600
FILE_UPLOAD_HANDLERS = ["monitoring.receiving.FolderUploadHandler"]
DATA_UPLOAD_MAX_NUMBER_FILES = 6000
UPLOAD_DRAFT_HOURS = 12
# What a clinic may have on its way in, unconfirmed, before it must decide (docs/adr/0009).
UPLOAD_OPEN_BYTES: int = env.int("UPLOAD_OPEN_BYTES", default=16 * 1024**3)
STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "monitoring.assets.WheelAssetFinder",
]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
WHITENOISE_KEEP_ONLY_HASHED_FILES = True
if DEBUG or DEMO_MODE:
    # No collectstatic before the first page of a demo: files are served where they lie.
    STORAGES["staticfiles"] = {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
    }
    WHITENOISE_USE_FINDERS = True

# --- People ---------------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*", "password2*"]
ACCOUNT_ADAPTER = "monitoring.accounts.ClosedAccountAdapter"
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_SESSION_REMEMBER = False
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = "Neuraxis"
USERSESSIONS_TRACK_ACTIVITY = True
AXES_FAILURE_LIMIT = 8
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_ENABLE_ACCESS_FAILURE_LOG = True
SESSION_COOKIE_AGE = 30 * 60
SESSION_TOUCH_SECONDS = 60  # how often the use of a session is written
SESSION_ABSOLUTE_SECONDS = 12 * 60 * 60
SESSION_EXPIRE_AT_BROWSER_CLOSE = True

# --- Transport ------------------------------------------------------------------------------
# Only a demo or a debug run on the own machine may speak plain HTTP.
_tls: bool = env.bool("NEURAXIS_TLS", default=not (DEMO_MODE or DEBUG))
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = _tls
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_HSTS_SECONDS = 31_536_000 if _tls else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _tls
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if env.bool("BEHIND_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# plotly sets inline styles on the elements it draws; scripts stay strict.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

# --- API ------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "monitoring.api.authentication.ClinicTokenAuthentication"
    ],
    "DEFAULT_PERMISSION_CLASSES": ["monitoring.api.permissions.HasGrant"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.ScopedRateThrottle"],
    "DEFAULT_THROTTLE_RATES": {"pull": "600/min", "upload": "60/min"},
    "DEFAULT_VERSIONING_CLASS": None,
    "EXCEPTION_HANDLER": "monitoring.api.problems.problem_response",
    "UNAUTHENTICATED_USER": None,
}
INTENDED_USE = (
    "Research use only. Not a medical device. Not for diagnosis or treatment decisions."
)
SPECTACULAR_SETTINGS = {
    "TITLE": "Neuraxis",
    "VERSION": VERSION,
    "DESCRIPTION": "Repeated brain and spinal cord volumes with the clinical course. "
    + INTENDED_USE,
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "EXTENSIONS_INFO": {"x-intended-use": INTENDED_USE},
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "ENUM_NAME_OVERRIDES": {"LevelEnum": "monitoring.models.findings.Level"},
}

# --- Words ----------------------------------------------------------------------------------
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
# ISO 8601 on every page, before the formats that Django ships for the language.
FORMAT_MODULE_PATH = ["monitoring.formats"]

# --- Logs: JSON lines in UTC, never a name, a file name or a header of an image ---------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": structlog.stdlib.ProcessorFormatter,
            "processor": structlog.processors.JSONRenderer(),
            "foreign_pre_chain": [
                structlog.stdlib.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
        },
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {"django.server": {"level": "WARNING"}, "axes": {"level": "WARNING"}},
}
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.filter_by_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.add_log_level,
        structlog.processors.format_exc_info,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False
DJANGO_STRUCTLOG_USER_ID_FIELD = "pk"
