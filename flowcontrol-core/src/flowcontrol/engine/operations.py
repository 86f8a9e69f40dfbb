"""What people do to runs: cancel, pause, resume, restart. Each is one guarded UPDATE, whoever holds the run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet

from .. import state as states
from ..documents.program import Program
from ..exceptions import FlowNotStartable, InvalidTransition
from ..models import FlowRun, RunStatus
from . import announce, cursor, limits, programs, transitions
from .awaiting import tell_parent
from .claims import database
from .clock import Clock
from .cursor import Position
from .secrecy import masked_here

__all__ = ["Changed", "cancel_runs", "pause_runs", "restart_run", "resume_runs"]

Runs = QuerySet[FlowRun] | Iterable[FlowRun | int] | FlowRun | int


@dataclass(frozen=True, slots=True)
class Changed:
    """Ids of the runs that were changed, and of those whose status did not allow it."""

    done: tuple[int, ...]
    refused: tuple[int, ...]


def cancel_runs(runs: Runs, reason: str = "") -> Changed:
    """End live runs as *cancelled*, at once: a worker that executes one loses its lease and writes no more."""
    told = masked_here({"reason": reason or "Cancelled by hand."})["reason"]
    values = transitions.ended(RunStatus.CANCELLED, Clock(), told)
    with transaction.atomic(using=database()):
        changed = _change(runs, RunStatus.CANCELLED, values)
        cancelled = FlowRun.objects.using(database()).filter(pk__in=changed.done).select_related("flow")
        for run in cancelled:
            announce.finished(run, run.flow, RunStatus.CANCELLED, run.reason)
            announce.ready(limits.release(run.flow_id, run.object_model, run.object_id, Clock()))
            announce.ready(tell_parent(run, RunStatus.CANCELLED, run.reason, Clock()))
    return changed


def pause_runs(runs: Runs) -> Changed:
    """Set live runs aside until ``resume_runs``. A run that is being executed stops at its next checkpoint."""
    with transaction.atomic(using=database()):
        ids = _ids(runs)
        held = FlowRun.objects.using(database()).filter(pk__in=ids, status=RunStatus.RUNNING)
        asked = list(held.values_list("pk", flat=True))
        held.filter(pk__in=asked).update(is_pause_requested=True)
        changed = _change([pk for pk in ids if pk not in asked], RunStatus.PAUSED, transitions.paused())
    return Changed(tuple(sorted({*changed.done, *asked})), changed.refused)


def resume_runs(runs: Runs) -> Changed:
    """Let paused runs go on: to the wait they were in (which may be over by now), or at once."""
    with transaction.atomic(using=database()):
        ids = _ids(runs)
        # A pause that no checkpoint has met yet is simply taken back.
        requested = FlowRun.objects.using(database()).filter(
            pk__in=ids, status=RunStatus.RUNNING, is_pause_requested=True
        )
        taken_back = list(requested.values_list("pk", flat=True))
        requested.filter(pk__in=taken_back).update(is_pause_requested=False)
        paused = FlowRun.objects.using(database()).filter(pk__in=ids, status=RunStatus.PAUSED)
        done = list(paused.values_list("pk", flat=True))
        paused.filter(pk__in=done).update(**transitions.resumed(Clock()))
    announce.ready(done)
    changed = {*done, *taken_back}
    return Changed(tuple(sorted(changed)), tuple(sorted(set(ids) - changed)))


def restart_run(
    run: FlowRun | int, step: str | None = None, state: Mapping[str, Any] | None = None
) -> FlowRun:
    """Execute a run again, from the start or from a step, on the version it is pinned to.

    Loops around the step that the run is in go on with the round they are in; others are as if they had just been
    entered. The state is kept unless ``state`` is given; from the start, without ``state``, too.
    Raises ``PositionGone`` for a step that the version does not have, and ``InvalidTransition`` when the run ended
    and its flow's limits leave no place for it.
    """
    run_id = run if isinstance(run, int) else run.pk
    clock = Clock()
    with transaction.atomic(using=database()):
        fresh = _locked(run_id)
        program = programs.load(fresh.version_id)
        values = transitions.handed_back(clock)
        values |= {"reason": "", "traceback": "", "ended_at": None, "is_pause_requested": False}
        values |= {"restart_count": F("restart_count") + 1, "visit_count": 0}
        if step is None:
            values |= {"cursor_json": "", "step": "", "started_at": None}
        else:
            values |= {"cursor_json": cursor.dump(program, _place(program, fresh, step)), "step": step}
        if state is not None:
            values["state_json"] = states.encode(masked_here(state))
        if fresh.is_ended and program.limits:
            limits.lock(fresh.flow_id)
            verdict = limits.admit(
                fresh.flow_id, program.limits, fresh.object_model, fresh.object_id, clock, run_id
            )
            if not verdict.is_admitted:
                raise InvalidTransition(f"Run {run_id} cannot be restarted: {verdict.reason}.")
            values["admitted_at"] = clock.now()
        transitions.change(FlowRun.objects.using(database()).filter(pk=run_id), RunStatus.PENDING, values)
    announce.ready([run_id])
    return FlowRun.objects.using(database()).get(pk=run_id)


def _place(program: Program, run: FlowRun, step: str) -> Position:
    stands = cursor.load(program, run.cursor_json) if run.cursor_json else None
    if not isinstance(stands, Position):
        return cursor.place(program, step)
    if run.step == step and stands.phase == cursor.BRANCH:
        # What failed is the end of a branch, and that is asked again: a loop goes on with the round it was in.
        return stands
    return cursor.place(program, step, stands)


def _locked(run_id: int) -> FlowRun:
    # The UPDATE locks the row on every database, so that no worker writes between the look and the change.
    held = FlowRun.objects.using(database()).filter(pk=run_id)
    if not held.update(restart_count=F("restart_count")):
        raise FlowNotStartable(f"There is no run {run_id}.")
    return held.get()


def _change(runs: Runs, to: RunStatus, values: dict[str, Any]) -> Changed:
    ids = _ids(runs)
    rows = FlowRun.objects.using(database()).filter(pk__in=ids)
    # Locked by an UPDATE that changes nothing, so that what is told is what was done.
    rows.update(restart_count=F("restart_count"))
    done = list(rows.filter(status__in=transitions.FROM[to]).values_list("pk", flat=True))
    transitions.change(rows.filter(pk__in=done), to, values)
    return Changed(tuple(sorted(done)), tuple(sorted(set(ids) - set(done))))


def _ids(runs: Runs) -> list[int]:
    match runs:
        case int():
            return [runs]
        case FlowRun():
            return [runs.pk]
        case QuerySet():
            return sorted(runs.values_list("pk", flat=True))
    return sorted(run if isinstance(run, int) else run.pk for run in runs)
