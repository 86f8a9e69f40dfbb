"""The task. It may be sent by anybody, at any time, lost and doubled: the database knows what is to be done."""

from __future__ import annotations

import time

from flowcontrol import engine

from . import bells
from .framework import is_immediate, task
from .process import this_process
from .scheduler import DjangoTasksScheduler, django_tasks_scheduler

__all__ = ["continue_flowruns_task"]

# Django looks at once whether the backend has this queue.
_scheduler = django_tasks_scheduler()


@task(backend=_scheduler.alias, queue_name=_scheduler.queue)
def continue_flowruns_task(queue: str = "", bell: int = 0, tick: int = 0, spare: bool = False) -> int:
    """Execute what is due, for a while; returns how many stretches of runs that were.

    ``queue`` and ``bell`` tell who was called, ``tick`` that this is the message that comes back by itself, and
    ``spare`` that it is one too many, unless the one before it got lost.
    """
    scheduler = django_tasks_scheduler()
    queue = queue or scheduler.queue
    if not is_immediate(scheduler.backend):
        this_process.begin()
    if tick and not scheduler.follow(tick) and spare:
        return 0
    bells.answer(queue, bell)
    if tick:
        this_process.tidy()
    return _execute(scheduler, queue, bell)


def _execute(scheduler: DjangoTasksScheduler, queue: str, bell: int) -> int:
    flow_queues = scheduler.share(queue, calls=bell == 0)
    if flow_queues is None:
        scheduler.come_back()
        return 0
    until = _Until(scheduler.slice_seconds)
    with this_process.stoppable():
        summary = engine.continue_flowruns(should_stop=until, queues=flow_queues, threads=scheduler.threads)
    this_process.executed += summary.executed
    if until.is_over:
        # Others have their turn; what is left is due at once.
        scheduler.call(queue, bell)
    scheduler.come_back()
    return summary.executed


class _Until:
    """Answers true once the time is over or the worker was told to stop."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds
        self.is_over = False

    def __call__(self) -> bool:
        self.is_over = self.is_over or this_process.is_stopping or time.monotonic() >= self.end
        return self.is_over
