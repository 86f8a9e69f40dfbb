"""The scheduler that needs nothing but the database: workers ask it what is due."""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Sequence
from typing import ClassVar

from django.db import connections

from ..models import Worker
from ..schedulers import BaseScheduler, SchedulerHealth, is_above_0, is_whole, require_option
from .capabilities import seen_for
from .claims import database
from .clock import Clock
from .worker import WorkerLoop, WorkerOptions

__all__ = ["PollingScheduler"]

logger = logging.getLogger("flowcontrol.engine")

#: At the end of a process, an embedded worker is waited for this long.
_EXIT_SECONDS = 10.0


class PollingScheduler(BaseScheduler):
    """``manage.py flowcontrol worker``, or cron with ``tick``, asks the database what is due.

    ``start`` has a worker at work in a thread of this process: for a site that is one process, called in its
    ``wsgi.py``. The options are this worker's: ``poll_seconds``, ``queues``, ``threads`` and ``batch``, as those of the
    command.
    """

    name: ClassVar[str] = "polling"

    def __init__(
        self,
        *,
        poll_seconds: float = 1.0,
        queues: Sequence[str] = (),
        threads: int = 0,
        batch: int | None = None,
    ) -> None:
        for option, value, is_right, kind in (
            ("poll_seconds", poll_seconds, is_above_0(poll_seconds), "seconds, more than 0"),
            ("queues", queues, _are_texts(queues), "a list of queues"),
            ("threads", threads, is_whole(threads, 0), "a whole number, 0 or more"),
            ("batch", batch, batch is None or is_whole(batch, 1), "a whole number, 1 or more, or None"),
        ):
            require_option(self.name, option, value, is_right, kind)
        self.options = WorkerOptions(
            poll_seconds=float(poll_seconds), queues=tuple(queues), threads=threads, batch=batch
        )
        self._lock = threading.Lock()
        self._loop: WorkerLoop | None = None
        self._thread: threading.Thread | None = None

    def runs_ready(self, run_ids: Sequence[int]) -> None:
        """Wake the worker of this process, if there is one. Others find the runs at their next look."""
        if self._loop is not None:
            self._loop.wake()

    def start(self) -> None:
        with self._lock:
            # A forked process has the object, and not the thread.
            if self._thread is not None and self._thread.is_alive():
                return
            self._loop = WorkerLoop(self.options)
            self._thread = threading.Thread(
                target=_work, args=[self._loop], name="flowcontrol-worker", daemon=True
            )
            self._thread.start()
            atexit.register(self.stop, _EXIT_SECONDS)

    def stop(self, timeout: float | None = None) -> bool:
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        atexit.unregister(self.stop)
        if loop is None or thread is None:
            return True
        loop.stop()
        thread.join(timeout)
        return not thread.is_alive()

    def health(self) -> SchedulerHealth:
        try:
            alive = Worker.objects.using(database()).seen_since(Clock().after(-seen_for())).count()
        except Exception as error:  # noqa: BLE001  whatever keeps it from being told is what is told
            return SchedulerHealth(False, f"The database does not answer: {error}", "Have it answer again.")
        if alive:
            return SchedulerHealth(True, f"Workers at work: {alive}.", facts={"workers": alive})
        return SchedulerHealth(
            False,
            "No worker is at work.",
            "manage.py flowcontrol worker, or flowcontrol tick by cron.",
            {"workers": 0},
        )


def _work(loop: WorkerLoop) -> None:
    try:
        loop.run()
    except Exception:
        logger.exception("worker died")
    finally:
        connections.close_all()


def _are_texts(value: object) -> bool:
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and all(isinstance(one, str) for one in value)
    )
