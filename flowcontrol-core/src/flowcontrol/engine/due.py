"""Executing what is due: one run, or everything until nothing is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from .. import conf
from ..exceptions import FlowNotStartable
from ..models import FlowRun, RunStatus
from . import transitions
from .claims import Claim, claim, database
from .clock import Clock, VirtualClock
from .executor import execute
from .heartbeat import kept_alive

__all__ = ["Summary", "continue_flowruns", "execute_run"]


@dataclass(frozen=True, slots=True)
class Summary:
    """What ``continue_flowruns`` did: how many stretches of runs it executed, from a claim until each was left."""

    executed: int


def continue_flowruns(
    now: datetime | None = None,
    limit: int | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Summary:
    """Execute all due runs, longest due first, in this process, until nothing is due.

    Call it from a cron job, a periodic task or a worker's loop; any number of processes may do so at once.
    ``now`` (aware) stands in for the database's clock, for tests and simulations. ``limit`` bounds the stretches
    executed. When ``should_stop`` answers true, the step at hand is finished and the rest handed back.
    """
    clock = Clock() if now is None else VirtualClock(now)
    executed = 0
    while limit is None or executed < limit:
        batch = conf.get("BATCH_SIZE")
        claims = (
            [] if should_stop() else claim(batch if limit is None else min(batch, limit - executed), clock)
        )
        if not claims:
            break
        executed += len(_execute_all(claims, clock, should_stop))
    return Summary(executed)


def execute_run(run: FlowRun | int, now: datetime | None = None) -> FlowRun:
    """Execute one run, if it is due, until it is left; returns it as it is then.

    A run that waits, is paused, has ended or is held by a worker is returned as it is.
    """
    run_id = run if isinstance(run, int) else run.pk
    clock = Clock() if now is None else VirtualClock(now)
    left: FlowRun | None = None
    while claims := claim(1, clock, [run_id]):
        (left,) = _execute_all(claims, clock, lambda: False)
        if left is None or left.status != RunStatus.PENDING:
            break
        # It used up its time slice, and is due again.
    return _get(run_id) if left is None else left


def _get(run_id: int) -> FlowRun:
    try:
        return FlowRun.objects.using(database()).get(pk=run_id)
    except FlowRun.DoesNotExist as error:
        raise FlowNotStartable(f"There is no run {run_id}.") from error


def _execute_all(claims: list[Claim], clock: Clock, should_stop: Callable[[], bool]) -> list[FlowRun | None]:
    """The runs as they were left; fewer than the claims when it had to stop."""
    left: list[FlowRun | None] = []
    with kept_alive(claims[0].token, [each.run.pk for each in claims]):
        for index, each in enumerate(claims):
            if should_stop():
                _hand_back(claims[index:], clock)
                break
            left.append(execute(each, clock, should_stop))
    return left


def _hand_back(claims: list[Claim], clock: Clock) -> None:
    held = FlowRun.objects.using(database()).filter(
        pk__in=[each.run.pk for each in claims], token=claims[0].token
    )
    held.update(**transitions.unclaimed(clock))
