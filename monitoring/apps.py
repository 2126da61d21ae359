"""Django application: the record. Binds Celery and connects the one receiver."""

from django.apps import AppConfig


class MonitoringConfig(AppConfig):
    """Who, when, what was found, what it may mean."""

    name = "monitoring"
    verbose_name = "Monitoring"

    def ready(self) -> None:
        """Bind the Celery app, the checks and the receivers."""
        # Here and not in __init__: importing monitoring.core must not load Celery or Django.
        from monitoring import celery, checks, receivers  # noqa: F401, PLC0415
        from monitoring.folders import folders_prepare  # noqa: PLC0415

        folders_prepare()
