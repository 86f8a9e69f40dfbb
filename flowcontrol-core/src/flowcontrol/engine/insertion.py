"""Starting a flow that this process has started before: one ready-made statement that looks and inserts.

It inserts a run only if the flow is still active and still published as it is known here; otherwise nothing happens,
and whoever starts has to look. The ORM would need two statements, and longer to make the second than the database to
execute it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from django.db import connections

from ..models import Flow, FlowRun
from ..models.database import DatabaseNow
from ..models.reading import Reader

__all__ = ["can_insert", "insert_if_published"]

#: Where ``INSERT … SELECT`` locks nothing that it reads. MariaDB and MySQL lock gaps, and deadlock with other writers.
_VENDORS = frozenset({"postgresql", "sqlite"})

_FIELDS = {field.attname: field for field in FlowRun._meta.concrete_fields if not field.primary_key}
_DEFAULTS: Mapping[str, Any] = {name: field.get_default() for name, field in _FIELDS.items()}
_GIVEN = ("flow_id", "version_id", "object_model", "object_id", "state_json")
_DATED = ("created_at", "due_at", "admitted_at")
_inserted = Reader(FlowRun, "id", "created_at")


def can_insert(alias: str) -> bool:
    """Whether the database with this alias can do it."""
    return connections[alias].vendor in _VENDORS


def insert_if_published(alias: str, flow: Flow, model: str, key: str, state_json: str) -> FlowRun | None:
    """A run of the flow's version, due at once; None, and nothing inserted, unless the row is as ``flow`` says."""
    connection = connections[alias]
    given = dict(zip(_GIVEN, (flow.pk, flow.published_id, model, key, state_json), strict=True))
    sql, constants = _insert(alias)
    values = [_FIELDS[name].get_db_prep_save(value, connection) for name, value in given.items()]
    with connection.cursor() as cursor:
        cursor.execute(sql, [*values, *constants, flow.pk, values[1], flow.slug])
        row = cursor.fetchone()
    if row is None:
        return None
    run = _inserted.instance(row, alias)
    vars(run).update(_DEFAULTS, **given, **dict.fromkeys(_DATED, run.created_at))
    return run


@cache
def _insert(alias: str) -> tuple[str, list[Any]]:
    """The statement, and the parameters between those of ``_GIVEN`` and of the condition: what every new run has."""
    connection = connections[alias]
    compiler = FlowRun.objects.using(alias).query.get_compiler(alias)
    now, _ = compiler.compile(DatabaseNow())
    others = [name for name in _FIELDS if name not in _GIVEN and name not in _DATED]
    columns = ", ".join(str(_FIELDS[name].column) for name in (*_GIVEN, *others, *_DATED))
    marks = ", ".join(["%s"] * (len(_GIVEN) + len(others)) + [now] * len(_DATED))
    sql = (
        f"INSERT INTO {FlowRun._meta.db_table} ({columns}) SELECT {marks} FROM {Flow._meta.db_table} AS flow "  # noqa: S608  our own names
        f"WHERE flow.id = %s AND flow.published_id = %s AND flow.slug = %s AND flow.is_active "
        f"RETURNING {_inserted.columns}"
    )
    return sql, [_FIELDS[name].get_db_prep_save(_DEFAULTS[name], connection) for name in others]
