"""A scheduler: runs are executed at once, by one thread of the process that made them due."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from django.db import close_old_connections, connections
from flowcontrol.engine import execute_run
from flowcontrol.schedulers import BaseScheduler

__all__ = ["RelayScheduler"]


class RelayScheduler(BaseScheduler):
    """For projects with one process. Waits that are over are left to ``manage.py flowcontrol tick``."""

    name = "relay"

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "flowcontrol-relay")
        self._sent: list[Future[None]] = []

    def runs_ready(self, run_ids: Sequence[int]) -> None:
        self._sent = [one for one in self._sent if not one.done()]
        self._sent += [self._pool.submit(_execute, run_id) for run_id in run_ids]

    def drain(self, seconds: float | None = None) -> None:
        """Wait until what was sent so far is executed."""
        wait(self._sent, seconds)


def _execute(run_id: int) -> None:
    close_old_connections()
    try:
        execute_run(run_id)
    finally:
        # The thread may sleep for long: no connection is kept open for it.
        connections.close_all()
