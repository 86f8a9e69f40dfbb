"""What a waiting run weighs, and what it costs to look for due runs among many that wait."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flowcontrol.documents import import_flow
from flowcontrol.engine import count_due, execute_run, seconds_until_due, start_flow
from flowcontrol.engine.claims import claim
from flowcontrol.engine.clock import Clock
from flowcontrol.models import FlowRun, HistoryChunk
from world import fetch, median_ms, value

RUNS, CHUNKS = FlowRun._meta.db_table, HistoryChunk._meta.db_table


@dataclass(frozen=True)
class Weight:
    """Bytes in all, by what holds them, with so many runs waiting; and how it is to look for due ones."""

    runs: int
    heap: int
    indexes: dict[str, int]
    history: int
    #: Looking for due runs when none is; starting one until it waits; the next due date; counting what is due.
    look_ms: float
    start_ms: float
    next_ms: float
    count_ms: float
    #: Blocks of 8 KB that a look reads, in memory or not.
    look_blocks: int

    @property
    def per_run(self) -> float:
        return (self.heap + sum(self.indexes.values()) + self.history) / self.runs


def measure(sizes: Sequence[int], tell: Callable[[str], None]) -> list[Weight]:
    """A flow that greets and waits for a month; ever more of its runs."""
    template = _template()
    made = 1
    found = []
    for size in sizes:
        _more(template, size - made)
        made = size
        # Indexes are what they are after a while: pages split, and none was built at one go.
        fetch(f"VACUUM ANALYZE {RUNS}")
        fetch(f"VACUUM ANALYZE {CHUNKS}")
        found.append(_weigh(size))
        tell(f"{size:>12,} waiting: {found[-1].per_run:,.0f} bytes a run")
    return found


def _template() -> int:
    month = {"id": "month", "action": "builtin.delay", "config": {"seconds": 86_400 * 30}}
    greet = {"action": "builtin.update_state", "config": {"state": {"name": "Ada Lovelace", "visits": 3}}}
    import_flow(
        {
            "flowcontrol": 1,
            "slug": "month",
            "name": "Month",
            "steps": [{"id": "greet", **greet}, month, {"id": "again", **greet}],
        }
    )
    run = execute_run(start_flow("month").run)
    assert run.status == "waiting"
    return int(run.pk)


def _more(template: int, count: int) -> None:
    """Copies with their history, due at any time of the next month; each index takes them one by one."""
    names = [field.column for field in FlowRun._meta.concrete_fields if field.column not in {"id", "due_at"}]
    columns = ", ".join(names)
    fetch("SET session_replication_role = replica")
    fetch(
        f"WITH made AS (INSERT INTO {RUNS} ({columns}, due_at) SELECT {', '.join(f't.{name}' for name in names)}, "
        f"now() + interval '1 day' + random() * interval '29 days' FROM {RUNS} t, generate_series(1, {count}) "
        f"WHERE t.id = %s RETURNING id) "
        f"INSERT INTO {CHUNKS} (run_id, packed) SELECT made.id, c.packed FROM made, {CHUNKS} c WHERE c.run_id = %s",
        template,
        template,
    )
    fetch("SET session_replication_role = origin")


def _weigh(size: int) -> Weight:
    indexes = dict(
        fetch(
            "SELECT indexrelname::text, pg_relation_size(indexrelid) FROM pg_stat_user_indexes WHERE relname = %s",
            RUNS,
        )
    )
    return Weight(
        size,
        value("SELECT pg_table_size(%s)", RUNS),
        indexes,
        value("SELECT pg_total_relation_size(%s)", CHUNKS),
        look_ms=median_ms(lambda: claim(100, Clock())),
        start_ms=median_ms(_start_and_wait),
        next_ms=median_ms(seconds_until_due),
        count_ms=median_ms(lambda: count_due(900)),
        look_blocks=_blocks(),
    )


def _start_and_wait() -> None:
    """A run of the same flow: claimed, executed until it waits, and written."""
    execute_run(start_flow("month").run)


def _blocks() -> int:
    sql, parameters = FlowRun.objects.due(Clock().now())[:100].query.sql_with_params()
    ((plan,),) = fetch(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", *parameters)
    node: dict[str, Any] = plan[0]["Plan"]
    return int(node["Shared Hit Blocks"]) + int(node["Shared Read Blocks"])
