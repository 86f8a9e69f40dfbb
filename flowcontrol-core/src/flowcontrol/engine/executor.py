"""Executing one claimed run: ask actions, follow their decisions, and write checkpoints where effects demand them."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from datetime import timedelta
from typing import Any, NamedTuple

from django.db import InterfaceError, OperationalError, connections, transaction
from django.db.models.expressions import Combinable
from django.utils import timezone

from .. import conf
from .. import state as states
from ..base import Decision, Effect, EnterBranch, Fail, Next, StopFlow, Wait, Wakeup
from ..documents.program import Node, Program
from ..exceptions import EvaluationError, LeaseLost, ObjectGone
from ..expressions import Scope
from ..models import Event, FlowRun, HistoryChunk, RunStatus, StepRecord
from ..registry import MissingAction
from ..state import State
from . import announce, cursor, limits, programs, transitions
from .claims import Claim, database, lease_length
from .clock import Clock
from .context import RunView, StepContext
from .current import current_run
from .cursor import Ending, Position

__all__ = ["execute"]

logger = logging.getLogger("flowcontrol.engine")

#: A changed value longer than this, as text, is not repeated in the history.
_LONGEST_CHANGE = 1_000

#: Types that need no look before they are stored: a loop's counter is one.
_PLAIN = frozenset({bool, int, str, type(None)})

_DATABASE_IS_GONE = (OperationalError, InterfaceError)


def execute(claim: Claim, clock: Clock, should_stop: Callable[[], bool] = lambda: False) -> FlowRun | None:
    """Execute a claimed run until it ends, waits, is blocked, or its time slice is over.

    Returns the run as it was written when it was left (dates that the database chose are read when asked for),
    or None when somebody else has it by now.

    Nothing that goes wrong with this run is raised, so that it stops no other. While the database is away nothing
    can be written: the lease passes, and the run goes on from its last checkpoint.
    """
    execution = _Execution(claim, clock, should_stop)
    try:
        execution.go()
        return claim.run
    except LeaseLost as lost:
        logger.warning("lease lost run=%s: %s", claim.run.pk, lost)
    except _DATABASE_IS_GONE:
        logger.exception("database error run=%s", claim.run.pk)
    except Exception as error:
        logger.exception("engine error run=%s", claim.run.pk)
        execution.give_up(error)
    return None


class _StepFailed(Exception):
    """An action raised, or answered with what cannot be followed or stored; the cause is the error."""


class _Answer(NamedTuple):
    decision: Decision
    target: Position | Ending
    record: StepRecord


class _Execution:
    """One stretch of a run, from the claim to where it is left."""

    program: Program
    view: RunView
    state: State

    def __init__(self, claim: Claim, clock: Clock, should_stop: Callable[[], bool]) -> None:
        self.run = claim.run
        self.claim = claim
        self.clock = clock
        self.should_stop = should_stop
        self.records: list[StepRecord] = []
        self.visit_count = self.run.visit_count
        self.slice_end = self.visit_count + conf.get("TIME_SLICE_STEPS")
        #: Claims without a checkpoint are tries of the step at hand.
        self.attempt = self.run.claim_count
        self.wakeup = Wakeup()
        #: The event behind the wake-up; it counts as taken once the step has answered.
        self.event_id = self.run.last_event_id

    def go(self) -> None:
        run = self.run
        self.program = programs.load(run.version_id)
        self.view = RunView(run, self.program.slug)
        self.state = State.from_text(run.state_json)
        position = self.taken_up()
        while position is not None:
            position = self.visit(position)

    def taken_up(self) -> Position | None:
        """Where to go on; None when the run is left for a reason that has nothing to do with its steps."""
        run = self.run
        if run.is_pause_requested:
            self.leave(transitions.paused())
        elif run.claim_count > conf.get("MAX_CRASHES"):
            self.end(RunStatus.FAILED, f"{run.claim_count - 1} workers in a row vanished while at this step.")
        elif self.admitted() and self.woken() and self.condition_holds():
            if run.started_at is None:
                run.started_at = self.claim.claimed_at
                announce.started(run, self.program.slug)
            return self.stands_at()
        return None

    def stands_at(self) -> Position | None:
        try:
            position = cursor.load(self.program, self.run.cursor_json)
        except cursor.PositionGone as error:
            self.end(RunStatus.FAILED, str(error))
            return None
        if isinstance(position, Ending):
            self.end(RunStatus.COMPLETED, position.reason)
            return None
        return position

    # -- before the first step ---------------------------------------------------------------------------------

    def admitted(self) -> bool:
        """Pass the flow's limits; a run that may not start is discarded, or queued."""
        run, bounds = self.run, self.program.limits
        if run.admitted_at is not None:
            return True
        run.admitted_at = self.claim.claimed_at
        if not bounds:
            return True
        with transaction.atomic(using=database()):
            limits.lock(run.flow_id)
            verdict = limits.admit(run.flow_id, bounds, run.object_model, run.object_id, self.clock, run.pk)
            if verdict.is_admitted:
                # Written now, under the lock: the next starter has to see it.
                transitions.write(run.pk, self.claim.token, {"admitted_at": run.admitted_at, "reason": ""})
                return True
            run.admitted_at = None
            if verdict.is_queued:
                transitions.write(
                    run.pk, self.claim.token, transitions.queued(verdict.reason, self.clock, limits.recheck())
                )
            else:
                self.end(RunStatus.DISCARDED, f"Not started: {verdict.reason}.")
            return False

    def woken(self) -> bool:
        """Take the event that the run waits for; false, and waiting again, when it was woken for nothing."""
        run = self.run
        if not run.wait_event:
            return True
        event = _first_event(run)
        if event is not None:
            self.event_id = event.pk
            self.wakeup = Wakeup(event.name, State.from_text(event.payload_json).read)
            return True
        if run.wait_until is not None and run.wait_until <= self.now():
            return True
        values = transitions.waiting(run.wait_until, run.wait_event, run.wait_match_object)
        transitions.write(run.pk, self.claim.token, values)
        return False

    def condition_holds(self) -> bool:
        """Ask the flow's condition; a run for which it is not true any more is discarded."""
        condition = self.program.condition
        if condition is None:
            return True
        scope = Scope(self.state.read, {}, self.view.facts, self.now(), self.view.load_object)
        try:
            if condition.evaluate(scope):
                return True
        except ObjectGone as error:
            self.end(RunStatus.DISCARDED, str(error))
        except EvaluationError as error:
            self.end(RunStatus.FAILED, f"The condition of the flow cannot be evaluated: {error}")
        else:
            self.end(RunStatus.DISCARDED, f"The condition of the flow is not true: {condition.source}")
        return False

    # -- steps -------------------------------------------------------------------------------------------------

    def visit(self, position: Position) -> Position | None:
        """Ask the step at the position, and write what has to be; None when the run is left."""
        node = self.program.nodes[position.node]
        if isinstance(node.action, MissingAction):
            self.block(node, node.action, position)
        elif self.visit_count >= conf.get("MAX_STEPS"):
            reason = f"The run took {self.visit_count} steps (the setting MAX_STEPS). Does a loop never end?"
            self.end(RunStatus.FAILED, reason, position=position)
        elif self.visit_count >= self.slice_end or self.should_stop():
            # A wait whose end was not told to the action yet is looked at again by whoever is next.
            untold = position.phase == cursor.WAIT
            self.leave((transitions.unclaimed if untold else transitions.handed_back)(self.clock), position)
        elif node.action.effect is not Effect.EXTERNAL or not self.records or self.checkpoint(position):
            return self.step(node, node.action.effect, position)
        return None

    def step(self, node: Node, effect: Effect, position: Position) -> Position | None:
        try:
            # One transaction for what the action writes and for the checkpoint that says it was done.
            with transaction.atomic(using=database()) if effect is Effect.DATABASE else nullcontext():
                return self.follow(self.ask(node, position), effect)
        except _StepFailed as failed:
            self.fail(position, node, failed)
        return None

    def block(self, node: Node, missing: MissingAction, position: Position) -> None:
        reason = f'Step "{node.name}" ({node.id}): {missing.reason} {missing.hint}'.strip()
        recheck = timedelta(seconds=conf.get("BLOCKED_RECHECK_SECONDS"))
        self.leave(transitions.blocked(reason, self.clock, recheck), position)

    def ask(self, node: Node, position: Position) -> _Answer:
        """Call the action; what it answered, where that leads, and the record of it. Writes nothing.

        Raises ``_StepFailed``, and the state is then as it was before.
        """
        frame = position.frames[-1]
        memory = dict(frame.locals)
        attempt, self.attempt = self.attempt, 1
        now = self.now()
        context = StepContext(
            self.view,
            node,
            self.state,
            memory,
            variables=frame.variables,
            path=frame.path,
            attempt=attempt,
            now=now,
        )
        started = time.perf_counter()
        reset = current_run.set(self.run.pk)
        try:
            decision = self.call(node, position, context)
            if memory != frame.locals:
                _check_storable(memory)
                position = position._replace(frames=(*position.frames[:-1], frame._replace(locals=memory)))
            target = cursor.advance(self.program, position, decision)
            changes = self.state.changes()
        except (Exception, SystemExit) as error:
            self.state.rollback()
            self.attempt = attempt
            raise _StepFailed from error
        finally:
            current_run.reset(reset)
        duration = timedelta(seconds=time.perf_counter() - started)
        self.state.commit()
        record = StepRecord(
            self.visit_count,
            node.id,
            frame.path,
            position.phase,
            attempt,
            now,
            duration,
            _told(decision),
            _shortened(changes) or None,
        )
        return _Answer(decision, target, record)

    def call(self, node: Node, position: Position, context: StepContext) -> Decision:
        action = node.action
        assert not isinstance(action, MissingAction)
        if position.phase == cursor.BRANCH:
            decision = action.after_branch(context, position.branch)
        elif position.phase == cursor.WAIT:
            decision = action.after_wait(context, self.wakeup)
        else:
            decision = action.run(context)
        match decision:
            case None:
                return Next()
            case Fail(error=BaseException() as error):
                raise error
            case Fail(error=error):
                raise ActionFailed(error)
            case Wait(until=until) if until is not None and timezone.is_naive(until):
                raise ValueError(f"The wait until {until} has no time zone; use an aware datetime.")
            case EnterBranch(variables=variables) if variables:
                _check_storable(variables)
        return decision

    def follow(self, answer: _Answer, effect: Effect) -> Position | None:
        """Go where the answer leads, with a checkpoint where the effect demands one."""
        self.records.append(answer.record)
        self.visit_count += 1
        self.run.last_event_id = self.event_id
        target = answer.target
        if isinstance(target, Ending):
            self.end(RunStatus(target.status), target.reason)
        elif isinstance(answer.decision, Wait):
            self.wait(answer.decision, target)
        elif effect is Effect.PURE or self.checkpoint(target):
            return target
        return None

    # -- writes ------------------------------------------------------------------------------------------------

    def wait(self, decision: Wait, position: Position) -> None:
        soonest = self.now() + timedelta(seconds=conf.get("MIN_WAIT_SECONDS"))
        until = max(decision.until, soonest) if decision.until is not None else None
        event = decision.event or ""
        self.leave(transitions.waiting(until, event, decision.match_object), position)
        if event:
            # An event that came while we wrote saw no run to wake. Whoever commits last sees the other.
            self.wake_if_event_came()
            if connections[database()].in_atomic_block:
                transaction.on_commit(self.wake_if_event_came, using=database())

    def wake_if_event_came(self) -> None:
        runs = FlowRun.objects.using(database()).filter(pk=self.run.pk, status=RunStatus.WAITING)
        fresh = runs.exclude(wait_event="").first()
        if fresh is not None and _first_event(fresh) is not None:
            runs.update(**transitions.woken(self.clock))
            announce.ready([fresh.pk])

    def fail(self, position: Position, node: Node, failed: _StepFailed) -> None:
        """The step raised: end the run where it stands, so that it can be restarted from here."""
        error = failed.__cause__
        assert error is not None
        told = str(error) if isinstance(error, ActionFailed) else f"{type(error).__name__}: {error}"
        frame = position.frames[-1]
        self.records.append(
            StepRecord(
                number=self.visit_count,
                step=node.id,
                path=frame.path,
                phase=position.phase,
                attempt=self.attempt,
                started_at=self.now(),
                duration=timedelta(),
                decision="Fail",
                error=told[:_LONGEST_CHANGE],
            )
        )
        self.visit_count += 1
        if self.view.is_object_gone:
            # What the run is about was deleted, which is no fault of the step.
            self.end(RunStatus.DISCARDED, str(error), position=position)
        else:
            trace = "".join(traceback.format_exception(error))
            reason = f'Step "{node.name}" ({node.id}) failed: {told}'
            self.end(RunStatus.FAILED, reason, trace, position=position)

    def end(
        self, status: RunStatus, reason: str = "", trace: str = "", *, position: Position | None = None
    ) -> None:
        """Write the end; ``position`` is where the run stands when that is somewhere to go on from."""
        run = self.run
        ended = transitions.ended(status, self.clock, reason, trace)
        if self.program.limits.when_reached == "queue":
            with transaction.atomic(using=database()):
                self.write(ended, position)
                released = limits.release(run.flow_id, run.object_model, run.object_id, self.clock)
            announce.ready(released)
        else:
            self.write(ended, position)
        announce.finished(run, self.program.slug, status, reason)

    def leave(self, values: Mapping[str, Any], position: Position | None = None) -> None:
        """Write where the run stands and give up the lease."""
        self.write_unless_paused(values, position)

    def checkpoint(self, position: Position) -> bool:
        """Write where the run stands and keep the lease; false when somebody asked for a pause."""
        return self.write_unless_paused(transitions.continued(self.clock, lease_length()), position)

    def write_unless_paused(self, values: Mapping[str, Any], position: Position | None) -> bool:
        try:
            self.write(values, position, unless_pause_requested=True)
        except LeaseLost:
            # Either it is lost, and this raises once more, or somebody asked for a pause.
            self.write({**values, **transitions.paused()}, position)
            return False
        return True

    def write(
        self, values: Mapping[str, Any], position: Position | None, *, unless_pause_requested: bool = False
    ) -> None:
        """The checkpoint: one guarded UPDATE of the run, and one INSERT for the history since the last one."""
        run = self.run
        columns: dict[str, Any] = {
            "state_json": self.state.text(),
            "visit_count": self.visit_count,
            "last_event_id": run.last_event_id,
            "admitted_at": run.admitted_at,
            "started_at": run.started_at,
        }
        if position is not None:
            columns["cursor_json"] = cursor.dump(self.program, position)
            columns["step"] = self.program.nodes[position.node].id
        elif self.records:
            columns["step"] = self.records[-1].step
        with transaction.atomic(using=database()) if self.records else nullcontext():
            transitions.write(
                run.pk, self.claim.token, {**columns, **values}, unless_pause_requested=unless_pause_requested
            )
            if self.records:
                HistoryChunk.objects.using(database()).create(
                    run_id=run.pk, packed=StepRecord.pack(self.records)
                )
        self.records.clear()
        _mirror(run, {**columns, **values})

    def give_up(self, error: Exception) -> None:
        """The engine itself failed at this run: fail it with what is known, if its lease still allows that."""
        trace = "".join(traceback.format_exception(error))
        ended = transitions.ended(RunStatus.FAILED, self.clock, f"{type(error).__name__}: {error}", trace)
        try:
            transitions.write(self.run.pk, self.claim.token, ended)
        except LeaseLost as lost:
            logger.warning("lease lost run=%s: %s", self.run.pk, lost)

    def now(self) -> Any:
        return self.clock.since(self.claim.claimed_at, self.claim.started)


class ActionFailed(Exception):
    """An action answered ``Fail`` with a text."""


def _first_event(run: FlowRun) -> Event | None:
    """The first event since the run began, or since the last one it took, that it waits for."""
    events = Event.objects.using(database()).filter(
        name=run.wait_event, pk__gt=run.last_event_id, created_at__gte=run.created_at
    )
    if run.wait_match_object:
        events = events.filter(object_model=run.object_model, object_id=run.object_id)
    return events.order_by("pk").first()


def _told(decision: Decision) -> str:
    """The decision in a word or two for the history."""
    match decision:
        case EnterBranch(name=name):
            return f"EnterBranch {name}"
        case Wait(until=until, event=event):
            times = [f"until {until.isoformat()}"] if until else []
            return " ".join(["Wait", *times, *([f"for {event}"] if event else [])])
        case StopFlow(reason=reason) if reason:
            return f"StopFlow {reason[:200]}"
    return type(decision).__name__


def _mirror(run: FlowRun, values: Mapping[str, Any]) -> None:
    """Give the instance what was written; what the database computed is read when somebody asks for it."""
    for name, value in values.items():
        if isinstance(value, Combinable):
            run.__dict__.pop(name, None)
        else:
            setattr(run, name, value)


def _check_storable(values: Mapping[str, Any]) -> None:
    """Raises ``StateError`` for values that a cursor cannot keep."""
    if not all(type(value) in _PLAIN for value in values.values()):
        states.encode(values)


def _shortened(changes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value if not isinstance(value, (str, list, dict)) or len(str(value)) <= _LONGEST_CHANGE else "…"
        for key, value in changes.items()
    }
