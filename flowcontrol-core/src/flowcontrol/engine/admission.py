"""Whether a claimed run goes on, and where: pauses, crashes, limits, its event and the condition of its flow."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Any

from django.db import transaction

from .. import conf
from ..base import Wakeup
from ..exceptions import EvaluationError, ObjectGone
from ..expressions import Scope
from ..models import Event, RunStatus
from ..state import State
from . import announce, cursor, faults, limits, transitions
from .awaiting import first_event, wake_if_event_came
from .checkpoints import Checkpoint
from .claims import Claim, database
from .clock import Clock
from .context import RunView
from .cursor import Ending, Position
from .progress import Progress

__all__ = ["Admission"]


class _Left(Exception):
    """The run was left with what has been written already."""


class Admission(Progress):
    """What comes before the first step of a stretch."""

    view: RunView

    def __init__(self, claim: Claim, clock: Clock) -> None:
        super().__init__(claim, clock)
        #: Why a wait ended, and the event behind it until the step has answered; 0 for none.
        self.wakeup = Wakeup()
        self.event_id = 0

    def taken_up(self) -> Generator[Checkpoint, Any, Position | None]:
        """Where to go on; None when the run is left for a reason that has nothing to do with its steps."""
        run = self.run
        if run.is_pause_requested:
            yield self.leaving({}).paused()
        elif run.claim_count > conf.get("MAX_CRASHES"):
            yield self.ending(
                RunStatus.FAILED, f"{run.claim_count - 1} workers in a row vanished while at this step."
            )
        else:
            try:
                left = self.not_admitted() or self.not_woken() or self.condition_not_held()
            except _Left:
                return None
            if left is not None:
                yield left
            else:
                if run.started_at is None:
                    run.started_at = self.claim.claimed_at
                    announce.started(run, self.program)
                position = self.stands_at()
                if isinstance(position, Position):
                    return position
                yield position
        return None

    def stands_at(self) -> Position | Checkpoint:
        try:
            position = cursor.load(self.program, self.run.cursor_json)
        except cursor.PositionGone as error:
            return self.ending(RunStatus.FAILED, str(error))
        if isinstance(position, Ending):
            return self.ending(RunStatus.COMPLETED, position.reason)
        if position.event:
            # A retry of what an event woke: the step is asked about the same event again.
            event = Event.objects.using(database()).filter(pk=position.event).first()
            if event is not None:
                self.event_id = event.pk
                self.wakeup = _woken_by(event)
        return position

    def not_admitted(self) -> Checkpoint | None:
        """Pass the flow's limits; a run that may not start is discarded, or queued."""
        run, bounds = self.run, self.program.limits
        if run.admitted_at is not None:
            return None
        if not bounds:
            run.admitted_at = self.claim.claimed_at
            return None
        with transaction.atomic(using=database()):
            limits.lock(run.flow_id)
            verdict = limits.admit(run.flow_id, bounds, run.object_model, run.object_id, self.clock, run.pk)
            if verdict.is_admitted:
                # Written now, under the lock: the next starter has to see it.
                self.settle({"admitted_at": self.claim.claimed_at, "reason": ""})
                return None
            if verdict.is_queued:
                queued = transitions.queued(verdict.reason, self.moment(), limits.recheck())
                self.settle({"admitted_at": None, **queued})
        if verdict.is_queued:
            raise _Left
        run.admitted_at = self.claim.claimed_at
        return self.ending(RunStatus.DISCARDED, f"Not started: {verdict.reason}.")

    def not_woken(self) -> Checkpoint | None:
        """Take the event that the run waits for; waiting again, when it was woken for nothing."""
        run = self.run
        if not run.wait_event:
            return None
        event = first_event(run)
        if event is not None:
            faults.reach("event.consume")
            self.event_id = event.pk
            self.wakeup = _woken_by(event)
            return None
        if run.wait_until is not None and run.wait_until <= self.now():
            return None
        values = transitions.waiting(run.wait_until, run.wait_event, run.wait_match_object)
        return Checkpoint(
            run,
            self.claim.token,
            values,
            heeds_pause=True,
            after=partial(wake_if_event_came, run, self.clock),
        )

    def condition_not_held(self) -> Checkpoint | None:
        """Ask the flow's condition; a run for which it is not true any more is discarded."""
        condition = self.program.condition
        if condition is None:
            return None
        scope = Scope(self.state.read, {}, self.view.facts, self.now(), self.view.load_object)
        try:
            if condition.is_true(scope):
                return None
        except ObjectGone as error:
            return self.ending(RunStatus.DISCARDED, str(error))
        except EvaluationError as error:
            told = f"The condition of the flow cannot be evaluated: {error}"
            return self.ending(RunStatus.FAILED, told)
        return self.ending(RunStatus.DISCARDED, f"The condition of the flow is not true: {condition.source}")


def _woken_by(event: Event) -> Wakeup:
    return Wakeup(event.name, State.from_text(event.payload_json).read)
