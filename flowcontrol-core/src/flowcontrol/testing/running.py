"""Running flows in tests: at once, through all their waits, and over crashes of the worker."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Min, Model

from .. import conf
from ..documents import import_flow
from ..engine import Started, continue_flowruns, faults, start_flow
from ..exceptions import FlowcontrolError
from ..management.output import columns
from ..management.subcommands.runs import record_line
from ..models import FlowRun
from ..models.records import StepRecord
from ..plugins import LoadedPlugins, loader
from ..plugins.entry_points import installed_plugins
from .virtual_time import VirtualTime, clock_in_force

__all__ = ["Crash", "FlowResult", "crash_at", "isolated_plugins", "run_flow"]

#: A flow that waits more often than this does not come to its end.
_MOST_WAITS = 1_000


class Crash(BaseException):
    """The worker died here. No code of an action can catch it and go on."""


class FlowResult:
    """A run as it was left. Shown in a failed assertion, it tells every step.

    Made of a run that something else started, a trigger for example, ``go_on()`` runs it in the same way. Without a
    ``clock`` it goes by the one in force, or by one of its own.
    """

    def __init__(self, run: FlowRun, clock: VirtualTime | None = None) -> None:
        self.run = run
        self.clock = clock or clock_in_force() or VirtualTime()

    @property
    def status(self) -> str:
        return str(self.run.status)

    @property
    def state(self) -> dict[str, Any]:
        return dict(self.run.state)

    @property
    def reason(self) -> str:
        return self.run.reason

    @property
    def records(self) -> Sequence[StepRecord]:
        return self.run.history()

    @property
    def steps(self) -> list[str]:
        """Ids of the steps in the order in which they were reached."""
        return [record.step for record in self.records if record.phase == "run"]

    def go_on(self, *, until: datetime | timedelta | None = None) -> FlowResult:
        """Execute what is due, through all waits for a time, those of runs that it started included.

        ``until`` is as in ``run_flow``.
        """
        last = self.clock.now + until if isinstance(until, timedelta) else until
        with self.clock:
            _execute(self.run, self.clock, last)
            if last is not None and not self.run.is_ended:
                self.clock.move(to=last)
        return self

    def __str__(self) -> str:
        facts = {"status": self.status, "step": self.run.step, "reason": self.reason, "state": self.state}
        lines = [f"run {self.run.pk} of {self.run.flow.slug}", *columns(facts)]
        lines += [f"  {record_line(record, {})}" for record in self.records]
        return "\n".join([*lines, self.run.traceback]).rstrip()

    __repr__ = __str__


def run_flow(
    *steps: Mapping[str, Any],
    document: Mapping[str, Any] | None = None,
    obj: Model | None = None,
    state: Mapping[str, Any] | None = None,
    clock: VirtualTime | None = None,
    until: datetime | timedelta | None = None,
    status: str | None = "completed",
) -> FlowResult:
    """Run these steps (or this document) in the test's database, through all waits for a time.

    Everything goes by ``clock`` meanwhile, which waits move; without one by the clock in force, or one of its own. The
    run is left when it has ended, or waits for nothing but an event. With ``until``, a date or a length, it is left at
    that time of the clock at the latest: to fire an event while a longer wait lasts. ``result.go_on()`` goes on with
    it. Where the worker dies (see ``crash_at``), another one goes on once the lease has passed.

    Raises ``AssertionError``, telling the run step by step, when it was left in another ``status``; None accepts any.
    Raises ``DocumentError`` for a document that is wrong.
    """
    flow = {"flowcontrol": 1, "slug": f"test-{secrets.token_hex(6)}", "name": "Test", "steps": list(steps)}
    clock = clock or clock_in_force() or VirtualTime()
    with clock:
        started = start_flow(import_flow({**flow, **(document or {})}), obj, state)
        if not isinstance(started, Started):
            raise AssertionError(f"The flow was not started: {started.detail}")
        result = FlowResult(started.run, clock).go_on(until=until)
    if status is not None and result.status != status:
        raise AssertionError(f"The run was to be {status}, and is {result.status}.\n{result}")
    return result


@contextmanager
def crash_at(point: str, nth: int = 1) -> Iterator[None]:
    """Inside, the worker dies when it reaches this point of the engine for the ``nth`` time, once.

    The points are ``flowcontrol.engine.faults.POINTS``; ``effect.after`` is where an action has done its work and
    nothing of that is written yet. Raises ``FlowcontrolError`` for another name, and when it was never reached.
    """
    if point not in faults.POINTS:
        raise FlowcontrolError(f'There is no point "{point}". There are: {", ".join(faults.POINTS)}.')
    left = nth

    def plan(reached: str) -> None:
        nonlocal left
        if reached == point:
            left -= 1
            if left == 0:
                raise Crash(point)

    faults.arm(plan)
    try:
        yield
    finally:
        faults.arm(None)
    if left > 0:
        raise FlowcontrolError(
            f'The point "{point}" was reached {nth - left} times, and was to be {nth} times.'
        )


@contextmanager
def isolated_plugins(plugins: Sequence[str] = ()) -> Iterator[LoadedPlugins]:
    """Inside, exactly these plugins are in use, written as in ``PLUGINS``; afterwards everything is as before.

        with isolated_plugins(["builtin", "shop.workflows"]) as loaded:
            assert loaded.report("builtin").is_active

    Without any it is the core alone. What apps of the project registered stays. Apps with models stay installed.
    """
    with loader.isolated_plugins(installed_plugins(), plugins) as loaded:
        yield loaded


def _execute(run: FlowRun, clock: VirtualTime, last: datetime | None) -> None:
    for _ in range(_MOST_WAITS):
        run.refresh_from_db()
        due_at = None if run.is_ended else _next_due(run)
        if due_at is None or (last is not None and due_at > last):
            return
        clock.move(to=max(clock.now, due_at))
        try:
            continue_flowruns(now=clock.now)
        except Crash:
            # Whoever comes next has to wait for the lease to pass.
            clock.move(seconds=conf.get("LEASE_SECONDS") + 1)
    raise AssertionError(f"The run does not come to its end.\n{FlowResult(run, clock)}")


def _next_due(run: FlowRun) -> datetime | None:
    """When the run, or one of those that it started, is due; None when all wait for something else than the time."""
    family = generation = [run.pk]
    while generation := list(FlowRun.objects.filter(parent__in=generation).values_list("pk", flat=True)):
        family = [*family, *generation]
    due: datetime | None = FlowRun.objects.filter(pk__in=family).aggregate(due=Min("due_at"))["due"]
    return due
