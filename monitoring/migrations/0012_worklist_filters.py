"""Indexes for the filters of the worklist, and on PostgreSQL for a part of a code.

The search looks for a part of the code, which only trigrams can index. The extension belongs to
PostgreSQL and may be created by the owner of a database; where it is not installed or not
allowed, the search still works and reads the clinic's codes one by one.
"""

from django.db import DatabaseError, migrations, models, transaction

SEARCH_INDEX = """
    CREATE INDEX IF NOT EXISTS worklist_search
    ON monitoring_patient USING gin (UPPER(pseudonym::text) gin_trgm_ops)
"""


def search_index_create(apps, schema_editor):
    """Index parts of codes where the database can."""
    connection = schema_editor.connection
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'pg_trgm'")
        if cursor.fetchone() is None:
            return
        try:
            with transaction.atomic(using=connection.alias):
                cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
                cursor.execute(SEARCH_INDEX)
        except DatabaseError:
            return  # not allowed here: the search reads the codes one by one


def search_index_drop(apps, schema_editor):
    """Take the index away; the extension may serve others."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX IF EXISTS worklist_search")


class Migration(migrations.Migration):

    dependencies = [
        ('monitoring', '0011_deliveries'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='patient',
            index=models.Index(models.F('clinic'), models.F('attention'), models.OrderBy(models.F('attention_score'), descending=True), models.F('last_scan_on'), models.F('pseudonym'), condition=models.Q(('scans_waiting__gt', 0)), name='worklist_waiting'),
        ),
        migrations.AddIndex(
            model_name='patient',
            index=models.Index(models.F('clinic'), models.F('attention'), models.OrderBy(models.F('attention_score'), descending=True), models.F('last_scan_on'), models.F('pseudonym'), condition=models.Q(('runs_failed__gt', 0)), name='worklist_failed'),
        ),
        migrations.AddIndex(
            model_name='patient',
            index=models.Index(models.F('clinic'), models.F('attention'), models.OrderBy(models.F('attention_score'), descending=True), models.F('last_scan_on'), models.F('pseudonym'), condition=models.Q(('attention__lt', 80), ('level__in', ['insufficient', 'uncomputed'])), name='worklist_unassessed'),
        ),
        migrations.AddIndex(
            model_name='patient',
            index=models.Index(fields=['clinic', 'last_scan_on'], name='worklist_overdue'),
        ),
        migrations.AddIndex(
            model_name='patient',
            index=models.Index(models.F('clinic'), models.OrderBy(models.F('runs_failed'), descending=True), models.F('last_scan_on'), models.F('pseudonym'), name='worklist_upload_order'),
        ),
        migrations.RunPython(search_index_create, search_index_drop),
    ]
