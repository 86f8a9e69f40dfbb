"""A time limit for a call in this thread: what takes longer is interrupted.

In the main thread of a POSIX process a timer's signal ends what waits in C as well (a sleep, a socket); elsewhere the
interruption comes with the next instruction of Python.
"""

from __future__ import annotations

import ctypes
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

__all__ = ["StepTimeout", "interrupt", "time_limit"]


class StepTimeout(TimeoutError):
    """A call of an action took longer than its time limit."""

    def __init__(self, seconds: float | None = None) -> None:
        told = (
            f"It took longer than its time limit of {seconds:g} s." if seconds else "Its time limit is over."
        )
        super().__init__(told)


def interrupt(thread_id: int, error: type[StepTimeout] = StepTimeout) -> None:
    """Have ``StepTimeout`` raised in a thread at its next instruction of Python; what waits in C ends first."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread_id), ctypes.py_object(error))


class _Limit:
    """Another thread that interrupts this one, unless the call is over before.

    The interruption comes between any two instructions, so nothing of Python's own may be under way that it could tear:
    the two threads meet at bare locks, each taken or given in one call of C.
    """

    def __init__(self) -> None:
        self.thread_id = threading.get_ident()
        self.watch_may_begin = threading.Lock()
        self.call_is_over = threading.Lock()
        self.watch_is_over = threading.Lock()
        self.is_hit = False
        self.has_arrived = False

    def begin(self, seconds: float) -> None:
        for lock in (self.watch_may_begin, self.call_is_over, self.watch_is_over):
            lock.acquire()
        threading.Thread(target=self.watch, args=(seconds,), name="flowcontrol-limit", daemon=True).start()
        # To start a thread takes more than one call of C.
        self.watch_may_begin.release()

    def watch(self, seconds: float) -> None:
        limit = self

        class Arrived(StepTimeout):
            def __init__(self) -> None:
                super().__init__(seconds)
                limit.has_arrived = True

        self.watch_may_begin.acquire()
        if not self.call_is_over.acquire(timeout=seconds):
            self.is_hit = True
            interrupt(self.thread_id, Arrived)
        self.watch_is_over.release()

    def end(self) -> None:
        # It must not arrive in what follows, and Python cannot take it back: to clear it leaves the interpreter
        # looking for it for ever.
        with suppress(StepTimeout):
            self.call_is_over.release()
            self.watch_is_over.acquire()
            while self.is_hit and not self.has_arrived:
                time.sleep(0.001)


class _Alarm:
    """The same by the process's own timer, whose signal the main thread gets."""

    def __init__(self) -> None:
        self.is_hit = False

    def begin(self, seconds: float) -> None:
        signal.signal(signal.SIGALRM, self.hit)
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def hit(self, number: int, frame: FrameType | None) -> None:
        self.is_hit = True
        # It may come while the call is being left.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        raise StepTimeout

    def end(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


def _may_use_alarm() -> bool:
    """Whether nobody else in this process uses the one timer there is."""
    return (
        hasattr(signal, "setitimer")
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
        and not signal.getitimer(signal.ITIMER_REAL)[0]
    )


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Raises ``StepTimeout`` when the block takes longer. None: no limit, and no cost."""
    if seconds is None:
        yield
        return
    limit = _Alarm() if _may_use_alarm() else _Limit()
    limit.begin(seconds)
    try:
        try:
            yield
        finally:
            limit.end()
    except Exception as error:
        if limit.is_hit:
            # Whatever the call made of it.
            raise StepTimeout(seconds) from error
        raise
    if limit.is_hit:
        # The call was over by then, or caught what was meant for us.
        raise StepTimeout(seconds)
