"""The tasks. Each may be sent by anybody, at any time, lost and doubled: the database knows what is to be done."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from celery import shared_task
from flowcontrol import engine

from .schedule import CONTINUE, EXECUTE
from .scheduler import CeleryScheduler, celery_scheduler
from .worker import this_process

__all__ = ["continue_flowruns_task", "execute_runs_task"]

#: A worker that dies gives the message back; who gets it then finds the leases of the runs, and leaves them alone.
_OPTIONS: dict[str, Any] = {"acks_late": True, "reject_on_worker_lost": True, "ignore_result": True}


@shared_task(name=CONTINUE, **_OPTIONS)
def continue_flowruns_task(queues: Sequence[str] = (), spread: bool = True) -> int:
    """Execute what is due, for a while; returns how many stretches of runs that were. For beat, every few seconds.

    When more is due than a batch, further workers are called for. ``queues``: only runs of flows in these queues.
    """
    scheduler = celery_scheduler()
    if spread:
        this_process.tidy()
        mine = _spread(scheduler, queues)
        if mine is None:
            return 0
        queues = mine
    return _execute(scheduler, queues=tuple(queues))


@shared_task(name=EXECUTE, **_OPTIONS)
def execute_runs_task(run_ids: Sequence[int]) -> int:
    """Execute these runs, as far as they are due; returns how many stretches that were."""
    return _execute(celery_scheduler(), run_ids=tuple(run_ids))


def _spread(scheduler: CeleryScheduler, queues: Sequence[str]) -> Sequence[str] | None:
    """Call for as many workers as there is work for; returns the queues that are left to this one, None for nothing."""
    mine: Sequence[str] | None = None
    left = scheduler.spread
    for share in scheduler.shares(queues):
        wanted = -(-share.runs // scheduler.batch)
        if share.target is None:
            # What has no place of its own is done here, too.
            mine = share.queues
            wanted -= 1
        left -= scheduler.call_for_help(share, min(wanted, left))
    return mine


def _execute(scheduler: CeleryScheduler, **which: Any) -> int:
    summary = engine.continue_flowruns(
        should_stop=_until(scheduler.slice_seconds), threads=scheduler.threads, **which
    )
    this_process.executed += summary.executed
    return summary.executed


def _until(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: this_process.is_stopping or time.monotonic() >= end
