"""Running flows in tests: at once, through all their waits, and over crashes of the worker."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Model
from django.utils import timezone

from .. import conf
from ..documents import import_flow
from ..engine import Started, continue_flowruns, faults, start_flow
from ..exceptions import FlowcontrolError
from ..management.output import columns
from ..management.subcommands.runs import record_line
from ..models import FlowRun
from ..models.records import StepRecord
from ..plugins.loader import isolated_plugins

__all__ = ["Crash", "FlowResult", "VirtualTime", "crash_at", "isolated_plugins", "run_flow"]

#: A flow that waits more often than this does not come to its end.
_MOST_WAITS = 1_000


class Crash(BaseException):
    """The worker died here. No code of an action can catch it and go on."""


class VirtualTime:
    """A clock that stands until it is moved. It begins at the present: what a test starts is due at once."""

    def __init__(self) -> None:
        self.now: datetime = timezone.now() + timedelta(seconds=1)

    def move(self, *, to: datetime | None = None, **length: float) -> None:
        """Move it on: ``move(hours=3)`` as in ``timedelta``, or ``move(to=aware_date)``.

        Raises ``ValueError`` for a date without a time zone, and for one that is past.
        """
        then = to if to is not None else self.now + timedelta(**length)
        if timezone.is_naive(then):
            raise ValueError(f"The date {then} has no time zone; use an aware datetime.")
        if then < self.now:
            raise ValueError(f"It is {self.now} already; a clock does not go back to {then}.")
        self.now = then


class FlowResult:
    """A run as it was left. Shown in a failed assertion, it tells every step."""

    def __init__(self, run: FlowRun, clock: VirtualTime) -> None:
        self.run = run
        self.clock = clock

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

    def go_on(self) -> FlowResult:
        """Execute what is due by now, through all waits for a time: after an event, or after moving the clock."""
        _execute(self.run, self.clock)
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
    status: str | None = "completed",
) -> FlowResult:
    """Run these steps (or this document) in the test's database, through all waits for a time.

    The run is left when it has ended, or waits for an event; ``result.go_on()`` goes on with it. Where the worker
    dies (see ``crash_at``), another one goes on once the lease has passed. Raises ``AssertionError``, telling the run
    step by step, when it was left in another ``status``; None accepts any. Raises ``DocumentError`` for a document
    that is wrong.
    """
    flow = {"flowcontrol": 1, "slug": f"test-{secrets.token_hex(6)}", "name": "Test", "steps": list(steps)}
    imported = import_flow({**flow, **(document or {})})
    started = start_flow(imported, obj, state)
    if not isinstance(started, Started):
        raise AssertionError(f"The flow was not started: {started.detail}")
    result = FlowResult(started.run, clock or VirtualTime()).go_on()
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


def _execute(run: FlowRun, clock: VirtualTime) -> None:
    for _ in range(_MOST_WAITS):
        run.refresh_from_db()
        if run.due_at is None:
            return
        clock.now = max(clock.now, run.due_at)
        try:
            continue_flowruns(now=clock.now)
        except Crash:
            # Whoever comes next has to wait for the lease to pass.
            clock.move(seconds=conf.get("LEASE_SECONDS") + 1)
    raise AssertionError(f"The run does not come to its end.\n{FlowResult(run, clock)}")
