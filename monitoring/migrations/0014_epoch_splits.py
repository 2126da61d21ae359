"""An epoch can begin within another one; the interval between scans is bounded."""

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('monitoring', '0013_cohort_inputs'),
    ]

    operations = [
        migrations.AddField(
            model_name='scannerepoch',
            name='split_from',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='parts', to='monitoring.scannerepoch'),
        ),
        migrations.AddField(
            model_name='scannerepoch',
            name='starts_on',
            field=models.DateField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name='clinic',
            name='scan_interval_months',
            field=models.PositiveSmallIntegerField(default=12, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(60)]),
        ),
        migrations.AddConstraint(
            model_name='clinic',
            constraint=models.CheckConstraint(condition=models.Q(('scan_interval_months__gte', 1), ('scan_interval_months__lte', 60)), name='scan_interval_is_one_month_to_five_years'),
        ),
        migrations.AddConstraint(
            model_name='scannerepoch',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('split_from__isnull', True), ('starts_on__isnull', True)), models.Q(('split_from__isnull', False), ('starts_on__isnull', False)), _connector='OR'), name='a_split_epoch_has_a_first_day'),
        ),
    ]
