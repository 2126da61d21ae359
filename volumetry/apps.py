"""Django application: images and methods, never people."""

from django.apps import AppConfig


class VolumetryConfig(AppConfig):
    """Pixels to millimetres."""

    name = "volumetry"
    verbose_name = "Volumetry"
