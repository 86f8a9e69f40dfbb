"""One stretch of a run, from a claim until it is left: asks actions, follows their decisions, says what to write.

It is a generator, so that whoever drives it decides how: one run at a time, or many with their checkpoints written
together and their calls of the outside world side by side. It yields a ``Checkpoint`` where something has to be
written before it may go on, and is sent whether it may; and a ``Call`` for an action that touches the world, and is
sent what the call returned, or is thrown what it raised.
"""

from __future__ import annotations

import logging
import random
import time
import traceback
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple, TypeVar

from django.db import DatabaseError, InterfaceError, connections, transaction

from .. import conf
from ..base import (
    BaseAction,
    Decision,
    Effect,
    Failure,
    Retry,
    Wait,
)
from ..documents.program import Node
from ..models import RunStatus
from ..registry import MissingAction
from ..state import State
from . import (
    answers,
    capabilities,
    checkpoints,
    cursor,
    faults,
    limits,
    programs,
    secrecy,
    transitions,
)
from .admission import Admission
from .checkpoints import Checkpoint
from .claims import Claim, database
from .clock import Clock
from .context import RunView, StepContext
from .current import current_run
from .cursor import Ending, Position
from .retries import retry_of
from .timelimit import StepTimeout, time_limit

__all__ = ["Call", "NotCalled", "Request", "Stretch"]

logger = logging.getLogger("flowcontrol.engine")

#: A changed value longer than this, as text, is not repeated in the history.
_LONGEST_CHANGE = 1_000

#: The longest wait that an error can ask for.
_LONGEST_RETRY_SECONDS = 31_536_000.0

# Asked of every step; as attributes of the enumeration they cost Python 3.11 as much as a call.
_PURE, _DATABASE = Effect.PURE, Effect.DATABASE


@dataclass(frozen=True, slots=True)
class Call:
    """A call of an action that touches the world, to be made now, in this thread or another."""

    function: Callable[[], Decision]
    #: Seconds after which it counts as failed; and whether the step or its action says so, or only the settings.
    limit: float
    is_explicit: bool


Request = Checkpoint | Call
#: Sent: whether a checkpoint was written (or the run paused instead), or the decision that a call answered.
Requests = Generator[Request, Any, Any]


_D = TypeVar("_D", bound=Decision | None)


#: Where a step led, and what has to be written first; no position: the run is left with that.
Followed = tuple[Position | None, Checkpoint | None]


class NotCalled(Exception):
    """Thrown in place of an answer: the worker stops, and the call was not begun."""


class _StepFailed(Exception):
    """An action raised, or answered with what cannot be followed or stored."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


class _Question(NamedTuple):
    """An action about to be asked, and what it was given."""

    node: Node
    position: Position
    context: StepContext
    memory: dict[str, Any]
    attempt: int
    began: float


class Stretch(Admission):
    """See the module. ``go`` is the generator; what goes wrong with the run itself never leaves it."""

    def __init__(self, claim: Claim, clock: Clock, should_stop: Callable[[], bool]) -> None:
        super().__init__(claim, clock)
        self.should_stop = should_stop
        #: Claims without a checkpoint are tries of the step at hand.
        self.crashes = self.run.claim_count - 1

    def go(self) -> Requests:
        run = self.run
        self.program = programs.load(run.version_id)
        self.view = RunView(run, self.program.slug, partial(self.clock.passed, self.claim.claimed_at))
        self.state = State.from_text(run.state_json)
        self.keeps_all = self.program.history == "full"
        most = conf.get("MAX_STEPS")
        slice_end = min(most, self.visit_count + conf.get("TIME_SLICE_STEPS"))
        position = yield from self.taken_up()
        while position is not None:
            node = self.program.nodes[position.node]
            if isinstance(node.action, MissingAction):
                yield self.leaving(self.blocked(node, node.action), position)
                return
            if self.visit_count >= slice_end or self.should_stop():
                yield from self.interrupted(position, most)
                return
            here = position
            try:
                if node.is_plain and self.is_first_try(here):
                    position, checkpoint = self.plain_steps(here, slice_end)
                else:
                    position, checkpoint = yield from self.step(node, here)
            except NotCalled:
                yield from self.interrupted(here, most)
                return
            if checkpoint is not None and not (yield checkpoint):
                return

    # -- steps -------------------------------------------------------------------------------------------------

    def interrupted(self, position: Position, most: int) -> Requests:
        """The time slice is over, the worker stops, or the run took too many steps."""
        if self.visit_count >= most:
            reason = f"The run took {self.visit_count} steps (the setting MAX_STEPS). Does a loop never end?"
            yield self.ending(RunStatus.FAILED, reason, position=position)
        elif position.phase == cursor.WAIT:
            # What ended its wait was not told to the action yet, and is looked at again by whoever is next.
            is_waiting = self.run.wait_until is not None or bool(self.run.wait_event)
            yield self.leaving(transitions.looked_at_again(self.moment(), is_waiting=is_waiting), position)
        else:
            yield self.leaving(transitions.handed_back(self.moment()), position)

    def blocked(self, node: Node, missing: MissingAction) -> Mapping[str, Any]:
        reason = f'Step "{node.name}" ({node.id}): {missing.reason} {missing.hint}'.strip()
        again = capabilities.SOON if capabilities.another_has(missing.name) else limits.recheck()
        return transitions.blocked(reason, self.moment(), again, missing.name)

    def is_first_try(self, position: Position) -> bool:
        """Whether nothing happened before that the step has to be told of: a failure, a crash, the end of a wait."""
        return position.attempt == 1 and position.phase != cursor.WAIT and not (self.crashes or self.event_id)

    def plain_steps(self, position: Position, slice_end: int) -> Followed:
        """Ask plain steps one after the other, up to one that is none or the end of the time slice.

        What ``step`` does for any of them, in one loop: calling its parts took longer than the steps themselves.
        """
        program, state, records, should_stop = self.program, self.state, self.records, self.should_stop
        keeps_all, view = self.keeps_all, self.view
        started, pace, monotonic = self.claim.started, self.clock.pace, time.monotonic
        reset = current_run.set(self.run_id)
        try:
            while True:
                index, path, _, _, known, variables = position[0][-1]
                node = program.nodes[index]
                if not node.is_plain or self.visit_count >= slice_end or should_stop():
                    return position, None
                began, memory = monotonic(), dict(known)
                context = StepContext(view, node, state, memory, variables, path, 1, began - started)
                decision = answers.asked(node, position, context)
                took = monotonic() - began
                if view.masker is not None:
                    decision = self.without_secrets(node, memory, decision)
                if memory != known:
                    answers.check_storable(memory)
                target = cursor.advance(program, position, decision, memory)
                changes = state.take(_LONGEST_CHANGE)
                if keeps_all:
                    offset, duration = int((began - started) * pace), int(took * 1_000_000)
                    told = answers.told(decision)
                    records.add(
                        self.visit_count, node.id, path, position[1], 1, offset, duration, told, changes
                    )
                self.visit_count += 1
                if isinstance(target, Ending) or isinstance(decision, Wait):
                    break
                position = target
        except (Exception, SystemExit) as error:
            state.rollback()
            if isinstance(error, DatabaseError | InterfaceError) and _is_database_gone():
                raise
            return self.failed(position, node, error)
        finally:
            current_run.reset(reset)
        return self.left_by(decision, target)

    def step(self, node: Node, position: Position) -> Generator[Request, Any, Followed]:
        """Ask any step, with what has to be written before, or in the same transaction."""
        action = node.action
        assert isinstance(action, BaseAction)
        try:
            if action.effect is _DATABASE:
                return self.in_transaction(node, position)
            if action.effect is _PURE:
                question = self.question(node, position)
                return self.follow(question, self.called_here(question))
            if self.records and not (yield self.checkpoint(position)):
                return None, None
            question = self.question(node, position)
            decision = yield from self.outside(question)
            return self.follow(question, decision)
        except _StepFailed as failed:
            return self.failed(position, node, failed.error)

    def in_transaction(self, node: Node, position: Position) -> Followed:
        """One transaction for what the action writes and for the checkpoint that says it was done."""
        with transaction.atomic(using=database()):
            faults.reach("effect.before")
            question = self.question(node, position)
            following, checkpoint = self.follow(question, self.called_here(question))
            faults.reach("effect.after")
            assert checkpoint is not None
            if not checkpoints.settle(checkpoint):
                following = None
        return following, None

    def outside(self, question: _Question) -> Generator[Request, Any, Decision]:
        """Have the action called by whoever drives this stretch."""
        faults.reach("effect.before")
        limit = question.node.timeout
        seconds = conf.get("STEP_TIMEOUT_SECONDS") if limit is None else limit.total_seconds()
        try:
            decision: Decision = yield Call(
                partial(self.fenced, question, self.answered), seconds, limit is not None
            )
        except StepTimeout as error:
            # Its thread may still be at work on the state that it was given.
            self.state = State.from_text(self.state.text())
            raise _StepFailed(error) from error
        faults.reach("effect.after")
        return decision

    def question(self, node: Node, position: Position) -> _Question:
        """What the step is asked, and with what."""
        frame = position.frames[-1]
        memory = dict(frame.locals)
        attempt = position.attempt + self.crashes
        self.crashes = 0
        began = time.monotonic()
        context = StepContext(
            self.view,
            node,
            self.state,
            memory,
            frame.variables,
            frame.path,
            attempt,
            began - self.claim.started,
            attempt - position.attempt,
        )
        return _Question(node, position, context, memory, attempt, began)

    def called_here(self, question: _Question) -> Decision:
        """Call the action in this thread, within its time limit."""
        limit = question.node.timeout
        if limit is None:
            return self.fenced(question, self.answered)
        try:
            with time_limit(limit.total_seconds()):
                return self.fenced(question, self.answered)
        except StepTimeout as error:
            question.context.undo()
            raise _StepFailed(error) from error

    def fenced(self, question: _Question, ask: Callable[[_Question], _D]) -> _D:
        """Call an action. Raises ``_StepFailed`` for whatever it raises, and the state is then as it was before."""
        reset = current_run.set(self.run_id)
        try:
            return ask(question)
        except (Exception, SystemExit) as error:
            question.context.undo()
            if isinstance(error, DatabaseError | InterfaceError) and _is_database_gone():
                # No fault of the step: the lease passes, and the run goes on from its last checkpoint.
                raise
            raise _StepFailed(error) from error
        finally:
            current_run.reset(reset)

    def answered(self, question: _Question) -> Decision:
        node, position, context = question.node, question.position, question.context
        if position.phase != cursor.WAIT:
            return answers.asked(node, position, context)
        assert isinstance(node.action, BaseAction)
        return answers.checked(node.action.after_wait(context, self.wakeup))

    def follow(self, question: _Question, decision: Decision) -> Followed:
        """Where the answer leads, and what has to be written before; no position: the run is left with that.

        Raises ``_StepFailed`` for an answer that cannot be followed, and for a state that cannot be stored.
        """
        node, position = question.node, question.position
        try:
            if self.view.masker is not None:
                decision = self.without_secrets(node, question.memory, decision)
            if question.memory != position.frames[-1].locals:
                answers.check_storable(question.memory)
            target = cursor.advance(self.program, position, decision, question.memory)
            changes = self.state.take(_LONGEST_CHANGE)
        except Exception as error:
            self.state.rollback()
            raise _StepFailed(error) from error
        if self.keeps_all:
            self.record(
                node,
                position,
                question.attempt,
                question.began,
                time.monotonic(),
                answers.told(decision),
                changes,
            )
        self.visit_count += 1
        if self.event_id:
            self.event_id, self.taken_id = 0, self.event_id
        if isinstance(target, Ending) or isinstance(decision, Wait):
            return self.left_by(decision, target)
        action = node.action
        assert isinstance(action, BaseAction)
        return target, None if action.effect is _PURE else self.checkpoint(target)

    def without_secrets(self, node: Node, memory: dict[str, Any], decision: Decision) -> Decision:
        """Mask what a step leaves behind. Raises as the state does for what cannot be stored."""
        masker = self.view.masker
        assert masker is not None
        secrecy.mask_state(self.state, masker, self.run_id, node.id)
        secrecy.mask_memory(memory, masker, self.run_id, node.id)
        return secrecy.mask_decision(decision, masker)

    def shown(self, text: str) -> str:
        """A text about an error as it may be written down."""
        masker = self.view.masker
        return text if masker is None else masker.mask(text)

    def left_by(self, decision: Decision, target: Position | Ending) -> Followed:
        """The run is left where it waits, or at its end."""
        if isinstance(target, Ending):
            return None, self.ending(RunStatus(target.status), target.reason)
        assert isinstance(decision, Wait)
        return None, self.waiting(decision, target)

    def record(
        self,
        node: Node,
        position: Position,
        attempt: int,
        began: float,
        ended: float,
        told: str,
        changes: str = "",
        error: str = "",
    ) -> None:
        """One more visit for the history."""
        path, phase = position.frames[-1].path, self.asked_for(position)
        offset = int((began - self.claim.started) * self.clock.pace)
        duration = int((ended - began) * 1_000_000)
        self.records.add(
            self.visit_count, node.id, path, phase, attempt, offset, duration, told, changes, error
        )

    def asked_for(self, position: Position) -> str:
        """The phase as the history has it, which also tells what ended a wait."""
        if position.phase != cursor.WAIT:
            return position.phase
        return "time" if self.wakeup.is_timeout else "event"

    # -- failures ----------------------------------------------------------------------------------------------

    def failed(self, position: Position, node: Node, error: BaseException) -> Followed:
        """The step raised: try again later, go where somebody deals with it, or end the run where it stands."""
        message = self.shown(str(error))
        told = message if isinstance(error, answers.ActionFailed) else f"{type(error).__name__}: {message}"
        retry = retry_of(node, position.attempt, error)
        self.record_failure(node, position, "Retry" if retry else "Fail", told)
        if self.view.is_object_gone:
            # What the run is about was deleted, which is no fault of the step.
            return None, self.ending(RunStatus.DISCARDED, message, position=position)
        if retry is not None:
            return None, self.retrying(position, retry, error, told)
        kind = "Fail" if isinstance(error, answers.ActionFailed) else type(error).__name__
        failure = Failure(node.id, node.name, kind, message[:_LONGEST_CHANGE], position.attempt)
        caught = self.caught(position, failure)
        if caught is not None:
            return caught
        reason = f'Step "{node.name}" ({node.id}) failed: {told}'
        trace = self.shown("".join(traceback.format_exception(error)))
        return None, self.ending(RunStatus.FAILED, reason, trace, position=position)

    def retrying(self, position: Position, retry: Retry, error: BaseException, told: str) -> Checkpoint:
        """Wait in the database for the next try."""
        seconds = min(retry.delay * retry.backoff ** (position.attempt - 1), retry.max_delay)
        seconds *= 1 + retry.jitter * random.uniform(-1, 1)  # noqa: S311  no secret
        after = getattr(error, "retry_after", None)
        if isinstance(after, (int, float)):
            # What a server asks for is not trusted with more than a year.
            seconds = max(seconds, min(after, _LONGEST_RETRY_SECONDS))
        until = self.now() + timedelta(seconds=seconds)
        event = self.event_id if position.phase == cursor.WAIT and self.wakeup.event else 0
        again = position._replace(attempt=position.attempt + 1, event=event)
        reason = f"Try {position.attempt + 1} of {retry.attempts} follows; the last one failed: {told}"
        return self.leaving({**transitions.waiting(until, "", True), "reason": reason}, again)

    def caught(self, position: Position, failure: Failure) -> Followed | None:
        """Ask the steps around, from the inside out, whether they deal with it."""
        at = cursor.catch(self.program, position)
        while at is not None:
            node = self.program.nodes[at.node]
            question = self.question(node, at)
            try:
                told = replace(failure, branch=at.branch)
                decision = self.fenced(question, partial(self.dealt_with, failure=told))
                if decision is not None:
                    return self.follow(question, decision)
            except _StepFailed as failed:
                # To deal with it failed as well, which is a failure of that step.
                return self.failed(at, node, failed.error)
            at = cursor.catch(self.program, at)
        return None

    def dealt_with(self, question: _Question, failure: Failure) -> Decision | None:
        action = question.node.action
        assert isinstance(action, BaseAction)
        decision = action.after_failure(question.context, failure)
        return None if decision is None else answers.checked(decision)

    def record_failure(self, node: Node, position: Position, decision: str, told: str) -> None:
        if self.program.history != "none":
            now = time.monotonic()
            error = told[:_LONGEST_CHANGE]
            self.record(node, position, position.attempt, now, now, decision, error=error)
        self.visit_count += 1


def _is_database_gone() -> bool:
    """Whether this thread's connection to the runs' database was cut off."""
    connection = connections[database()]
    if connection.connection is None or connection.closed_in_transaction:
        return True
    if connection.vendor == "postgresql":
        return bool(connection.connection.closed)
    return connection.vendor == "mysql" and not connection.is_usable()
