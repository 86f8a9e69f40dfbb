"""Getting rid of history: row by row as ``prune`` does, or a partition at once; and flowcontrol on partitions."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from flowcontrol.documents import import_flow
from flowcontrol.engine import execute_run, start_flow
from flowcontrol.models import FlowRun, HistoryChunk
from rows import copies, emptied
from world import fetch, value

#: What docs/scaling.md recommends. The key is the id, and ids grow with time: ranges of ids are ages.
PARTITIONED = """\
ALTER TABLE flowcontrol_historychunk RENAME TO history_before;
CREATE SEQUENCE history_ids;
SELECT setval('history_ids', (SELECT coalesce(max(id), 1) FROM history_before));
CREATE TABLE flowcontrol_historychunk (
    id bigint NOT NULL DEFAULT nextval('history_ids') PRIMARY KEY,
    packed text NOT NULL,
    run_id bigint NOT NULL
) PARTITION BY RANGE (id);
CREATE INDEX ON flowcontrol_historychunk (run_id);
"""
PARTS = 10
_CHUNKS = HistoryChunk._meta.db_table


@dataclass(frozen=True)
class Pruned:
    """So many rows went, of ten times as many."""

    rows: int
    delete_seconds: float
    drop_seconds: float


def measure(rows: int, tell: Callable[[str], None]) -> Pruned:
    """The oldest tenth goes, from the table as migrations make it and from one with partitions."""
    step = {"id": "s", "action": "builtin.update_state", "config": {"state": {"n": 1}}}
    import_flow({"flowcontrol": 1, "slug": "history", "name": "History", "steps": [step]})
    emptied(FlowRun)
    template = _executed()
    copies(HistoryChunk, HistoryChunk.objects.get(run=template).pk, rows - 1)
    fetch(f"VACUUM ANALYZE {_CHUNKS}")
    edges = [HistoryChunk.objects.order_by("id")[number * (rows // PARTS)].pk for number in range(PARTS)]
    _partition(edges)
    deleted = _timed(f"DELETE FROM history_before WHERE id < {edges[1]}") + _timed("VACUUM history_before")
    dropped = _timed("DROP TABLE history_0")
    assert value(f"SELECT count(*) FROM {_CHUNKS}") == rows - rows // PARTS
    assert _executed().history(), "flowcontrol writes to partitions and reads from them"
    found = Pruned(rows // PARTS, deleted, dropped)
    tell(
        f"{found.rows:,} of {rows:,} rows: DELETE and VACUUM {deleted:.2f} s, DROP of a partition {dropped:.2f} s"
    )
    return found


def _executed() -> FlowRun:
    return execute_run(start_flow("history").run)


def _partition(edges: list[int]) -> None:
    for statement in PARTITIONED.split(";")[:-1]:
        fetch(statement)
    for number, (low, high) in enumerate(zip(edges, [*edges[1:], "MAXVALUE"], strict=True)):
        fetch(f"CREATE TABLE history_{number} PARTITION OF {_CHUNKS} FOR VALUES FROM ({low}) TO ({high})")
    fetch(f"INSERT INTO {_CHUNKS} SELECT id, packed, run_id FROM history_before")


def _timed(sql: str) -> float:
    began = time.perf_counter()
    fetch(sql)
    return time.perf_counter() - began
