"""Many rows of a Django table at once, each like one that is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import connection, transaction
from django.db.models import Model


def copies(model: type[Model], pk: int, count: int, instead: Mapping[str, Any] | None = None) -> None:
    """Insert ``count`` copies of a row, with other values ``instead`` in some columns."""
    others = dict(instead or {})
    if count < 1:
        return
    fields = [field for field in model._meta.concrete_fields if not field.primary_key]
    columns = [str(field.column) for field in fields]
    values = [others[column] for column in columns if column in others]
    table = model._meta.db_table
    types = {field.column: field.rel_db_type(connection) for field in fields}
    # SQLite would make a number of a date.
    given = "%s" if connection.vendor == "sqlite" else "CAST(%s AS {type})"
    chosen = [given.format(type=types[column]) if column in others else f"t.{column}" for column in columns]
    with connection.cursor() as cursor, transaction.atomic():
        if _may_skip_checks():
            # They are copies: what they refer to is there, and asking for each would take most of the time.
            cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {int(count)}) "  # noqa: S608  our own names
            f"INSERT INTO {table} ({', '.join(columns)}) "
            f"SELECT {', '.join(chosen)} FROM n CROSS JOIN {table} AS t WHERE t.id = %s",
            [*values, pk],
        )


def _may_skip_checks() -> bool:
    if connection.vendor != "postgresql":
        return False
    with connection.cursor() as cursor:
        cursor.execute("SELECT usesuper FROM pg_user WHERE usename = CURRENT_USER")
        return bool(cursor.fetchone()[0])


def emptied(*models: type[Model]) -> None:
    """Delete every row of these tables, and of those that refer to them."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            tables = ", ".join(model._meta.db_table for model in models)
            cursor.execute(f"TRUNCATE {tables} CASCADE")
        else:
            for model in models:
                cursor.execute(f"DELETE FROM {model._meta.db_table}")  # noqa: S608  a table of ours


def settled() -> None:
    """What autovacuum would have done by now."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")
