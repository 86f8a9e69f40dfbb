"""Writing what runs came to, as the holder of their leases: one ready-made statement for one run or for many.

A checkpoint sets columns of a run, guarded by the lease's token, and adds the history since the last one. Its SQL is
ours, because it is the hottest of all: the ORM takes longer to make such an UPDATE than the database to execute it.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db import Error, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from ..exceptions import LeaseLost
from ..models import FlowRun, HistoryChunk
from . import faults, transitions
from .claims import database

__all__ = ["Checkpoint", "settle", "settle_all"]

logger = logging.getLogger("flowcontrol.engine")

_RUNS = FlowRun._meta.db_table
_HISTORY = HistoryChunk._meta.db_table
_FIELDS = {field.attname: field for field in FlowRun._meta.concrete_fields}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is to be written of one run."""

    run: FlowRun
    token: str
    #: Values by column, plain: every date is known.
    values: Mapping[str, Any]
    #: Text of a ``HistoryChunk``; empty for none.
    history: str = ""
    #: Whether a pause that somebody asked for takes the place of what it says.
    heeds_pause: bool = False
    #: What has to be in the same transaction.
    within: Callable[[], None] | None = None
    #: What is done once it is written; inside somebody's transaction, that is before the commit.
    after: Callable[[], None] | None = None

    @property
    def is_last(self) -> bool:
        """Whether the lease is given up with it."""
        return "token" in self.values

    def paused(self) -> Checkpoint:
        """The same, but set aside."""
        return replace(self, values={**self.values, **transitions.paused()}, heeds_pause=False, after=None)

    def is_done(self) -> None:
        # Plain columns, none of them a relation: no descriptor has to hear of it.
        vars(self.run).update(self.values)
        if self.after is not None:
            self.after()


def settle(checkpoint: Checkpoint) -> bool:
    """Write one checkpoint; false when the run was paused instead. Raises ``LeaseLost``, having written nothing."""
    if _written(checkpoint):
        checkpoint.is_done()
        return True
    if checkpoint.heeds_pause:
        # Either the lease is lost, or somebody asked for a pause.
        instead = checkpoint.paused()
        if _written(instead):
            instead.is_done()
            return False
    raise LeaseLost(f"Run {checkpoint.run.pk} is no longer held under the token {checkpoint.token}.")


def settle_all(checkpoints: Sequence[Checkpoint]) -> list[bool | Exception]:
    """Write many, in as few statements as the database allows; what ``settle`` does of each, or raises."""
    written: set[int] = set()
    together = [each for each in checkpoints if each.within is None]
    if len(together) > 1:
        try:
            written = _written_together(together)
        except Error:
            # One of them is at fault, or a deadlock: each for itself, so that one bad run stops no other.
            logger.warning("checkpoints not written together count=%s", len(together), exc_info=True)
    return [_settled(each, each.run.pk in written) for each in checkpoints]


def _settled(checkpoint: Checkpoint, is_written: bool) -> bool | Exception:
    try:
        if is_written:
            checkpoint.is_done()
            return True
        return settle(checkpoint)
    except Exception as error:  # noqa: BLE001  thrown into the stretch
        return error


def _written(checkpoint: Checkpoint) -> bool:
    """Whether the guarded UPDATE found the run; the history is written with it."""
    connection = connections[database()]
    columns = tuple(checkpoint.values)
    faults.reach("checkpoint.before")
    parameters = [*_prepared(checkpoint.values, connection), checkpoint.run.pk, checkpoint.token]
    if connection.vendor == "postgresql" and checkpoint.history and checkpoint.within is None:
        sql = _update_with_history(columns, checkpoint.heeds_pause)
        is_written = _execute(connection, sql, [*parameters, checkpoint.history])
    else:
        is_single = not checkpoint.history and checkpoint.within is None
        with nullcontext() if is_single else transaction.atomic(using=connection.alias):
            is_written = _execute(connection, _update(columns, checkpoint.heeds_pause), parameters)
            if is_written and checkpoint.history:
                _execute(connection, _INSERT, [checkpoint.run.pk, checkpoint.history])
            if is_written and checkpoint.within is not None:
                checkpoint.within()
            if connection.in_atomic_block:
                faults.reach("commit.before")
    faults.reach("checkpoint.after")
    return is_written


def _written_together(checkpoints: Sequence[Checkpoint]) -> set[int]:
    """Ids of the runs that were found, all in one transaction."""
    connection = connections[database()]
    faults.reach("checkpoint.before")
    with transaction.atomic(using=connection.alias):
        if connection.vendor == "postgresql":
            written = _written_in_one(checkpoints, connection)
        else:
            written = {each.run.pk for each in checkpoints if _written_plainly(each, connection)}
            _insert_history([each for each in checkpoints if each.run.pk in written], connection)
        faults.reach("commit.before")
    faults.reach("checkpoint.after")
    return written


def _written_plainly(checkpoint: Checkpoint, connection: BaseDatabaseWrapper) -> bool:
    sql = _update(tuple(checkpoint.values), checkpoint.heeds_pause)
    parameters = [*_prepared(checkpoint.values, connection), checkpoint.run.pk, checkpoint.token]
    return _execute(connection, sql, parameters)


def _written_in_one(checkpoints: Sequence[Checkpoint], connection: BaseDatabaseWrapper) -> set[int]:
    """On PostgreSQL: one statement for all that set the same columns, which are nearly always all."""
    written: set[int] = set()
    for columns, group in _alike(checkpoints).items():
        shared, own = _shared(columns, group)
        rows = [
            [
                each.run.pk,
                each.token,
                each.heeds_pause,
                each.history or None,
                *(_as_json(each.values[name]) for name in own),
            ]
            for each in group
        ]
        sql = _update_many(tuple(shared), own)
        with connection.cursor() as cursor:
            cursor.execute(sql, [_dump(rows), *shared.values()])
            written.update(pk for (pk,) in cursor.fetchall())
    return written


def _alike(checkpoints: Sequence[Checkpoint]) -> dict[tuple[str, ...], list[Checkpoint]]:
    """By the columns that they set."""
    alike: defaultdict[tuple[str, ...], list[Checkpoint]] = defaultdict(list)
    for each in checkpoints:
        alike[tuple(each.values)].append(each)
    return alike


def _shared(columns: tuple[str, ...], group: Sequence[Checkpoint]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What is the same for all of them, which is told once; and the names of the other columns."""
    first = group[0].values
    own = tuple(name for name in columns if any(each.values[name] != first[name] for each in group))
    return {name: first[name] for name in columns if name not in own}, own


#: Rows as JSON, which both ends read and write in C: the driver's own arrays took as long as executing the runs.
_dump = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def _as_json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _insert_history(checkpoints: Iterable[Checkpoint], connection: BaseDatabaseWrapper) -> None:
    rows = [(each.run.pk, each.history) for each in checkpoints if each.history]
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(_INSERT, rows)


def _prepared(values: Mapping[str, Any], connection: BaseDatabaseWrapper) -> list[Any]:
    """The values as the database's driver wants them."""
    if connection.vendor == "postgresql":
        return list(values.values())
    return [_FIELDS[name].get_db_prep_save(value, connection) for name, value in values.items()]


def _execute(connection: BaseDatabaseWrapper, sql: str, parameters: Sequence[Any]) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return bool(cursor.rowcount)


# Names are our own tables' and columns', in lower case, which no database wants quoted.

_INSERT = f"INSERT INTO {_HISTORY} (run_id, packed) VALUES (%s, %s)"  # noqa: S608  constants


@lru_cache(maxsize=256)
def _update(columns: tuple[str, ...], heeds_pause: bool) -> str:
    sets = ", ".join(f"{column} = %s" for column in columns)
    pause = " AND NOT is_pause_requested" if heeds_pause else ""
    return f"UPDATE {_RUNS} SET {sets} WHERE id = %s AND token = %s{pause}"  # noqa: S608  constants


@lru_cache(maxsize=256)
def _update_with_history(columns: tuple[str, ...], heeds_pause: bool) -> str:
    return (
        f"WITH held AS ({_update(columns, heeds_pause)} RETURNING id) "  # noqa: S608  constants
        f"INSERT INTO {_HISTORY} (run_id, packed) SELECT id, %s FROM held"
    )


@lru_cache(maxsize=256)
def _update_many(shared: tuple[str, ...], own: tuple[str, ...]) -> str:
    """One parameter for all rows, as JSON, so that the statement is the same for any number of runs."""
    connection = connections[database()]
    types = [
        "bigint",
        "text",
        "boolean",
        "text",
        *(_FIELDS[column].rel_db_type(connection) for column in own),
    ]
    names = ["held_id", "held_token", "heeds", "packed", *own]
    read = ", ".join(
        f"(r.value ->> {number})::{type_} AS {name}"
        for number, (name, type_) in enumerate(zip(names, types, strict=True))
    )
    sets = ", ".join([*(f"{name} = %s" for name in shared), *(f"{name} = v.{name}" for name in own)])
    # Not `json`, whose every `->>` reads the whole row again.
    return (
        f"WITH v AS MATERIALIZED (SELECT {read} FROM jsonb_array_elements(%s::jsonb) AS r), "  # noqa: S608  constants
        f"held AS (UPDATE {_RUNS} AS run SET {sets} FROM v "
        "WHERE run.id = v.held_id AND run.token = v.held_token AND NOT (v.heeds AND run.is_pause_requested) "
        "RETURNING run.id), "
        f"told AS (INSERT INTO {_HISTORY} (run_id, packed) "
        "SELECT v.held_id, v.packed FROM v JOIN held ON held.id = v.held_id WHERE v.packed IS NOT NULL) "
        "SELECT id FROM held"
    )
