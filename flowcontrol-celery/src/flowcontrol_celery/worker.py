"""What happens in Celery's workers beside tasks: they say that they are there, and stop without leaving runs held."""

from __future__ import annotations

import mmap
import time
from typing import Any

from celery import signals
from celery.concurrency.prefork import TaskPool
from flowcontrol import engine

__all__ = ["connect", "this_process"]

#: How often a process that ticks also sees to what got lost or is too old, and how long that may take.
_TIDY_EVERY_SECONDS = 60.0
_TIDY_SECONDS = 5.0

#: One byte, not 0 once the worker was told to stop. Shared by the processes of a worker: only the parent is told, and
#: these have to hear of it in the middle of a task.
_stopping = mmap.mmap(-1, 1)


class _Process:
    """A process that executes tasks: its row among the workers, and its other duties."""

    def __init__(self) -> None:
        #: Stretches of runs executed so far.
        self.executed = 0
        self._presence: engine.Presence | None = None
        self._tidied_at = float("-inf")

    @property
    def is_stopping(self) -> bool:
        """Whether the worker of this process was told to stop: finish the step at hand, hand back the rest."""
        return _stopping[0] != 0

    def begin(self) -> None:
        """Be in the table of workers from now on."""
        if self._presence is None:
            self._presence = engine.Presence((), lambda: self.executed)
            self._presence.start()

    def stop(self) -> None:
        """The worker was told to stop."""
        _stopping[0] = 1
        if self._presence is not None:
            self._presence.stopping()

    def end(self) -> None:
        """The process is about to end."""
        if self._presence is not None:
            self._presence.remove()
            self._presence = None

    def tidy(self) -> None:
        """See to what got lost or is too old, unless that was done lately."""
        if time.monotonic() - self._tidied_at >= _TIDY_EVERY_SECONDS:
            self._tidied_at = time.monotonic()
            engine.tidy(_TIDY_SECONDS)


this_process = _Process()


def connect() -> None:
    """Listen to Celery's signals. Only workers send them."""
    signals.worker_init.connect(_on_init, dispatch_uid="flowcontrol")
    signals.worker_shutting_down.connect(_on_shutting_down, dispatch_uid="flowcontrol")
    signals.worker_process_init.connect(_on_process_init, dispatch_uid="flowcontrol")
    signals.worker_process_shutdown.connect(_on_end, dispatch_uid="flowcontrol")
    signals.worker_ready.connect(_on_ready, dispatch_uid="flowcontrol")
    signals.worker_shutdown.connect(_on_end, dispatch_uid="flowcontrol")


def _on_init(**_: Any) -> None:
    _stopping[0] = 0


def _on_shutting_down(**_: Any) -> None:
    this_process.stop()


def _on_process_init(**_: Any) -> None:
    this_process.begin()


def _on_ready(sender: Any = None, **_: Any) -> None:
    # Of a pool of processes, each has a row of its own, and this is their parent, which executes nothing.
    if not isinstance(getattr(sender, "pool", None), TaskPool):
        this_process.begin()


def _on_end(**_: Any) -> None:
    this_process.end()
