"""Admission: how many runs of a flow there may be, held under a row lock and never by counting the history."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db import connections
from django.db.models import F

from .. import conf
from ..documents.program import Limits
from ..models import FlowRun, RunLimit, RunStatus
from . import announce, transitions
from .awaiting import tell_parent
from .claims import database
from .clock import Clock

__all__ = ["Verdict", "admit", "lock", "recheck", "release"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """``reason`` names the limit that is reached; empty when the run is admitted. ``is_queued``: it waits its turn."""

    reason: str = ""
    is_queued: bool = False

    @property
    def is_admitted(self) -> bool:
        return not self.reason


def lock(flow_id: int) -> None:
    """Hold the flow's ledger row until the transaction ends, so that two starters cannot both see the last place."""
    # One statement that makes the row or writes to it: it locks on databases without SELECT … FOR UPDATE too, and
    # to look first and insert then is what deadlocks on MariaDB.
    rows = RunLimit.objects.using(database())
    names_target = connections[rows.db].features.supports_update_conflicts_with_target
    rows.bulk_create(
        [RunLimit(flow_id=flow_id)],
        update_conflicts=True,
        update_fields=["object_id"],
        unique_fields=["flow", "object_model", "object_id"] if names_target else None,
    )


def admit(
    flow_id: int, limits: Limits, model: str, key: str, clock: Clock, run_id: int | None = None
) -> Verdict:
    """Whether one more run may start, which is counted when it may. Call it with the flow's lock held.

    ``model`` and ``key`` refer to the object; ``run_id`` is the run itself where it exists already.
    """
    others = FlowRun.objects.using(database()).filter(flow_id=flow_id).admitted()
    if run_id is not None:
        others = others.exclude(pk=run_id)
    about = others.filter(object_model=model, object_id=key)
    ledger = RunLimit.objects.using(database()).filter(flow_id=flow_id, object_model=model, object_id=key)
    if model and limits.per_object and ledger.filter(started__gte=limits.per_object).exists():
        return Verdict(f"limit per_object={limits.per_object} is reached")
    bounds = [("concurrent", limits.concurrent, others)]
    if model:
        bounds.append(("concurrent_per_object", limits.concurrent_per_object, about))
    for name, bound, runs in bounds:
        if not bound:
            continue
        # Sorted here: asked for an order, PostgreSQL reads the whole table along its key where it expects many.
        live = sorted(runs.order_by().values_list("pk", flat=True))
        if len(live) < bound:
            continue
        reason = f"limit {name}={bound} is reached"
        if limits.when_reached == "queue":
            return Verdict(reason, is_queued=True)
        if limits.when_reached != "restart":
            return Verdict(reason)
        _replace(live[: len(live) - bound + 1], f"Replaced by a newer run: {reason}.", clock)
    if model and limits.per_object:
        _count(flow_id, model, key)
    return Verdict()


def release(flow_id: int, model: str, key: str, clock: Clock) -> list[int]:
    """Make due the queued runs that the end of a run may have made room for; returns their ids."""
    queued = FlowRun.objects.using(database()).filter(flow_id=flow_id, status=RunStatus.PENDING).queued()
    first = [queued.values_list("pk", flat=True).first()]
    if model:
        first.append(queued.filter(object_model=model, object_id=key).values_list("pk", flat=True).first())
    ids = sorted({pk for pk in first if pk is not None})
    if ids:
        # Only what waits for its turn: a start at a later time keeps its date.
        held = FlowRun.objects.using(database()).filter(pk__in=ids, status=RunStatus.PENDING)
        # Still pending: a worker that took one meanwhile must not lose its lease.
        waits = held.exclude(reason="")
        waits.update(**transitions.woken(clock))
    return ids


def recheck() -> timedelta:
    """How long a queued or blocked run waits before it is looked at again although nobody saw to it."""
    return timedelta(seconds=conf.get("BLOCKED_RECHECK_SECONDS"))


def _replace(run_ids: list[int], reason: str, clock: Clock) -> None:
    runs = FlowRun.objects.using(database()).filter(pk__in=run_ids)
    transitions.change(runs, RunStatus.CANCELLED, transitions.ended(RunStatus.CANCELLED, clock, reason))
    for run in runs.filter(status=RunStatus.CANCELLED).select_related("flow"):
        announce.finished(run, run.flow, RunStatus.CANCELLED, reason)
        announce.ready(tell_parent(run, RunStatus.CANCELLED, reason, clock))


def _count(flow_id: int, model: str, key: str) -> None:
    rows = RunLimit.objects.using(database()).filter(flow_id=flow_id, object_model=model, object_id=key)
    if not rows.update(started=F("started") + 1):
        RunLimit.objects.using(database()).create(
            flow_id=flow_id, object_model=model, object_id=key, started=1
        )
