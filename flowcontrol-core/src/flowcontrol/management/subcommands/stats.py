"""``flowcontrol stats``: what is due and for how long, what fails, what is blocked, and who works."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from ...engine.statistics import FlowFigures, Statistics, WorkerFigures, statistics
from ...sentences import duration
from ..output import Console, counted, iso, table

__all__ = ["stats"]

_HEADER = (
    "QUEUE", "FLOW", "DUE", "LAG", "OVERDUE", "PENDING", "RUNNING", "WAITING", "PAUSED", "BLOCKED", "FAILED 24H",
    "ENDED/MIN",
)  # fmt: skip


def stats(console: Console, options: Namespace) -> int:
    told = statistics()
    if options.as_json:
        console.json(_as_json(told))
    else:
        console.lines(_page(told, console))
    return 0


def _page(told: Statistics, console: Console) -> Iterator[str]:
    shown = [each for each in told.flows if not each.is_idle]
    totals = [each for each in told.queues if not each.is_idle] if len(told.queues) > 1 else []
    if shown:
        yield from table(_HEADER, [_row(each) for each in [*totals, *shown]])
    idle = len(told.flows) - len(shown)
    if idle:
        yield f"{counted(idle, 'flow')}{' more' if shown else ''}: no live run, and none that ended lately."
    elif not shown:
        yield "There are no flows."
    if told.blocked:
        yield ""
        yield from table(["BLOCKED", "FLOW", "REASON"], [(b.count, b.flow, b.reason) for b in told.blocked])
    yield ""
    if not told.workers:
        yield console.bad("No worker is at work, or none has said so.")
        return
    header = ["WORKER", "IS", "SEEN", "EXECUTED", "QUEUES", "PLUGINS"]
    yield from table(header, [_worker_row(each) for each in told.workers])


def _row(figures: FlowFigures) -> list[object]:
    return [
        figures.queue,
        figures.flow or "(all)",
        figures.due,
        _short(figures.lag_seconds) if figures.due else "-",
        figures.overdue,
        figures.pending,
        figures.running,
        figures.waiting,
        figures.paused,
        figures.blocked,
        figures.failed,
        f"{figures.ended_per_minute:g}",
    ]


def _worker_row(worker: WorkerFigures) -> list[object]:
    is_what = "alive" if worker.is_alive else "dead"
    if worker.is_alive and worker.is_stopping:
        is_what = "stopping"
    plugins = ", ".join(" ".join(filter(None, pair)) for pair in worker.plugins.items())
    return [
        f"{worker.host}:{worker.pid}",
        is_what,
        f"{_short(worker.seen_seconds)} ago",
        worker.executed,
        worker.queues or "all",
        plugins,
    ]


def _short(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else str(duration(timedelta(seconds=round(seconds))))


def _as_json(told: Statistics) -> dict[str, Any]:
    return {
        "queues": [{k: v for k, v in asdict(each).items() if k != "flow"} for each in told.queues],
        "flows": [asdict(each) for each in told.flows],
        "blocked": [asdict(each) for each in told.blocked],
        "workers": [
            {**asdict(each), "started_at": iso(each.started_at), "seen_at": iso(each.seen_at)}
            for each in told.workers
        ],
    }
