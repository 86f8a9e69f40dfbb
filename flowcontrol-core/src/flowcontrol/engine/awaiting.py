"""What runs wait for: the first event that counts, and the end of a run that its parent waits for."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, Q

from .. import state as states
from ..exceptions import StateError
from ..models import Event, FlowRun, RunStatus, TakenEvent
from ..models.database import DatabaseNow
from . import announce, transitions
from .claims import database
from .clock import Clock
from .deadlocks import repeated

__all__ = ["announce_end", "end_event", "first_event", "tell_parent", "wake_if_event_came", "wake_missed"]

#: Events looked at for one that is no record of a failure.
_LOOKED_AT = 20
#: Runs woken in one look.
_WOKEN = 1_000


def first_event(run: FlowRun) -> Event | None:
    """The first event since the run began that it waits for and did not take yet."""
    taken = TakenEvent.objects.filter(run=run.pk, event_id=OuterRef("pk"))
    events = Event.objects.using(database()).filter(
        ~Exists(taken), name=run.wait_event, pk__gt=run.start_event_id, created_at__gte=run.created_at
    )
    if run.wait_match_object:
        events = events.filter(object_model=run.object_model, object_id=run.object_id)
    return next((event for event in events.order_by("pk")[:_LOOKED_AT] if not event.is_failure), None)


def wake_if_event_came(run: FlowRun, clock: Clock) -> None:
    """Make a run due that began to wait for an event which is there already."""
    runs = FlowRun.objects.using(database()).filter(pk=run.pk, status=RunStatus.WAITING)
    fresh = runs.exclude(wait_event="").first()
    if fresh is not None and first_event(fresh) is not None:
        repeated(lambda: runs.update(**transitions.woken(clock)))
        announce.ready([run.pk])


def wake_missed(clock: Clock) -> int:
    """Make due the runs that wait for an event which is there: whoever had to wake them died. Returns how many.

    An event's wake-up is sent after the commit of the event, so that a process that dies between the two leaves a run
    that began to wait in that moment asleep.
    """
    taken = TakenEvent.objects.filter(run=OuterRef(OuterRef("pk")), event_id=OuterRef("pk"))
    events = Event.objects.using(database()).filter(
        ~Exists(taken),
        name=OuterRef("wait_event"),
        pk__gt=OuterRef("start_event_id"),
        created_at__gte=OuterRef("created_at"),
    )
    about = events.filter(object_model=OuterRef("object_model"), object_id=OuterRef("object_id"))
    waiting = FlowRun.objects.using(database()).filter(status=RunStatus.WAITING).exclude(wait_event="")
    asleep = waiting.filter(Q(due_at__isnull=True) | Q(due_at__gt=clock.now())).filter(
        Q(Exists(about)) | Q(Exists(events), wait_match_object=False)
    )
    ids = list(asleep.order_by("id").values_list("pk", flat=True)[:_WOKEN])
    if ids:
        # By their keys: along an index of events it would deadlock with whoever writes the runs.
        runs = FlowRun.objects.using(database()).filter(pk__in=ids, status=RunStatus.WAITING)
        repeated(lambda: runs.update(**transitions.woken(clock)))
        announce.ready(ids)
    return len(ids)


def end_event(run_id: int) -> str:
    """Name of the event that the end of an awaited run is to its parent."""
    return f"flowcontrol.run_ended.{run_id}"


def tell_parent(run: FlowRun, status: str, reason: str, clock: Clock) -> list[int]:
    """``announce_end`` for a run that ends where it was last written, if its parent waits for it."""
    return announce_end(run, status, reason, run.state_json, clock) if run.is_awaited else []


def announce_end(run: FlowRun, status: str, reason: str, state_json: str, clock: Clock) -> list[int]:
    """Record the end of an awaited run as an event, and make its parent due. Call it in the transaction of the end.

    Returns the ids of the runs that are due now. The payload is ``run``, ``status``, ``reason`` and ``state``.
    """
    name = end_event(run.pk)
    payload: dict[str, Any] = {
        "run": run.pk,
        "status": str(status),
        "reason": reason,
    }
    try:
        text = states.encode({**payload, "state": states.decode(state_json)})
    except StateError:
        # Just under the limit by itself, or unreadable; the parent is told nevertheless, and its step fails for what
        # is missing.
        text = states.encode(payload)
    Event.objects.using(database()).create(name=name, payload_json=text, created_at=DatabaseNow())
    if run.parent_id is None:
        return []
    parent = FlowRun.objects.using(database()).filter(
        pk=run.parent_id, status=RunStatus.WAITING, wait_event=name
    )
    return [run.parent_id] if parent.update(**transitions.woken(clock)) else []
