"""The loop of a worker: execute what is due, wait a little, look again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Event

from django.db import Error as DatabaseError
from django.db import connections, reset_queries

from .due import continue_flowruns
from .retention import prune_events

__all__ = ["run_worker"]

logger = logging.getLogger("flowcontrol.engine")

#: Stretches executed before the worker's other duties get a turn.
_ROUND = 1_000
_PRUNE_SECONDS = 3_600
#: The first look after work comes this much sooner than a look after a long idleness.
_EAGERNESS = 8
_FIRST_RETRY_SECONDS = 1.0
_LAST_RETRY_SECONDS = 30.0


def run_worker(
    stop: Event, poll_seconds: float = 1.0, *, monotonic: Callable[[], float] = time.monotonic
) -> None:
    """Execute due runs until ``stop`` is set: the step at hand is finished then, and the rest handed back.

    Looks again soon after there was something to do, and every ``poll_seconds`` when idle. Survives a database
    that is away: logs it, connects anew, and tries again less and less often. Old events are pruned once an hour.
    """
    delay = retry = 0.0
    prune_at = monotonic()
    while not stop.is_set():
        try:
            executed = continue_flowruns(limit=_ROUND, should_stop=stop.is_set).executed
            if monotonic() >= prune_at and not stop.is_set():
                prune_events()
                prune_at = monotonic() + _PRUNE_SECONDS
        except DatabaseError as error:
            retry = min(retry * 2 or _FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS)
            logger.error("database error, retrying in %g s: %s", retry, str(error).strip())
            # What is left of a broken connection would fail for ever.
            connections.close_all()
            stop.wait(retry)
            continue
        if retry:
            logger.warning("database is back")
            retry = 0.0
        # In DEBUG, Django keeps the text of every query.
        reset_queries()
        delay = _next_delay(delay, executed, poll_seconds)
        if delay:
            stop.wait(delay)


def _next_delay(delay: float, executed: int, poll_seconds: float) -> float:
    """Seconds until the next look: none after a full round, few after some work, ever more while idle."""
    if executed >= _ROUND:
        return 0.0
    eager = poll_seconds / _EAGERNESS
    return eager if executed else min(max(delay * 2, eager), poll_seconds)
