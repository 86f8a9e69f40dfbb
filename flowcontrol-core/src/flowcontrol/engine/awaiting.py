"""What runs wait for: the first event that counts, and the end of a run that its parent waits for."""

from __future__ import annotations

from typing import Any

from .. import state as states
from ..exceptions import StateError
from ..models import Event, FlowRun, RunStatus
from ..models.database import DatabaseNow
from . import announce, transitions
from .claims import database
from .clock import Clock

__all__ = ["announce_end", "end_event", "first_event", "tell_parent", "wake_if_event_came"]


def first_event(run: FlowRun) -> Event | None:
    """The first event since the run began, or since the last one it took, that it waits for."""
    events = Event.objects.using(database()).filter(
        name=run.wait_event, pk__gt=run.last_event_id, created_at__gte=run.created_at
    )
    if run.wait_match_object:
        events = events.filter(object_model=run.object_model, object_id=run.object_id)
    return events.order_by("pk").first()


def wake_if_event_came(run: FlowRun, clock: Clock) -> None:
    """Make a run due that began to wait for an event which is there already."""
    runs = FlowRun.objects.using(database()).filter(pk=run.pk, status=RunStatus.WAITING)
    fresh = runs.exclude(wait_event="").first()
    if fresh is not None and first_event(fresh) is not None:
        runs.update(**transitions.woken(clock))
        announce.ready([run.pk])


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
