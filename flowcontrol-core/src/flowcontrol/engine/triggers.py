"""Firing triggers: rows are inserted in the caller's transaction, and nothing is ever raised to the caller."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connections, transaction
from django.db.models import Model
from django.utils import timezone

from .. import registry
from .. import state as states
from ..exceptions import FlowcontrolError, FlowNotStartable
from ..expressions import Scope, compile_expression
from ..models import Event, FlowRun, RunStatus, Trigger
from ..models.database import DatabaseNow
from ..models.run import FlowRunQuerySet, object_reference
from ..state import State
from . import announce, faults, operations, programs, transitions
from .claims import database
from .clock import Clock
from .current import current_run
from .deadlocks import repeated
from .secrecy import masked_here
from .starting import adopt, check_object, new_run, settle

__all__ = ["fire_trigger"]

logger = logging.getLogger("flowcontrol.engine")


def fire_trigger(name: str, obj: Model | None = None, state: Mapping[str, Any] | None = None) -> None:
    """Something happened to ``obj``: start the flows that listen for it, wake the runs that wait for it.

    ``state`` becomes the first data of the new runs, and the payload for those that wait. The rows are written in
    a savepoint of the caller's transaction, if there is one, and executed after its commit: a rollback undoes all.
    Flows with limits are admitted by the worker, so that no caller waits for another one's lock.

    Raises nothing: what cannot be done is logged, and recorded on the ``Event`` with the reason. Unless the database
    has undone the caller's transaction, by a deadlock or a lost connection: who is silent about that loses their work.
    """
    alias = database()
    if connections[alias].in_atomic_block and connections[alias].needs_rollback:
        logger.error(
            "trigger ignored name=%s: the caller's transaction is broken and will be rolled back", name
        )
        return
    if registry.triggers.get(name) is None:
        logger.warning("trigger type not registered name=%s", name)
    try:
        payload = masked_here(state or {})
        repeated(lambda: _fire_in_savepoint(name, obj, payload))
    except Exception as error:
        logger.exception("trigger failed name=%s", name)
        if connections[alias].in_atomic_block and connections[alias].needs_rollback:
            raise
        _record_failure(name, obj, error)


@dataclass
class _Firing:
    """One event while it is handled."""

    name: str
    obj: Model | None
    state: Mapping[str, Any]
    payload_json: str
    outcome: list[dict[str, Any]] = field(default_factory=list)
    runs: list[FlowRun] = field(default_factory=list)
    restarted: list[int] = field(default_factory=list)


def _fire_in_savepoint(name: str, obj: Model | None, payload: Mapping[str, Any]) -> None:
    with transaction.atomic(using=database()):
        _fire(name, obj, payload)


def _fire(name: str, obj: Model | None, payload: Mapping[str, Any]) -> None:
    firing = _Firing(name, obj, payload, states.encode(payload))
    for trigger in Trigger.objects.using(database()).listening(name, timezone.now()):
        result = {"flow": trigger.flow.slug, "trigger": trigger.pk}
        firing.outcome.append(result)
        try:
            result.update(_set_off(trigger, firing))
        except (FlowcontrolError, ValueError) as error:
            logger.error("trigger error name=%s flow=%s: %s", name, trigger.flow.slug, error)
            result.update(result="error", detail=f"{type(error).__name__}: {error}")
    event = _record(firing)
    _insert(firing, event)
    faults.reach("event.insert")
    woken = _wake(name, obj)
    announce.ready([*(run.pk for run in firing.runs), *firing.restarted, *woken])
    # A run that began to wait while this transaction was open did not see the event, nor did we see that run.
    transaction.on_commit(lambda: _wake_late(name, obj), using=database(), robust=True)


def _record(firing: _Firing) -> Event:
    model, key = object_reference(firing.obj)
    return Event.objects.using(database()).create(
        name=firing.name,
        object_model=model,
        object_id=key,
        payload_json=firing.payload_json,
        outcome=firing.outcome,
        created_at=DatabaseNow(),
    )


def _set_off(trigger: Trigger, firing: _Firing) -> dict[str, Any]:
    """What this trigger does about the event: plans runs and restarts, and tells the result."""
    assert trigger.flow.published is not None
    model, key = check_object(trigger.flow, firing.obj)
    if trigger.condition:
        scope = Scope(State(dict(firing.state)).read, {}, {}, timezone.now(), lambda: firing.obj)
        if not compile_expression(trigger.condition).is_true(scope):
            return {"result": "refused", "reason": "condition", "detail": f"Not true: {trigger.condition}"}
    if trigger.does == Trigger.Does.RESTART:
        return _restart(trigger, firing)
    program = programs.for_version(trigger.flow.published)
    run = new_run(trigger.flow, model, key, firing.payload_json)
    run.trigger_id = trigger.pk
    if program.limits:
        # Admitted by the worker, so that no caller waits for another one's lock.
        run.admitted_at = None
    firing.runs.append(run)
    return {"result": "started"}


def _restart(trigger: Trigger, firing: _Firing) -> dict[str, Any]:
    live = FlowRun.objects.using(database()).filter(flow_id=trigger.flow_id).admitted().about(firing.obj)
    ids = list(live.order_by("id").values_list("pk", flat=True))
    if not ids:
        return {
            "result": "refused",
            "reason": "no live run",
            "detail": "There is no live run about the object.",
        }
    for run_id in ids:
        operations.restart_run(run_id, trigger.step or None, firing.state or None)
    firing.restarted.extend(ids)
    return {"result": "restarted", "runs": ids}


def _insert(firing: _Firing, event: Event) -> None:
    """Insert the runs, all at once, and tell in the event's record which they are."""
    if not firing.runs:
        return
    parent = current_run.get()
    if parent is not None:
        try:
            adopt(firing.runs, parent)
        except FlowNotStartable as error:
            _refuse_all(firing, str(error))
    for run in firing.runs:
        # The event that starts a run is not one that it may wait for.
        run.start_event_id = event.pk
    FlowRun.objects.using(database()).bulk_create(firing.runs)
    for run in firing.runs:
        settle(run)
    started = iter(firing.runs)
    for result in firing.outcome:
        if result["result"] == "started":
            result["run"] = next(started).pk
    Event.objects.using(database()).filter(pk=event.pk).update(outcome=firing.outcome)


def _refuse_all(firing: _Firing, detail: str) -> None:
    for result in firing.outcome:
        if result["result"] == "started":
            result.update(result="refused", reason="bound", detail=detail)
    firing.runs.clear()


def _wake(name: str, obj: Model | None) -> Sequence[int]:
    runs = FlowRun.objects.using(database())
    waiting = runs.filter(status=RunStatus.WAITING).awaiting(name, obj)
    connection = connections[database()]
    found = waiting.order_by("pk")
    # Two callers that fire for the same objects must not wait for each other: whoever commits wakes them.
    skips = connection.in_atomic_block and connection.features.has_select_for_update_skip_locked
    if connection.vendor == "mysql":
        return _wake_by_key(runs, list(found.values_list("pk", flat=True)), name, skips=skips)
    ids = list((found.select_for_update(skip_locked=True) if skips else found).values_list("pk", flat=True))
    if ids:
        waiting.filter(pk__in=ids).update(**transitions.woken(Clock()))
    return ids


def _wake_by_key(runs: FlowRunQuerySet, ids: Sequence[int], event: str, *, skips: bool) -> list[int]:
    """Wake those of these runs that still wait for the event, locking rows by their keys and in their order.

    Who comes by another index locks that one's entry first and the row afterwards, the other way round than whoever
    writes the row, and the deadlock that comes of it undoes all of the caller's transaction.
    """
    if not ids:
        return []
    with transaction.atomic(using=runs.db):
        held = runs.filter(pk__in=ids).select_for_update(skip_locked=skips).order_by("pk")
        still = [
            pk
            for pk, status, awaited in held.values_list("pk", "status", "wait_event")
            if status == RunStatus.WAITING and awaited == event
        ]
        if still:
            runs.filter(pk__in=still).update(**transitions.woken(Clock()))
    return still


def _wake_late(name: str, obj: Model | None) -> None:
    announce.ready(repeated(lambda: _wake(name, obj)))


def _record_failure(name: str, obj: Model | None, error: Exception) -> None:
    """Nothing of the event was kept but this: that it failed, and why."""
    try:
        with transaction.atomic(using=database()):
            model, key = object_reference(obj)
            Event.objects.using(database()).create(
                name=name,
                object_model=model,
                object_id=key,
                created_at=DatabaseNow(),
                outcome=[{"result": "error", "detail": f"{type(error).__name__}: {error}"}],
            )
    except Exception:
        # The caller must not suffer even when there is nowhere to write.
        logger.exception("trigger failure not recorded name=%s", name)
