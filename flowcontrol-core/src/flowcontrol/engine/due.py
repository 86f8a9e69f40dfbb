"""Executing what is due: one run, or everything until nothing is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from .. import conf
from ..exceptions import FlowNotStartable
from ..models import FlowRun, RunStatus
from .claims import Share, claim, database
from .clock import Clock, VirtualClock
from .executor import Crew, Single

__all__ = ["Rounds", "Summary", "continue_flowruns", "execute_run"]

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
        queues: Sequence[str] = (),
        threads: int = 0,
        batch: int | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.should_stop = should_stop
        self.batch = batch or conf.get("BATCH_SIZE")
        self._share = Share(queues)
        self._single = Single(self.clock, should_stop)
        self._crew = Crew(self.clock, should_stop, threads) if threads else None

    @property
    def is_idle(self) -> bool:
        """Whether no call of the world is under way."""
        return self._crew is None or self._crew.is_idle

    def round(self, limit: int | None = None) -> int:
        """Claim up to a batch (and up to ``limit``) of due runs and go on with all that can; returns how many claimed.

        Waits a moment for calls under way when nothing is due.
        """
        room = self.batch if limit is None else min(self.batch, limit)
        if self._crew is not None:
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
    queues: Sequence[str] = (),
    threads: int = 0,
    batch: int | None = None,
) -> Summary:
    """Execute all due runs, longest due first, in this process, until nothing is due.

    Call it from a cron job, a periodic task or a worker's loop; any number of processes may do so at once.
    ``now`` (aware) stands in for the database's clock, for tests and simulations. ``limit`` bounds the stretches
    executed. When ``should_stop`` answers true, the step at hand is finished and the rest handed back. ``queues``:
    only runs of flows in these queues. ``threads``: how many actions that touch the world are called at the same
    time, each in a thread with a database connection of its own; 0 calls them here, one after the other. ``batch``:
    how many runs are claimed at a time, ``FLOWCONTROL["BATCH_SIZE"]`` unless given.
    """
    clock = Clock() if now is None else VirtualClock(now)
    rounds = Rounds(clock, should_stop, queues=queues, threads=threads, batch=batch)
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


def _get(run_id: int) -> FlowRun:
    try:
        return FlowRun.objects.using(database()).get(pk=run_id)
    except FlowRun.DoesNotExist as error:
        raise FlowNotStartable(f"There is no run {run_id}.") from error
