"""``flowcontrol tick`` and ``worker``: executing what is due."""

from __future__ import annotations

import signal
import threading
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ...engine import continue_flowruns
from ...engine.worker import run_worker
from ...signals import RunInfo, run_finished
from ..output import Console, counted, shortened

__all__ = ["tick", "worker"]


def tick(console: Console, options: Namespace) -> int:
    ended: list[RunInfo] = []
    with _told_of_ends(ended.append):
        executed = continue_flowruns().executed
    if options.as_json:
        console.json({"executed": executed, "ended": [_told(run) for run in ended]})
        return 0
    console.lines(_line(run) for run in ended)
    if not executed:
        console.line("Nothing was due.")
        return 0
    counts = Counter(run.status for run in ended)
    ends = "".join(f", {count} {status}" for status, count in sorted(counts.items()))
    console.line(f"{counted(executed, 'stretch', 'stretches')} of runs executed{ends}; nothing else is due.")
    return 0


def worker(console: Console, options: Namespace) -> int:
    stop = threading.Event()
    is_watched = console.verbosity > 1 or console.stdout.isatty()
    with _stopped_by_signals(stop), _told_of_ends(lambda run: _write(console, run) if is_watched else None):
        console.note("Worker started; Ctrl+C or SIGTERM stops it after the step at hand.")
        run_worker(stop, options.poll_seconds)
    console.note("Worker stopped.")
    return 0


def _write(console: Console, run: RunInfo) -> None:
    console.line(_line(run))
    console.stdout.flush()


def _line(run: RunInfo) -> str:
    return f"Run {run.id} of {run.flow}: {run.status}" + (
        f": {shortened(run.reason, 200)}" if run.reason else ""
    )


def _told(run: RunInfo) -> dict[str, Any]:
    return {"id": run.id, "flow": run.flow, "status": run.status, "reason": run.reason}


@contextmanager
def _told_of_ends(tell: Callable[[RunInfo], object]) -> Iterator[None]:
    def finished(run: RunInfo, **kwargs: Any) -> None:
        tell(run)

    run_finished.connect(finished, weak=False)
    try:
        yield
    finally:
        run_finished.disconnect(finished)


@contextmanager
def _stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """Inside, the first SIGTERM or SIGINT sets ``stop``; a second one does what it always does."""
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}

    def restore() -> None:
        for each, handler in before.items():
            signal.signal(each, handler)

    def ask_to_stop(number: int, frame: FrameType | None) -> None:
        restore()
        # In a thread: the one interrupted here may hold the event's lock, being about to wait for it.
        setter = threading.Thread(target=stop.set)
        setter.start()
        setter.join(0.1)

    for each in before:
        signal.signal(each, ask_to_stop)
    try:
        yield
    finally:
        restore()
