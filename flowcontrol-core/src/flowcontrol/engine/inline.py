"""The scheduler for tests and scripts: runs are executed at once, by whoever made them due."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import ClassVar

from ..schedulers import BaseScheduler, SchedulerHealth
from .due import continue_flowruns

__all__ = ["InlineScheduler"]


class InlineScheduler(BaseScheduler):
    """Executes runs in the thread that made them due, after its commit: when ``start_flow`` returns, the run is done.

    Or waits: nobody wakes it but ``continue_flowruns``. In a ``TestCase`` nothing is ever committed; have
    ``captureOnCommitCallbacks(execute=True)`` around what starts runs.
    """

    name: ClassVar[str] = "inline"

    def __init__(self) -> None:
        self._local = threading.local()

    def runs_ready(self, run_ids: Sequence[int]) -> None:
        waiting: list[int] | None = getattr(self._local, "waiting", None)
        if waiting is not None:
            # Made due by a run that is being executed here: its turn comes after that one's, and not inside of it.
            waiting += run_ids
            return
        waiting = self._local.waiting = list(run_ids)
        try:
            while waiting:
                ids, waiting[:] = list(waiting), []
                continue_flowruns(run_ids=ids)
        finally:
            self._local.waiting = None

    def health(self) -> SchedulerHealth:
        return SchedulerHealth(
            True, "Runs are executed by whoever makes them due; waits end when continue_flowruns is called."
        )
