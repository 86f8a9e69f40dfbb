"""Taking due runs under a token, as each database can do it without two workers' getting the same one.

Whoever takes writes ``transitions.running``; the runs come back with the database's time of the claim as
``claimed_at``. With a run that was claimed before without a checkpoint, and so may have killed its worker, no others
are taken: its crashes count against nobody else.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from itertools import takewhile
from typing import Any, cast

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import RawSQL
from django.db.models.sql import UpdateQuery

from ..models import FlowRun
from ..models.database import DatabaseNow
from ..models.reading import Reader
from ..models.run import FlowRunQuerySet
from . import transitions
from .clock import Clock

__all__ = ["can_take_turns", "in_turns", "one_at_once", "take"]

_runs = Reader(FlowRun)
_TABLE = FlowRun._meta.db_table
#: Stand for the values in the statements that are made once.
_ANY_RUN, _ANY_TOKEN = -1, "any token"


def take(
    due: FlowRunQuerySet,
    limit: int,
    token: str,
    clock: Clock,
    lease: timedelta,
    run_ids: Sequence[int] | None = None,
) -> list[Any]:
    """Take up to ``limit`` of these due runs, in their order; ``run_ids`` are those among which they are, if known."""
    connection = connections[due.db]
    if connection.vendor == "postgresql":
        return _at_once(due, limit, token, clock, lease)
    if connection.features.has_select_for_update:
        return _locked(due, limit, token, clock, lease)
    ids = run_ids if run_ids is not None and len(run_ids) == 1 else _picked(due, limit)
    return _by_update(due, ids, token, clock, lease) if ids else []


# -- PostgreSQL: ready-made statements -------------------------------------------------------------------------
#
# Their commits do not wait for the disk: a claim that a crash of the database undoes leaves the run due, and the token
# keeps whoever held it from writing.


def one_at_once(
    run_id: int, token: str, clock: Clock, connection: BaseDatabaseWrapper, lease: timedelta
) -> list[Any]:
    """One run by its id, if it is due."""
    sql, parameters = _update(connection.alias, clock, lease, is_one=True)
    instead: dict[Any, Any] = {_ANY_RUN: run_id, _ANY_TOKEN: token}
    returning = f"{sql} RETURNING {_returned('', connection)}"
    return _taken(returning, [instead.get(each, each) for each in parameters], connection)


def _at_once(due: FlowRunQuerySet, limit: int, token: str, clock: Clock, lease: timedelta) -> list[Any]:
    """Look, lock and claim in one statement. Workers look at once; each gets others than those that one is taking."""
    looked, which = due.values("id", "due_at", "claim_count")[:limit].query.sql_with_params()
    return _picked_at_once(f"{looked} FOR UPDATE SKIP LOCKED", which, due.db, token, clock, lease)


def can_take_turns(alias: str) -> bool:
    """Whether ``in_turns`` can be used with the database of this alias."""
    return connections[alias].vendor == "postgresql"


def in_turns(
    due: FlowRunQuerySet,
    flow_ids: Sequence[int],
    share: int,
    limit: int,
    token: str,
    clock: Clock,
    lease: timedelta,
) -> list[Any]:
    """Up to ``share`` due runs of one flow after the other until there are ``limit``, all in one statement."""
    of_flow = due.filter(flow_id=RawSQL("turn.flow_id", []))
    looked, which = of_flow.values("id", "due_at", "claim_count")[:share].query.sql_with_params()
    picked = (
        "SELECT found.* FROM unnest(%s::bigint[]) AS turn(flow_id) "  # noqa: S608  the ORM's, and constants
        f"CROSS JOIN LATERAL ({looked} FOR UPDATE SKIP LOCKED) AS found LIMIT %s"
    )
    return _picked_at_once(picked, [list(flow_ids), *which, limit], due.db, token, clock, lease)


def _picked_at_once(
    picked: str, which: Sequence[Any], alias: str, token: str, clock: Clock, lease: timedelta
) -> list[Any]:
    connection = connections[alias]
    update, values = _update(alias, clock, lease, is_one=False)
    sql = (
        f"WITH picked AS MATERIALIZED ({picked}), "  # noqa: S608  the ORM's, and constants
        "placed AS (SELECT id, claim_count, row_number() OVER (ORDER BY due_at, id) AS place FROM picked), "
        "bound AS (SELECT CASE min(place) WHEN 1 THEN 1 ELSE min(place) - 1 END AS last "
        "FROM placed WHERE claim_count > 0), "
        "chosen AS (SELECT id, place FROM placed, bound WHERE place <= coalesce(last, place)) "
        f"{update} FROM chosen WHERE {_TABLE}.id = chosen.id RETURNING {_returned(_TABLE + '.', connection)}, place"
    )
    parameters = [*which, *(token if each == _ANY_TOKEN else each for each in values)]
    return _taken(sql, parameters, connection)


def _taken(sql: str, parameters: Sequence[Any], connection: BaseDatabaseWrapper) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows = cursor.fetchall()
    runs: list[Any] = []
    for row in sorted(rows, key=lambda row: row[-1]) if len(rows) > 1 else rows:
        run: Any = _runs.instance(row, connection.alias)
        run.claimed_at = row[len(_runs.fields)]
        runs.append(run)
    return runs


def _returned(table: str, connection: BaseDatabaseWrapper) -> str:
    columns = ", ".join(f"{table}{field.column}" for field in _runs.fields)
    # Inside somebody's transaction it would be that one's commit.
    unwaited = "" if connection.in_atomic_block else ", set_config('synchronous_commit', 'off', true)"
    return f"{columns}, STATEMENT_TIMESTAMP(){unwaited}"


def _update(alias: str, clock: Clock, lease: timedelta, *, is_one: bool) -> tuple[str, Sequence[Any]]:
    """An UPDATE of one run, or what begins an UPDATE of some; made once for the database's own clock."""
    if type(clock) is Clock:
        return _made_update(alias, lease, is_one)
    return _make_update(alias, clock, lease, is_one)


@cache
def _made_update(alias: str, lease: timedelta, is_one: bool) -> tuple[str, Sequence[Any]]:
    return _make_update(alias, Clock(), lease, is_one)


def _make_update(alias: str, clock: Clock, lease: timedelta, is_one: bool) -> tuple[str, Sequence[Any]]:
    runs = FlowRun.objects.using(alias)
    which = runs.filter(pk=_ANY_RUN, due_at__lte=clock.now()) if is_one else runs.all()
    update = cast("UpdateQuery", which.query.chain(UpdateQuery))
    update.add_update_values(transitions.running(_ANY_TOKEN, clock, lease))
    sql, parameters = update.get_compiler(alias).as_sql()
    return sql, parameters


# -- others ------------------------------------------------------------------------------------------------------


def _locked(due: FlowRunQuerySet, limit: int, token: str, clock: Clock, lease: timedelta) -> list[Any]:
    """With row locks: each worker gets others than those that one is taking, where the database can skip them."""
    features = connections[due.db].features
    with transaction.atomic(using=due.db):
        locked = due.select_for_update(skip_locked=features.has_select_for_update_skip_locked)
        runs = _together(list(_dated(locked)[:limit]))
        if runs:
            held = FlowRun.objects.using(due.db).filter(pk__in=[run.pk for run in runs])
            held.update(**transitions.running(token, clock, lease))
    for run in runs:
        run.claim_count += 1
    return runs


def _picked(due: FlowRunQuerySet, limit: int) -> list[int]:
    return [run.pk for run in _together(list(due.only("pk", "claim_count")[:limit]))]


def _by_update(
    due: FlowRunQuerySet, ids: Sequence[int], token: str, clock: Clock, lease: timedelta
) -> list[Any]:
    """Without: the UPDATE repeats the condition, so that of two workers one gets each run."""
    if not due.order_by().filter(pk__in=ids).update(**transitions.running(token, clock, lease)):
        return []
    held = FlowRun.objects.using(due.db).filter(pk__in=ids, token=token)
    return list(_dated(held.order_by("id")))


def _together(due: list[Any]) -> list[Any]:
    if due and due[0].claim_count:
        return due[:1]
    return list(takewhile(lambda run: not run.claim_count, due))


def _dated(runs: FlowRunQuerySet) -> FlowRunQuerySet:
    return runs.annotate(claimed_at=DatabaseNow())
