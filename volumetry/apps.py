"""Django application: images and methods, never people."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class VolumetryConfig(AppConfig):
    """Pixels to millimetres."""

    name = "volumetry"
    verbose_name = "Volumetry"

    def ready(self) -> None:
        """Have the database keep what was recorded."""
        # Models are not loaded before this.
        from volumetry.append_only import updates_forbid  # noqa: PLC0415

        post_migrate.connect(
            updates_forbid, sender=self, dispatch_uid="volumetry.updates_forbid"
        )
