"""A change of level can be dismissed, with the reason that acknowledging asks for too."""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('monitoring', '0014_epoch_splits'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='flag',
            name='is_dismissed',
            field=models.BooleanField(default=False, help_text='Seen and not believed, for the reason given'),
        ),
        migrations.AddConstraint(
            model_name='flag',
            constraint=models.CheckConstraint(condition=models.Q(('is_dismissed', False), ('acknowledged_at__isnull', False), _connector='OR'), name='a_dismissal_is_an_acknowledgement'),
        ),
    ]
