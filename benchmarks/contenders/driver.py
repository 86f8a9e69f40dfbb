"""The limit: the rows that flowcontrol writes, written by the plain driver and nothing else.

Into flowcontrol's own tables, with their indexes; with the values of a run that flowcontrol executed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import flowcontrol_
from django.db import connection
from flowcontrol.engine import execute_run
from flowcontrol.models import FlowRun, HistoryChunk
from protocol import Figures, measured, serve
from rows import copies, settled

RUNS, HISTORY = FlowRun._meta.db_table, HistoryChunk._meta.db_table
#: Columns of a run that has ended, and the history of its last stretch; of one with checkpoints, a text for each.
Ended = tuple[dict[str, Any], list[str]]
TOKEN = "0" * 32
FUTURE = datetime(2999, 1, 1, tzinfo=UTC)
BATCH = 100

#: What a last checkpoint sets.
ENDED = [
    *("state_json", "cursor_json", "step", "visit_count", "started_at", "status", "reason"),
    *("traceback", "due_at", "ended_at", "is_pause_requested", "token", "claim_count", "wait_until"),
    *("wait_event", "wait_match_object"),
]
#: What one on the way sets.
CONTINUED = [
    *("state_json", "cursor_json", "step", "visit_count", "started_at", "status", "reason"),
    *("due_at", "claim_count", "wait_until", "wait_event", "wait_match_object"),
]


class Driver(flowcontrol_.Flowcontrol):
    def begin(self) -> None:
        super().begin()
        # Its own go past Django, which would count none.
        self.statements = None
        pending, self.ended = _example("pure-full")
        self.columns = [name for name in pending if name != "id"]
        self.pending = [pending[name] for name in self.columns]
        self.ended_external = _example("external")[1]
        self.ended_delayed = _example("delayed", is_waiting=True)[1]
        flowcontrol_._empty()
        connection.ensure_connection()
        #: The driver's own connection, in autocommit.
        self.raw: Any = connection.connection
        self.is_postgresql = connection.vendor == "postgresql"
        if self.is_postgresql:
            self.raw.prepare_threshold = 5

    def one_by_one(self, size: int, slug: str = "") -> Figures:
        """An INSERT and an UPDATE with the history for each run, each with a commit."""
        flowcontrol_._empty()
        return measured(lambda: self._runs(size, 1), size)

    def checkpoints(self, size: int) -> Figures:
        """An INSERT, and a commit for each of ten steps."""
        flowcontrol_._empty()
        return measured(lambda: self._runs(size, 10), size)

    def batches(self, size: int, history: bool = True) -> Figures:
        """A claim and an UPDATE for each batch, with an INSERT of the history; two commits."""
        flowcontrol_._empty()
        copies(FlowRun, self._insert(), size - 1)
        settled()
        ended = self.ended if history else (self.ended[0], [])
        figures = measured(lambda: self._all_batches("pending", ended), size)
        flowcontrol_._all_completed(size)
        return figures

    def _drained(self) -> None:
        """The same of runs that waited."""
        self._all_batches("waiting", self.ended_delayed)

    def _insert(self) -> int:
        marks = ", ".join(["%s"] * len(self.columns))
        sql = f"INSERT INTO {RUNS} ({', '.join(self.columns)}) VALUES ({marks}) RETURNING id"  # noqa: S608  our own names
        return int(self._do(sql, self.pending).fetchone()[0])

    def _runs(self, size: int, count: int) -> None:
        for _ in range(size):
            self._checkpoints(count)

    def _checkpoints(self, count: int) -> None:
        pk = self._insert()
        values, histories = self.ended if count == 1 else self.ended_external
        for number in range(1, count):
            self._update(pk, CONTINUED, values, histories[number - 1])
        self._update(pk, ENDED, values, histories[-1])

    def _update(self, pk: int, columns: list[str], values: dict[str, Any], history: str) -> None:
        sets = ", ".join(f"{name} = %s" for name in columns)
        update = f"UPDATE {RUNS} SET {sets} WHERE id = %s AND token = %s"  # noqa: S608  our own names
        given = [*(values[name] for name in columns), pk, ""]
        if self.is_postgresql:
            insert = f"INSERT INTO {HISTORY} (run_id, packed) SELECT id, %s FROM held"  # noqa: S608  our own names
            self._do(f"WITH held AS ({update} RETURNING id) {insert}", [*given, history])
            return
        self._do("BEGIN IMMEDIATE")
        self._do(update, given)
        self._do(f"INSERT INTO {HISTORY} (run_id, packed) VALUES (%s, %s)", [pk, history])  # noqa: S608  our own names
        self._do("COMMIT")

    def _all_batches(self, status: str, ended: Ended) -> None:
        while pks := self._claimed(status):
            self._do("BEGIN" if self.is_postgresql else "BEGIN IMMEDIATE")
            (self._ended_at_once if self.is_postgresql else self._ended_each)(pks, *ended)
            self._do("COMMIT")

    def _claimed(self, status: str) -> list[int]:
        """A batch of due runs, claimed as a worker has to."""
        now = "STATEMENT_TIMESTAMP()" if self.is_postgresql else f"'{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}'"
        lock = "FOR UPDATE SKIP LOCKED" if self.is_postgresql else ""
        self._do("BEGIN" if self.is_postgresql else "BEGIN IMMEDIATE")
        due = f"due_at <= {now} AND status = '{status}' ORDER BY due_at, id LIMIT {BATCH}"
        sql = f"SELECT * FROM {RUNS} WHERE {due} {lock}"  # noqa: S608  our own names
        pks = [row[0] for row in self._do(sql).fetchall()]
        if pks:
            marks = ", ".join(["%s"] * len(pks))
            lease = f"{now} + interval '1 minute'" if self.is_postgresql else "'2999-01-02'"
            self._do(
                f"UPDATE {RUNS} SET status = 'running', token = %s, due_at = {lease}, claim_count = 1 "  # noqa: S608  our own names
                f"WHERE id IN ({marks})",
                [TOKEN, *pks],
            )
        self._do("COMMIT")
        return pks

    def _ended_at_once(self, pks: list[int], values: dict[str, Any], histories: list[str]) -> None:
        types = {field.column: field.rel_db_type(connection) for field in FlowRun._meta.concrete_fields}
        arrays = ", ".join(f"%s::{types[name]}[]" for name in ENDED)
        sets = ", ".join(f"{name} = v.{name}" for name in ENDED)
        self._do(
            f"UPDATE {RUNS} AS run SET {sets} FROM unnest(%s::bigint[], {arrays}) "  # noqa: S608  our own names
            f"AS v(held, {', '.join(ENDED)}) WHERE run.id = v.held AND run.token = '{TOKEN}'",
            [pks, *([values[name]] * len(pks) for name in ENDED)],
        )
        if histories:
            self._do(
                f"INSERT INTO {HISTORY} (run_id, packed) SELECT * FROM unnest(%s::bigint[], %s::text[])",  # noqa: S608  our own names
                [pks, histories * len(pks)],
            )

    def _ended_each(self, pks: list[int], values: dict[str, Any], histories: list[str]) -> None:
        sets = ", ".join(f"{name} = ?" for name in ENDED)
        given = [values[name] for name in ENDED]
        self.raw.executemany(f"UPDATE {RUNS} SET {sets} WHERE id = ?", [[*given, pk] for pk in pks])  # noqa: S608  our own names
        if histories:
            rows = [[pk, *histories] for pk in pks]
            self.raw.executemany(f"INSERT INTO {HISTORY} (run_id, packed) VALUES (?, ?)", rows)  # noqa: S608  our own names

    def _do(self, sql: str, values: Any = ()) -> Any:
        return self.raw.execute(sql if self.is_postgresql else sql.replace("%s", "?"), values)


def _example(slug: str, *, is_waiting: bool = False) -> tuple[dict[str, Any], Ended]:
    """The columns of a run before flowcontrol executed it; those after it, and its history.

    ``is_waiting``: from its wait on.
    """
    pk = flowcontrol_._started(slug)
    if is_waiting:
        execute_run(pk)
    before = _columns(pk)
    known = set(HistoryChunk.objects.filter(run_id=pk).values_list("pk", flat=True))
    execute_run(pk, now=FUTURE if is_waiting else None)
    chunks = HistoryChunk.objects.filter(run_id=pk).exclude(pk__in=known)
    return before, (_columns(pk), list(chunks.values_list("packed", flat=True)))


def _columns(pk: int) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {RUNS} WHERE id = %s", [pk])  # noqa: S608  our own names
        return dict(zip([column[0] for column in cursor.description], cursor.fetchone(), strict=True))


if __name__ == "__main__":
    serve(Driver())
