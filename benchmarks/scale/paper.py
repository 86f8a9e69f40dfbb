"""A hundred million waiting runs, on paper: what was measured at smaller sizes, carried on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from runs import Profile
from waiting import Weight

RUNS = 100_000_000
#: They wait for a month, so that as many come back each second as there are seconds in it.
WAIT_SECONDS = 30 * 86_400
#: Of an index of PostgreSQL: a page, and how full it is kept.
PAGE, FILL = 8_192, 0.7
#: The two indexes on the due date, which all work goes along.
HOT = ("flowcontrol_run_due", "flowcontrol_run_flow_due")


@dataclass(frozen=True)
class Estimate:
    """Of so many waiting runs."""

    runs: int
    heap_gb: float
    indexes_gb: float
    history_gb: float
    #: Of the index of due dates: its size, and how many of its pages lie above one another.
    due_index_gb: float
    due_index_levels: int
    due_per_second: float
    wal_mb_per_second: float
    #: Of the database's and of a worker's processors, to keep up with those that come back.
    database_cores: float
    worker_cores: float


def estimate(weights: list[Weight], wait: Profile, runs: int = RUNS) -> Estimate:
    """From the largest size that was measured, and the profile of a flow with a wait in it."""
    largest = max(weights, key=lambda each: each.runs)
    factor = runs / largest.runs / 1e9
    hot = largest.indexes[HOT[0]] * runs / largest.runs
    due = runs / WAIT_SECONDS
    return Estimate(
        runs,
        heap_gb=largest.heap * factor,
        indexes_gb=sum(largest.indexes.values()) * factor,
        history_gb=largest.history * factor,
        due_index_gb=hot / 1e9,
        due_index_levels=_levels(hot, largest, runs),
        due_per_second=due,
        wal_mb_per_second=due * wait.per_run("wal_bytes") / 1e6,
        database_cores=due * wait.per_run("database_seconds"),
        worker_cores=due * wait.per_run("python_seconds"),
    )


def _levels(index_bytes: float, measured: Weight, runs: int) -> int:
    """Of a tree with so many leaves: each page above has as many entries as one of its leaves."""
    entries = PAGE * FILL / (measured.indexes[HOT[0]] / measured.runs * FILL)
    leaves = index_bytes / PAGE
    return 1 + math.ceil(math.log(max(leaves, 1), max(entries, 2)))
