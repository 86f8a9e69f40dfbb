"""This process as a worker: told to stop in the middle of a task, in the table of workers, with its other duties."""

from __future__ import annotations

import atexit
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from flowcontrol import engine

__all__ = ["this_process"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
#: How often a process that ticks also sees to what got lost or is too old, and how long that may take.
_TIDY_EVERY_SECONDS = 60.0
_TIDY_SECONDS = 5.0


class _Process:
    """A process in which tasks are executed."""

    def __init__(self) -> None:
        #: Stretches of runs executed so far.
        self.executed = 0
        #: Whether it was told to stop: finish the step at hand, hand back the rest.
        self.is_stopping = False
        self._presence: engine.Presence | None = None
        self._pid = 0
        self._tidied_at = float("-inf")

    def begin(self) -> None:
        """Be in the table of workers from now on, until the process ends."""
        # One that was forked has the object of its parent, and not its thread.
        if self._presence is None or self._pid != os.getpid():
            self._pid = os.getpid()
            self._presence = engine.Presence((), lambda: self.executed)
            self._presence.start()
            atexit.register(self.end)

    def end(self) -> None:
        """The process is about to end."""
        if self._presence is not None and self._pid == os.getpid():
            self._presence.remove()
        self._presence = None
        atexit.unregister(self.end)

    def tidy(self) -> None:
        """See to what got lost or is too old, unless that was done lately."""
        if time.monotonic() - self._tidied_at >= _TIDY_EVERY_SECONDS:
            self._tidied_at = time.monotonic()
            engine.tidy(_TIDY_SECONDS)

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """Inside, it is heard when the worker is told to stop, whatever program it is; and so does that program."""
        self.is_stopping = False
        if threading.current_thread() is not threading.main_thread():
            # Only there signals are heard. The task ends with its slice.
            yield
            return
        # Where nobody listens the signal ends the process, as ever.
        before = {each: signal.getsignal(each) for each in _SIGNALS if callable(signal.getsignal(each))}
        ours = {number: self._listening(handler) for number, handler in before.items()}
        for number, handler in ours.items():
            signal.signal(number, handler)
        try:
            yield
        finally:
            for number, handler in before.items():
                # A worker that is told twice takes its own away.
                if signal.getsignal(number) is ours[number]:
                    signal.signal(number, handler)

    def _listening(self, handler: Any) -> Any:
        def heard(number: int, frame: FrameType | None) -> None:
            self.is_stopping = True
            if self._presence is not None:
                self._presence.stopping()
            handler(number, frame)

        return heard


this_process = _Process()
