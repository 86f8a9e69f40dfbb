"""A scheduler: runs are executed at once, by one thread of the process that made them due."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from django.db import close_old_connections, connections
from flowcontrol.engine import continue_flowruns
from flowcontrol.schedulers import BaseScheduler, SchedulerHealth

__all__ = ["RelayScheduler"]


class RelayScheduler(BaseScheduler):
    """For projects with one process. Waits that are over are left to ``manage.py flowcontrol tick``."""

    name = "relay"

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "flowcontrol-relay")
        self._sent: list[Future[None]] = []

    def runs_ready(self, run_ids: Sequence[int]) -> None:
        self._sent = [one for one in self._sent if not one.done()]
        self._sent.append(self._pool.submit(_execute, tuple(run_ids)))

    def stop(self, timeout: float | None = None) -> bool:
        return not wait(self._sent, timeout).not_done

    def health(self) -> SchedulerHealth:
        left = sum(not one.done() for one in self._sent)
        return SchedulerHealth(True, f"Left to be executed in this process: {left}.", facts={"left": left})


def _execute(run_ids: Sequence[int]) -> None:
    close_old_connections()
    try:
        continue_flowruns(run_ids=run_ids)
    finally:
        # The thread may sleep for long: no connection is kept open for it.
        connections.close_all()
