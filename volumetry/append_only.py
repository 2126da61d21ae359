"""What was recorded stays, also for whoever goes past the models: the database refuses.

The triggers are made after every ``migrate``, from the models as they are: a new append-only
model has its own at once, and a table that SQLite rebuilt gets its back. Deletion is left to
the models, for the erasure of a person and for tests. A migration that has to correct recorded
rows drops the trigger first and says why.
"""

from typing import Any

from django.apps import apps
from django.db import NotSupportedError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from volumetry.models import AppendOnlyModel

REFUSE = """
CREATE OR REPLACE FUNCTION append_only_refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'check_violation';
END $$
"""
POSTGRES = """
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE ON {table}
FOR EACH ROW EXECUTE FUNCTION append_only_refuse()
"""
SQLITE = """
CREATE TRIGGER IF NOT EXISTS {name} BEFORE UPDATE ON {table}
BEGIN SELECT RAISE(ABORT, '{words}'); END
"""


def updates_forbid(*, using: str, **_signal: Any) -> None:
    """Let the database refuse to change the rows of every append-only model."""
    connection = connections[using]
    with connection.cursor() as cursor:
        there = set(connection.introspection.table_names(cursor))
        if connection.vendor == "postgresql":
            cursor.execute(REFUSE)
        for model in apps.get_models():
            table = model._meta.db_table  # noqa: SLF001 - documented by Django
            if issubclass(model, AppendOnlyModel) and table in there:
                cursor.execute(_trigger(connection, table))


def _trigger(connection: BaseDatabaseWrapper, table: str) -> str:
    """Return the statement that makes a table append-only; names are quoted, not input."""
    quoted = connection.ops.quote_name
    match connection.vendor:
        case "postgresql":
            return POSTGRES.format(table=quoted(table))
        case "sqlite":
            name = quoted(f"{table}_append_only")
            return SQLITE.format(
                name=name, table=quoted(table), words=f"{table} is append-only"
            )
        case other:
            raise NotSupportedError(f"No append-only trigger is known for {other}.")
