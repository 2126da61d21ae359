"""Keep with a cohort analysis what it was computed from."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("monitoring", "0012_worklist_filters")]

    operations = [
        migrations.AddField(
            model_name="cohortanalysis",
            name="inputs",
            field=models.BinaryField(
                default=bytes,
                help_text="What it was computed from: JSON, zlib, pseudonymous",
            ),
        ),
    ]
