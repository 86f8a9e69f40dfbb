"""How far a run has come in a stretch, and the checkpoints that say so: where it waits, goes on or ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import connections, transaction

from .. import conf
from ..base import Wait
from ..documents.program import Program
from ..models import RunStatus, TakenEvent
from ..models.records import RecordRows
from ..state import State
from . import announce, checkpoints, cursor, limits, transitions
from .awaiting import announce_end, wake_if_event_came
from .checkpoints import Checkpoint
from .claims import Claim, database, lease_length
from .clock import Clock, FixedClock
from .cursor import Position

__all__ = ["Progress"]

_NEVER: Any = object()


class Progress:
    """What a stretch knows of its run that is not written yet, and what it wrote."""

    program: Program
    state: State

    def __init__(self, claim: Claim, clock: Clock) -> None:
        self.run = claim.run
        self.run_id = claim.run.pk
        self.claim = claim
        self.clock = clock
        self.records = RecordRows(claim.claimed_at)
        self.visit_count = self.run.visit_count
        self.stored_state = self.run.state_json
        #: What the checkpoints of this stretch wrote, and when the lease was last renewed.
        self.written: dict[str, Any] = {}
        self.leased_at = claim.claimed_at
        #: The event to be written as taken; 0 for none.
        self.taken_id = 0

    def settle(self, values: Mapping[str, Any]) -> None:
        checkpoints.settle(Checkpoint(self.run, self.claim.token, values))

    def waiting(self, decision: Wait, position: Position) -> Checkpoint:
        soonest = self.now() + timedelta(seconds=conf.get("MIN_WAIT_SECONDS"))
        until = max(decision.until, soonest) if decision.until is not None else None
        event = decision.event or ""
        values = transitions.waiting(until, event, decision.match_object)
        return self.leaving(values, position, self.wake_myself if event else None)

    def wake_myself(self) -> None:
        """An event that came while we wrote saw no run to wake. Whoever commits last sees the other."""
        wake_if_event_came(self.run, self.clock)
        if connections[database()].in_atomic_block:
            transaction.on_commit(partial(wake_if_event_came, self.run, self.clock), using=database())

    def ending(
        self, status: RunStatus, reason: str = "", trace: str = "", *, position: Position | None = None
    ) -> Checkpoint:
        """The end; ``position`` is where the run stands when that is somewhere to go on from."""
        run = self.run
        has_to_tell = self.program.limits.when_reached == "queue" or run.is_awaited
        return Checkpoint(
            run,
            self.claim.token,
            {**self.columns(position), **transitions.ended(status, self.moment(), reason, trace)},
            self.history(),
            within=self.within(partial(self.tell_of_end, status, reason) if has_to_tell else None),
            after=partial(announce.finished, run, self.program, status, reason),
        )

    def tell_of_end(self, status: RunStatus, reason: str) -> None:
        """In the transaction of the end: make room for a queued run, and wake the parent that waits for this one."""
        run = self.run
        ready: list[int] = []
        if self.program.limits.when_reached == "queue":
            ready += limits.release(run.flow_id, run.object_model, run.object_id, self.clock)
        if run.is_awaited:
            ready += announce_end(run, status, reason, self.state.text(), self.clock)
        announce.ready(ready)

    def leaving(
        self,
        values: Mapping[str, Any],
        position: Position | None = None,
        after: Callable[[], None] | None = None,
    ) -> Checkpoint:
        """Where the run stands, and the lease given up."""
        return Checkpoint(
            self.run,
            self.claim.token,
            {**self.columns(position), **values},
            self.history(),
            heeds_pause=True,
            within=self.within(),
            after=after,
        )

    def within(self, more: Callable[[], None] | None = None) -> Callable[[], None] | None:
        """What is written in the transaction of a checkpoint beside the run: which event it took."""
        if not self.taken_id:
            return more
        event_id, self.taken_id = self.taken_id, 0

        def write() -> None:
            TakenEvent.objects.using(database()).create(run_id=self.run.pk, event_id=event_id)
            if more is not None:
                more()

        return write

    def checkpoint(self, position: Position) -> Checkpoint:
        """Where the run stands, and the lease kept. Only what is new is written.

        Least of all the end of the lease while most of it is left: it is in the indexes, and a row that changes in no
        index is rewritten at half the cost.
        """
        now, lease = self.now(), lease_length()
        values = {**self.columns(position), **transitions.continued(FixedClock(now), lease)}
        if now - self.leased_at < lease / 4:
            del values["due_at"]
        else:
            self.leased_at = now
        news = {name: value for name, value in values.items() if self.written.get(name, _NEVER) != value}
        self.written |= news
        return Checkpoint(
            self.run, self.claim.token, news, self.history(), heeds_pause=True, within=self.within()
        )

    def columns(self, position: Position | None) -> dict[str, Any]:
        """What is known of the run; a state that did not change is not written again."""
        run = self.run
        columns: dict[str, Any] = {
            "visit_count": self.visit_count,
            "admitted_at": run.admitted_at,
            "started_at": run.started_at,
        }
        text = self.state.text()
        if text != self.stored_state:
            columns["state_json"] = self.stored_state = text
        if position is not None:
            columns["cursor_json"] = cursor.dump(self.program, position)
            columns["step"] = self.program.nodes[position.node].id
        elif self.records:
            columns["step"] = self.records.last_step
        return columns

    def history(self) -> str:
        text = self.records.text()
        self.records.clear()
        return text

    def now(self) -> datetime:
        return self.clock.since(self.claim.claimed_at, self.claim.started)

    def moment(self) -> Clock:
        return FixedClock(self.now())
