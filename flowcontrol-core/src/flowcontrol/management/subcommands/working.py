"""``flowcontrol tick`` and ``worker``: executing what is due."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import fields, replace
from types import FrameType
from typing import Any

from django.core.management.base import CommandError

from ...engine import continue_flowruns
from ...engine.duties import sweep
from ...engine.health import Health, HealthServer
from ...engine.polling import PollingScheduler
from ...engine.retention import prune_events
from ...engine.worker import WorkerLoop, WorkerOptions
from ...schedulers import make_scheduler
from ...signals import RunInfo, run_finished
from ..output import Console, counted, shortened
from ..supervisor import CHILD_VARIABLE, Supervisor, command_again, on_end_of_input

__all__ = ["tick", "worker"]

logger = logging.getLogger("flowcontrol.engine")


def tick(console: Console, options: Namespace) -> int:
    ended: list[RunInfo] = []
    with _told_of_ends(ended.append):
        sweep()
        executed = continue_flowruns().executed
    # Where cron calls this, there may be no worker to do it.
    prune_events()
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
    if options.processes > 1:
        return _supervise(console, options)
    is_child = bool(os.environ.pop(CHILD_VARIABLE, ""))
    note = (lambda text: None) if is_child else console.note
    health = Health(options.health_file) if options.health_file or options.health_port else None
    loop = WorkerLoop(_worker_options(options), health=health)
    is_watched = console.verbosity > 1 or console.stdout.isatty()

    def stop() -> None:
        loop.stop()
        _leave_in(options.grace)

    with (
        _stopped_by_signals(stop),
        _told_of_ends(lambda run: _write(console, run) if is_watched else None),
        _health_on(options.health_port, health.told) if health else nullcontext(),
    ):
        if is_child:
            on_end_of_input(stop)
        note("Worker started; Ctrl+C or SIGTERM stops it after the step at hand.")
        loop.run()
    note("Worker stopped.")
    return 0


def _worker_options(options: Namespace) -> WorkerOptions:
    """What is typed, and for the rest what the settings say of the scheduler ``polling``."""
    given = {field.name: getattr(options, field.name) for field in fields(WorkerOptions)}
    scheduler = make_scheduler(PollingScheduler.name)
    assert isinstance(scheduler, PollingScheduler), "the core's own has this name"
    return replace(scheduler.options, **{name: value for name, value in given.items() if value is not None})


def _supervise(console: Console, options: Namespace) -> int:
    """Several processes of this command, and this one to see to them: it executes nothing itself."""
    health = Health(options.health_file)
    # The last word on an option counts: children have files of their own, and one process each.
    command = command_again("--processes", "1", "--health-port", "0")
    supervisor = Supervisor(command, options.processes, options.grace, console.note, health.beat)
    with _stopped_by_signals(supervisor.stop), _health_on(options.health_port, supervisor.told):
        console.note(
            f"{counted(options.processes, 'worker')} started; Ctrl+C or SIGTERM stops them after the step at hand."
        )
        code = supervisor.run()
    health.remove()
    console.note("Workers stopped.")
    return code


def _leave_in(seconds: float) -> None:
    """End this process so much later, whatever it does then. The leases of its runs pass."""

    def leave() -> None:
        logger.error("worker left after the grace period of %g s: its leases pass", seconds)
        logging.shutdown()
        os._exit(1)

    timer = threading.Timer(seconds, leave)
    timer.daemon = True
    timer.start()


def _metrics() -> Callable[[], bytes] | None:
    """What the project's plugin for Prometheus tells, where it has one: only then is its library there."""
    module = sys.modules.get("flowcontrol.contrib.prometheus")
    return module.exposition if module is not None else None


@contextmanager
def _health_on(port: int, told: Callable[[], tuple[bool, Mapping[str, Any]]]) -> Iterator[None]:
    if not port:
        yield
        return
    try:
        server = HealthServer(port, told, _metrics())
    except OSError as error:
        raise CommandError(f"The port {port} for the health check cannot be used: {error}") from error
    server.start()
    try:
        yield
    finally:
        server.close()


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
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Inside, the first SIGTERM or SIGINT calls ``stop``; a second one does what it always does."""
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}

    def restore() -> None:
        for each, handler in before.items():
            signal.signal(each, handler)

    def ask_to_stop(number: int, frame: FrameType | None) -> None:
        restore()
        # In a thread: the one interrupted here may hold the lock of an event, being about to wait for it.
        setter = threading.Thread(target=stop)
        setter.start()
        setter.join(0.1)

    for each in before:
        signal.signal(each, ask_to_stop)
    try:
        yield
    finally:
        restore()
