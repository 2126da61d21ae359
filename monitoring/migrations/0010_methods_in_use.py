"""Clinics that have measured already follow the version that measured most of their scans."""

from django.db import migrations
from django.db.models import Count

SLOTS = {
    "brain": ("neuraxis-brain", True),
    "cord": ("neuraxis-cord", True),
    "brain_change": ("neuraxis-change", False),
    "cord_change": ("neuraxis-cord-change", False),
}


def methods_pin(apps, schema_editor):
    """Write one choice per clinic and kind of number, where anything was measured."""
    Run = apps.get_model("volumetry", "VolumetryRun")
    Choice = apps.get_model("monitoring", "MethodChoice")
    for clinic in apps.get_model("monitoring", "Clinic").objects.all():
        for slot, (method, is_single) in SLOTS.items():
            most = (
                Run.objects.filter(
                    image__scan__clinic=clinic,
                    method=method,
                    before__isnull=is_single,
                    status="succeeded",
                )
                .exclude(image__file="")
                .values("method_version")
                .annotate(count=Count("pk"))
                .order_by("-count", "-method_version")
                .first()
            )
            if most is not None:
                Choice(
                    clinic=clinic, slot=slot, method=method, version=most["method_version"]
                ).save()


class Migration(migrations.Migration):
    dependencies = [
        ("monitoring", "0009_method_choices"),
        ("volumetry", "0003_pairs_of_images"),
    ]

    operations = [migrations.RunPython(methods_pin, migrations.RunPython.noop)]
