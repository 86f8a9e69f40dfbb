"""The one door for every change of a run's status: which may follow which, and what else is written with it.

A transition is a dict of column values. ``checkpoints`` applies it as the worker that holds the lease, ``change`` from
outside to whatever runs allow it; both are one guarded UPDATE.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, F, Q, QuerySet, Value, When

from ..models import FlowRun, RunStatus
from .clock import Clock

__all__ = [
    "blocked",
    "change",
    "continued",
    "discarded",
    "ended",
    "handed_back",
    "looked_at_again",
    "may_change",
    "paused",
    "queued",
    "resumed",
    "running",
    "unclaimed",
    "waiting",
    "woken",
]

_LIVE = frozenset(
    {RunStatus.PENDING, RunStatus.RUNNING, RunStatus.WAITING, RunStatus.PAUSED, RunStatus.BLOCKED}
)
_ALL = frozenset(RunStatus)

#: From which statuses a run may come to each.
FROM: dict[RunStatus, frozenset[RunStatus]] = {
    # restarted by hand, handed back, resumed
    RunStatus.PENDING: _ALL,
    # claimed; a running one whose worker let its lease pass is claimed again
    RunStatus.RUNNING: _LIVE - {RunStatus.PAUSED},
    RunStatus.WAITING: frozenset({RunStatus.RUNNING, RunStatus.PAUSED, RunStatus.WAITING}),
    RunStatus.PAUSED: _LIVE - {RunStatus.PAUSED},
    RunStatus.BLOCKED: frozenset({RunStatus.RUNNING}),
    RunStatus.COMPLETED: frozenset({RunStatus.RUNNING}),
    RunStatus.STOPPED: frozenset({RunStatus.RUNNING}),
    RunStatus.FAILED: frozenset({RunStatus.RUNNING}),
    RunStatus.DISCARDED: frozenset({RunStatus.RUNNING}),
    RunStatus.CANCELLED: _LIVE,
}

_NO_WAIT = {"wait_until": None, "wait_event": "", "wait_match_object": True}
_NO_LEASE = {"token": "", "claim_count": 0}


def running(token: str, clock: Clock, lease: timedelta) -> dict[str, Any]:
    """Claimed: the lease's end is the date on which others may take the run."""
    return {
        "status": RunStatus.RUNNING,
        "token": token,
        "due_at": clock.after(lease),
        "claim_count": F("claim_count") + 1,
        "needs": "",
    }


def continued(clock: Clock, lease: timedelta) -> dict[str, Any]:
    """Still running, and its lease renewed, with a checkpoint. The claim counts for the step that follows."""
    return {
        "status": RunStatus.RUNNING,
        "due_at": clock.after(lease),
        "claim_count": 1,
        "reason": "",
        **_NO_WAIT,
    }


def handed_back(clock: Clock) -> dict[str, Any]:
    """Due at once for whoever is next: a time slice is over, or the worker stops."""
    return {"status": RunStatus.PENDING, "due_at": clock.now(), "reason": "", **_NO_LEASE, **_NO_WAIT}


def unclaimed(clock: Clock) -> dict[str, Any]:
    """Claimed, but not taken up: due at once, and what it waited for is still to be looked at."""
    return {"status": _waiting_or_pending(), "due_at": clock.now(), **_NO_LEASE}


def looked_at_again(clock: Clock, *, is_waiting: bool) -> dict[str, Any]:
    """The same of one run, by the worker that holds it."""
    status = RunStatus.WAITING if is_waiting else RunStatus.PENDING
    return {"status": status, "due_at": clock.now(), **_NO_LEASE}


def waiting(until: datetime | None, event: str, match_object: bool) -> dict[str, Any]:
    return {
        "status": RunStatus.WAITING,
        "due_at": until,
        "wait_until": until,
        "wait_event": event,
        "wait_match_object": match_object,
        "reason": "",
        **_NO_LEASE,
    }


def woken(clock: Clock) -> dict[str, Any]:
    """An event came for a waiting run; it is due, and takes the event when it is claimed."""
    return {"due_at": clock.now()}


def blocked(reason: str, clock: Clock, recheck: timedelta, needs: str) -> dict[str, Any]:
    """An action is missing here; whoever has it may look again after ``recheck``."""
    return {
        "status": RunStatus.BLOCKED,
        "reason": reason,
        "due_at": clock.after(recheck),
        "needs": needs,
        **_NO_LEASE,
    }


def queued(reason: str, clock: Clock, recheck: timedelta) -> dict[str, Any]:
    """A limit is reached, and the run waits its turn; an ending run makes it due, ``recheck`` is the safety net."""
    return {"status": RunStatus.PENDING, "reason": reason, "due_at": clock.after(recheck), **_NO_LEASE}


def ended(status: RunStatus, clock: Clock, reason: str = "", traceback: str = "") -> dict[str, Any]:
    return {
        "status": status,
        "reason": reason,
        "traceback": traceback,
        "due_at": None,
        "ended_at": clock.now(),
        "is_pause_requested": False,
        **_NO_LEASE,
        **_NO_WAIT,
    }


def discarded(clock: Clock, reason: str) -> dict[str, Any]:
    return ended(RunStatus.DISCARDED, clock, reason)


def paused() -> dict[str, Any]:
    """Set aside by hand. What it waits for is kept."""
    return {"status": RunStatus.PAUSED, "due_at": None, "is_pause_requested": False, **_NO_LEASE}


def resumed(clock: Clock) -> dict[str, Any]:
    """Back from a pause: to its wait when it has one (over by now or not), else due at once."""
    return {
        "status": _waiting_or_pending(),
        # An event may have come meanwhile: such a run is due, looks for it, and waits again if there is none.
        "due_at": Case(
            When(wait_event="", wait_until__isnull=False, then=F("wait_until")), default=clock.now()
        ),
        "is_pause_requested": False,
    }


def _waiting_or_pending() -> Case:
    return Case(
        When(Q(wait_until__isnull=False) | ~Q(wait_event=""), then=Value(RunStatus.WAITING.value)),
        default=Value(RunStatus.PENDING.value),
    )


def may_change(status: str, to: RunStatus) -> bool:
    return RunStatus(status) in FROM[to]


def change(runs: QuerySet[FlowRun], to: RunStatus, values: dict[str, Any]) -> int:
    """Apply a transition from outside to those of the runs that allow it now; returns how many that were."""
    return runs.filter(status__in=FROM[to]).update(**values)
