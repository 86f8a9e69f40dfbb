"""Getting rid of history: row by row as ``prune`` does, or a partition at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from flowcontrol.documents import import_flow
from flowcontrol.engine import execute_run, start_flow
from flowcontrol.models import FlowRun, HistoryChunk
from rows import copies, emptied
from world import fetch

CHUNKS = HistoryChunk._meta.db_table
PARTS = 10


@dataclass(frozen=True)
class Pruned:
    rows: int
    delete_seconds: float
    drop_seconds: float


def measure(rows: int, tell: Callable[[str], None]) -> Pruned:
    """A tenth of so many rows goes, from the table as migrations make it and from one in ten partitions by id."""
    step = {"id": "s", "action": "builtin.update_state", "config": {"state": {"n": 1}}}
    import_flow({"flowcontrol": 1, "slug": "history", "name": "History", "steps": [step] * 1})
    emptied(FlowRun)
    run = execute_run(start_flow("history").run)
    copies(HistoryChunk, HistoryChunk.objects.get(run=run).pk, rows - 1)
    edge = HistoryChunk.objects.order_by("id")[rows // PARTS].pk
    _partitioned(edge, rows)
    deleted = _timed(f"DELETE FROM {CHUNKS} WHERE id < {edge}") + _timed(f"VACUUM {CHUNKS}")
    dropped = _timed("DROP TABLE chunks_0")
    found = Pruned(rows // PARTS, deleted, dropped)
    tell(
        f"{found.rows:,} of {rows:,} rows: DELETE and VACUUM {deleted:.3f} s, DROP of a partition {dropped:.3f} s"
    )
    fetch("DROP TABLE chunks")
    return found


def _partitioned(edge: int, rows: int) -> None:
    """A copy of the table as a deployer may make it: the key is the id, so partitions go by the id, which is age."""
    fetch(f"CREATE TABLE chunks (LIKE {CHUNKS} INCLUDING DEFAULTS) PARTITION BY RANGE (id)")
    fetch("ALTER TABLE chunks ADD PRIMARY KEY (id)")
    fetch("CREATE INDEX ON chunks (run_id)")
    first = edge - rows // PARTS
    for number in range(PARTS + 1):
        low, high = first + number * rows // PARTS, first + (number + 1) * rows // PARTS
        fetch(f"CREATE TABLE chunks_{number} PARTITION OF chunks FOR VALUES FROM ({low}) TO ({high})")
    fetch("CREATE TABLE chunks_rest PARTITION OF chunks DEFAULT")
    fetch(f"INSERT INTO chunks SELECT * FROM {CHUNKS}")


def _timed(sql: str) -> float:
    began = time.perf_counter()
    fetch(sql)
    return time.perf_counter() - began
