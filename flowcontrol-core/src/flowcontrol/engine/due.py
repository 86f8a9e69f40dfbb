"""Executing what is due: one run, or everything until nothing is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import OuterRef, Subquery

from .. import conf
from ..exceptions import FlowNotStartable
from ..models import Flow, FlowRun, RunStatus
from ..models.database import DatabaseNow
from .claims import Chosen, Share, claim, database
from .clock import Clock, VirtualClock
from .executor import Crew, Single

__all__ = [
    "Rounds",
    "Route",
    "Summary",
    "continue_flowruns",
    "count_due",
    "execute_run",
    "routes",
    "seconds_until_due",
]

#: Seconds between two looks for due runs while calls of the world are under way.
_LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Summary:
    """What ``continue_flowruns`` did: how many stretches of runs it executed, from a claim until each was left."""

    executed: int


class Rounds:
    """Claims and executes due runs, round by round: what a worker's loop calls.

    With ``threads``, actions that touch the world are called in so many threads, and their runs go on in later
    rounds: none waits for another. Without, everything happens here and now.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        should_stop: Callable[[], bool] = lambda: False,
        *,
        run_ids: Sequence[int] | None = None,
        queues: Sequence[str] = (),
        threads: int = 0,
        batch: int | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.should_stop = should_stop
        self.batch = batch or conf.get("BATCH_SIZE")
        self._share = Share(queues) if run_ids is None else Chosen(run_ids)
        self._single = Single(self.clock, should_stop)
        self._crew = Crew(self.clock, should_stop, threads) if threads else None
        #: Whether the last round took on nothing for want of threads, so that nobody knows what is due.
        self._was_full = False

    @property
    def is_idle(self) -> bool:
        """Whether no call of the world is under way, nor was too many for the last round to look for due runs."""
        return self._crew is None or (self._crew.is_idle and not self._was_full)

    def round(self, limit: int | None = None) -> int:
        """Claim up to a batch (and up to ``limit``) of due runs and go on with all that can; returns how many claimed.

        Waits a moment for calls under way when nothing is due.
        """
        room = self.batch if limit is None else min(self.batch, limit)
        if self._crew is not None:
            self._was_full = self._crew.room <= 0 and not self.should_stop()
            room = min(room, self._crew.room)
        claims = self._share.claim(room, self.clock) if room > 0 and not self.should_stop() else []
        if self._crew is None:
            return len(self._single.execute(claims))
        self._crew.take(claims)
        self._crew.turn(0 if claims else _LOOK_SECONDS)
        return len(claims)

    def close(self) -> None:
        """Let go of what is under way: leases pass, and what these calls answer is not heard."""
        if self._crew is not None:
            self._crew.close()


def continue_flowruns(
    now: datetime | None = None,
    limit: int | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    *,
    run_ids: Sequence[int] | None = None,
    queues: Sequence[str] = (),
    threads: int = 0,
    batch: int | None = None,
) -> Summary:
    """Execute all due runs, longest due first, in this process, until nothing is due.

    Call it from a cron job, a periodic task or a worker's loop; any number of processes may do so at once.
    ``now`` (aware) stands in for the database's clock, for tests and simulations. ``limit`` bounds the stretches
    executed. When ``should_stop`` answers true, the step at hand is finished and the rest handed back. ``run_ids``:
    only these runs, as far as they are due; what they make due is left to others. ``queues``: only runs of flows in
    these queues; not together with ``run_ids``. ``threads``: how many actions that touch the world are called at the
    same time, each in a thread with a database connection of its own; 0 calls them here, one after the other.
    ``batch``: how many runs are claimed at a time, ``FLOWCONTROL["BATCH_SIZE"]`` unless given.
    """
    if run_ids is not None and queues:
        raise ValueError(f"Either run_ids or queues, not both: {list(run_ids)!r} and {list(queues)!r}.")
    clock = Clock() if now is None else VirtualClock(now)
    rounds = Rounds(clock, should_stop, run_ids=run_ids, queues=queues, threads=threads, batch=batch)
    executed = 0
    try:
        while True:
            left = None if limit is None else limit - executed
            claimed = rounds.round(left)
            executed += claimed
            if not claimed and rounds.is_idle:
                return Summary(executed)
    finally:
        rounds.close()


def execute_run(run: FlowRun | int, now: datetime | None = None) -> FlowRun:
    """Execute one run, if it is due, until it is left; returns it as it is then.

    A run that waits, is paused, has ended or is held by a worker is returned as it is.
    """
    run_id = run if isinstance(run, int) else run.pk
    clock = Clock() if now is None else VirtualClock(now)
    single = Single(clock, lambda: False)
    left: FlowRun | None = None
    while claims := claim(1, clock, [run_id]):
        (left,) = single.execute(claims)
        if left is None or left.status != RunStatus.PENDING:
            break
        # It used up its time slice, and is due again.
    return _get(run_id) if left is None else left


def seconds_until_due(queues: Sequence[str] = ()) -> float | None:
    """How long until the next run (of these queues) is due, negative when one is already; None when none ever is.

    Of a run that is being executed that is the end of its lease.
    """
    rows: Iterable[Any]
    runs = FlowRun.objects.using(database()).filter(due_at__isnull=False)
    if queues:
        # Flow by flow, along the index: in one heap, those of other queues might all come first.
        first = runs.filter(flow_id=OuterRef("pk")).order_by("due_at", "id").values("due_at")[:1]
        flows = Flow.objects.using(database()).filter(queue__in=queues).annotate(due_at=Subquery(first))
        rows = flows.filter(due_at__isnull=False).order_by().values_list("due_at", DatabaseNow())
    else:
        rows = runs.order_by("due_at", "id").values_list("due_at", DatabaseNow())[:1]
    return min(((due_at - now).total_seconds() for due_at, now in rows), default=None)


class Route(NamedTuple):
    """What a flow says about who executes its runs, and when."""

    queue: str
    priority: int


def routes(run_ids: Sequence[int]) -> dict[Route, list[int]]:
    """These runs by queue and priority of their flows, the highest priority first. One query."""
    found: dict[Route, list[int]] = {}
    rows = FlowRun.objects.using(database()).filter(pk__in=run_ids).order_by("-flow__priority", "pk")
    for pk, queue, priority in rows.values_list("pk", "flow__queue", "flow__priority"):
        found.setdefault(Route(queue, priority), []).append(pk)
    return found


def count_due(at_most: int, queues: Sequence[str] = ()) -> dict[str, int]:
    """How many runs (of these queues) are due now, by queue, of the first ``at_most``. One query."""
    due = FlowRun.objects.using(database()).due(Clock().now())
    if queues:
        due = due.filter(flow__queue__in=queues)
    counts: dict[str, int] = {}
    for queue in due.values_list("flow__queue", flat=True)[:at_most]:
        counts[queue] = counts.get(queue, 0) + 1
    return counts


def _get(run_id: int) -> FlowRun:
    try:
        return FlowRun.objects.using(database()).get(pk=run_id)
    except FlowRun.DoesNotExist as error:
        raise FlowNotStartable(f"There is no run {run_id}.") from error
