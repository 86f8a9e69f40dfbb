"""What the supported databases spell differently: the database's clock, and an index over some rows only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import OperationalError, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models.expressions import Expression

__all__ = [
    "DatabaseNow",
    "DocumentField",
    "PartialIndex",
    "PartialUnique",
    "is_deadlock",
    "moment_for",
    "now_of",
]

#: "Deadlock found" of MySQL and MariaDB, and PostgreSQL's deadlock_detected.
_MYSQL_DEADLOCK, _POSTGRESQL_DEADLOCK = 1213, "40P01"

#: The present time in SQL, by vendor, and how a given moment is written in its place.
_NOW = {
    "postgresql": "STATEMENT_TIMESTAMP()",
    "mysql": "UTC_TIMESTAMP(6)",
    # Milliseconds are all that SQLite has. Times are compared as text, and Django writes six digits: with three, a time
    # would be before its own self once Django has read it and asks for what happened since.
    "sqlite": "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f000', 'NOW')",
}
_MOMENT = {"postgresql": "'{}'::timestamptz", "mysql": "CAST('{}' AS DATETIME(6))", "sqlite": "'{}'"}


if TYPE_CHECKING:
    from django.db.models.sql.compiler import SQLCompiler

    # Generic in the stubs only.
    _DocumentText = models.TextField[dict[str, Any], dict[str, Any]]
else:
    _DocumentText = models.TextField


class DocumentField(_DocumentText):
    """JSON kept as text: exactly as it was, and as deep as it was.

    ``JSONField`` would lose the order of keys on PostgreSQL, and MariaDB refuses more than 31 levels, which is a
    flow of about ten steps inside one another.
    """

    def from_db_value(self, value: str | None, expression: Any, connection: BaseDatabaseWrapper) -> Any:
        return None if value is None else json.loads(value)

    def to_python(self, value: Any) -> Any:
        return json.loads(value) if isinstance(value, str) else value

    def get_prep_value(self, value: Any) -> str | None:
        return None if value is None else json.dumps(value, separators=(",", ":"))

    def value_to_string(self, obj: models.Model) -> str:
        return self.get_prep_value(self.value_from_object(obj)) or ""


class DatabaseNow(Expression):
    """The database's present time, in UTC. Leases are measured by it, so that no worker's clock matters.

    Django's own ``Now`` is the session's local time on MariaDB and MySQL, where Django sets no session time zone.
    """

    output_field = models.DateTimeField()

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Any:
        return now_of(connection), []


def now_of(connection: BaseDatabaseWrapper) -> str:
    """What ``DatabaseNow`` is in a statement for this database."""
    return _NOW[connection.vendor]


def moment_for(connection: BaseDatabaseWrapper, moment: datetime) -> str:
    """A given moment, to stand in a statement where ``now_of`` stood."""
    return _MOMENT[connection.vendor].format(connection.ops.adapt_datetimefield_value(moment))


def is_deadlock(error: BaseException) -> bool:
    """Whether the database ended a transaction because it and another one waited for each other.

    Whoever repeats it will succeed. On MySQL and MariaDB all of the transaction is undone, whatever its savepoints.
    """
    cause = error.__cause__
    code = error.args[0] if error.args else None
    return isinstance(error, OperationalError) and (
        code == _MYSQL_DEADLOCK or getattr(cause, "sqlstate", None) == _POSTGRESQL_DEADLOCK
    )


class PartialIndex(models.Index):
    """An index over the rows for which ``only`` holds; over all rows where the database has no partial indexes.

    ``Index(condition=…)`` would be left out altogether on MariaDB and MySQL, and the claim of due runs with it.
    """

    def __init__(self, *expressions: Any, only: models.Q, **kwargs: Any) -> None:
        super().__init__(*expressions, **kwargs)
        self.only = only

    def create_sql(
        self,
        model: type[models.Model],
        schema_editor: BaseDatabaseSchemaEditor,
        using: str = "",
        **kwargs: Any,
    ) -> Any:
        if not schema_editor.connection.features.supports_partial_indexes:
            return super().create_sql(model, schema_editor, using=using, **kwargs)
        index = models.Index(fields=self.fields, name=self.name, condition=self.only)
        return index.create_sql(model, schema_editor, using=using, **kwargs)

    def deconstruct(self) -> Any:
        path, arguments, kwargs = super().deconstruct()
        return path, arguments, {**kwargs, "only": self.only}


class PartialUnique(models.UniqueConstraint):
    """A unique constraint over the rows for which ``only`` holds; over all rows where there are no partial indexes.

    For columns that are null where it does not hold, which makes no two rows alike anywhere: leaving these rows out
    spares an entry in the index for each of them, and one more each time that such a row is written.
    """

    def __init__(self, *, fields: Sequence[str], name: str, only: models.Q) -> None:
        super().__init__(fields=fields, name=name)
        self.only = only

    def _as_known_here(self, schema_editor: BaseDatabaseSchemaEditor) -> models.UniqueConstraint:
        is_partial = schema_editor.connection.features.supports_partial_indexes
        return models.UniqueConstraint(
            fields=self.fields, name=self.name, condition=self.only if is_partial else None
        )

    def constraint_sql(self, model: Any, schema_editor: Any) -> Any:
        return self._as_known_here(schema_editor).constraint_sql(model, schema_editor)

    def create_sql(self, model: Any, schema_editor: Any) -> Any:
        return self._as_known_here(schema_editor).create_sql(model, schema_editor)

    def remove_sql(self, model: Any, schema_editor: Any) -> Any:
        return self._as_known_here(schema_editor).remove_sql(model, schema_editor)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PartialUnique) and super().__eq__(other) and self.only == other.only

    __hash__ = None  # type: ignore[assignment]  # as Django's constraints

    def deconstruct(self) -> Any:
        path, arguments, kwargs = super().deconstruct()
        return path, arguments, {**kwargs, "only": self.only}
