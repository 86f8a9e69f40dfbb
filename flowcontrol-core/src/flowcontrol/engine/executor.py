"""Driving stretches of runs: one after the other, or many at once."""

from __future__ import annotations

import logging
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from django.db import InterfaceError, OperationalError, connections

from ..exceptions import LeaseLost
from ..models import FlowRun, RunStatus
from . import announce, checkpoints, transitions
from .awaiting import tell_parent
from .calls import Calls
from .checkpoints import Checkpoint
from .claims import Claim, database
from .clock import Clock, FixedClock
from .heartbeat import hold, let_go
from .stretch import Call, NotCalled, Request, Stretch
from .timelimit import time_limit

__all__ = ["Crew", "Single"]

logger = logging.getLogger("flowcontrol.engine")

_DATABASE_IS_GONE = (OperationalError, InterfaceError)

#: Ends of runs are written together, but none waits longer than this for the others.
_LONGEST_WAIT_SECONDS = 0.5


class _Execution:
    """A stretch being driven, with a fence around it.

    Nothing that goes wrong with a run is raised, so that it stops no other. While the database is away nothing can be
    written: the lease passes, and the run goes on from its last checkpoint.
    """

    def __init__(self, claim: Claim, clock: Clock, should_stop: Callable[[], bool]) -> None:
        self.claim = claim
        self.clock = clock
        self.requests = Stretch(claim, clock, should_stop).go()
        #: Whether it called the world since its claim.
        self.has_called = False
        #: The run as it was left; None when somebody else has it by now, or nobody knows.
        self.left: FlowRun | None = None

    def proceed(self, answer: Any = None) -> Request | None:
        """Go on with the answer to the last request (an exception is thrown); None when there is no further one."""
        run = self.claim.run
        try:
            if isinstance(answer, BaseException):
                return self.requests.throw(answer)
            return self.requests.send(answer)
        except StopIteration:
            self.left = run
        except LeaseLost as lost:
            logger.warning("lease lost run=%s: %s", run.pk, lost, extra={"run": run.pk})
        except _DATABASE_IS_GONE:
            logger.exception("database error run=%s", run.pk, extra={"run": run.pk})
            connection = connections[database()]
            if not connection.in_atomic_block:
                # What is left of a broken connection would fail for the next run, too.
                connection.close_if_unusable_or_obsolete()
        except Exception as error:
            logger.exception("engine error run=%s", run.pk, extra={"run": run.pk})
            self.give_up(error)
        return None

    def give_up(self, error: Exception) -> None:
        """The engine itself failed at this run: fail it with what is known, if its lease still allows that."""
        claim = self.claim
        now = self.clock.since(claim.claimed_at, claim.started)
        trace = "".join(traceback.format_exception(error))
        reason = f"{type(error).__name__}: {error}"
        ended = transitions.ended(RunStatus.FAILED, FixedClock(now), reason, trace)
        try:
            checkpoints.settle(
                Checkpoint(claim.run, claim.token, ended, within=partial(self.tell_parent, reason))
            )
        except LeaseLost as lost:
            logger.warning("lease lost run=%s: %s", claim.run.pk, lost, extra={"run": claim.run.pk})

    def tell_parent(self, reason: str) -> None:
        announce.ready(tell_parent(self.claim.run, RunStatus.FAILED, reason, self.clock))


class Single:
    """Runs one after the other in this thread. Only their ends are written together."""

    def __init__(self, clock: Clock, should_stop: Callable[[], bool]) -> None:
        self.clock = clock
        self.should_stop = should_stop
        self.ended: list[tuple[_Execution, Checkpoint]] = []

    def execute(self, claims: Sequence[Claim]) -> list[FlowRun | None]:
        """The runs as they were left; fewer than the claims when it had to stop."""
        if not claims:
            return []
        executions: list[_Execution] = []
        tokens = _held(claims)
        try:
            waits_since = time.monotonic()
            for index, claim in enumerate(claims):
                if self.should_stop():
                    hand_back(claims[index:], self.clock)
                    break
                execution = _Execution(claim, self.clock, self.should_stop)
                executions.append(execution)
                self.drive(execution)
                if time.monotonic() - waits_since > _LONGEST_WAIT_SECONDS:
                    self.flush()
                    waits_since = time.monotonic()
            self.flush()
        finally:
            for token in tokens:
                let_go(token)
        return [each.left for each in executions]

    def drive(self, execution: _Execution) -> None:
        request = execution.proceed()
        while request is not None:
            if isinstance(request, Call):
                # What was done so far must not be lost while we wait for the world.
                self.flush()
                execution.has_called = True
                request = execution.proceed(_answer(request))
            elif request.is_last and request.within is None and not execution.has_called:
                # Nothing but its own steps would be repeated, and these unseen.
                self.ended.append((execution, request))
                return
            else:
                (answer,) = checkpoints.settle_all([request])
                request = execution.proceed(answer)

    def flush(self) -> None:
        """Write the ends that are due to be written."""
        ended, self.ended = self.ended, []
        answers = checkpoints.settle_all([checkpoint for _, checkpoint in ended])
        for (execution, _), answer in zip(ended, answers, strict=True):
            execution.proceed(answer)


class Crew:
    """Many runs at once: their checkpoints are written together, and their calls of the world overlap."""

    def __init__(self, clock: Clock, should_stop: Callable[[], bool], threads: int) -> None:
        self.clock = clock
        self.should_stop = should_stop
        self.calls = Calls(threads)
        self.ready: list[tuple[_Execution, Any]] = []
        self.held: Counter[str] = Counter()

    @property
    def room(self) -> int:
        """How many more calls of the world can be taken on."""
        return 2 * self.calls.size - len(self.calls)

    @property
    def is_idle(self) -> bool:
        return not self.ready and not self.calls

    def take(self, claims: Sequence[Claim]) -> None:
        """Begin these runs with the next turn; or hand them back when there is to be none."""
        if not claims:
            return
        if self.should_stop():
            hand_back(claims, self.clock)
            return
        for claim in claims:
            self.held[claim.token] += 1
            self.ready.append((_Execution(claim, self.clock, self.should_stop), None))
        _held(claims)

    def turn(self, patience: float = 0.0) -> None:
        """Go on with every run that can; waits up to ``patience`` seconds for a call when none can."""
        if self.should_stop():
            self.ready += [(execution, NotCalled()) for execution in self.calls.withdraw()]
        self.ready += self.calls.answers(0 if self.ready else patience)
        while self.ready:
            ready, self.ready = self.ready, []
            asked: list[tuple[_Execution, Checkpoint]] = []
            for execution, answer in ready:
                request = execution.proceed(answer)
                if request is None:
                    self.let_go(execution.claim.token)
                elif isinstance(request, Call):
                    self.calls.start(execution, request)
                else:
                    asked.append((execution, request))
            answers = checkpoints.settle_all([checkpoint for _, checkpoint in asked])
            self.ready += zip((execution for execution, _ in asked), answers, strict=True)

    def let_go(self, token: str) -> None:
        self.held[token] -= 1
        if not self.held[token]:
            del self.held[token]
            let_go(token)

    def close(self) -> None:
        """Let the threads end, and the leases of calls that are still under way pass."""
        self.calls.close()
        for token in self.held:
            let_go(token)


def _held(claims: Sequence[Claim]) -> set[str]:
    """Have the leases of these kept, which may be of several tokens; returns which."""
    tokens = {claim.token for claim in claims}
    for token in tokens:
        hold(token, [claim.run.pk for claim in claims if claim.token == token])
    return tokens


def hand_back(claims: Sequence[Claim], clock: Clock) -> None:
    """Give up claims of runs that were not begun."""
    for token in {claim.token for claim in claims}:
        held = FlowRun.objects.using(database()).filter(
            pk__in=[claim.run.pk for claim in claims if claim.token == token], token=token
        )
        held.update(**transitions.unclaimed(clock))


def _answer(call: Call) -> Any:
    """What the call returned or raised. Only a limit of the step's own is kept here: each costs a thread."""
    try:
        with time_limit(call.limit if call.is_explicit else None):
            return call.function()
    except Exception as error:  # noqa: BLE001  thrown into the stretch
        return error
