"""Firing triggers: rows are inserted in the caller's transaction, and nothing is ever raised to the caller."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, connections, transaction
from django.db.models import Model
from django.utils import timezone

from .. import registry
from .. import state as states
from ..exceptions import FlowcontrolError, FlowNotStartable
from ..expressions import Scope, compile_expression
from ..models import Event, FlowRun, RunStatus, Trigger
from ..models.database import DatabaseNow
from ..models.run import FlowRunQuerySet, object_reference
from ..models.trigger import digest
from ..state import State
from . import announce, faults, operations, programs, transitions
from .claims import database
from .clock import Clock
from .current import current_run
from .deadlocks import repeated
from .secrecy import masked_here
from .starting import adopt, check_object, new_run, settle

__all__ = ["Fired", "fire_trigger", "send_event"]

logger = logging.getLogger("flowcontrol.engine")


@dataclass(frozen=True, slots=True)
class Fired:
    """What came of an event. With ``is_new`` false it had come before under this key, and nothing happened again."""

    #: Key of the ``Event``; None when not even a record of it could be kept.
    event: int | None
    #: Runs that were started, and those that were restarted.
    runs: tuple[int, ...] = ()
    restarted: tuple[int, ...] = ()
    is_new: bool = True
    #: Why nothing of the event was kept: tell whoever reported it to try again. What a single trigger could not do is
    #: no error of the event; see its record.
    error: str = ""


def fire_trigger(
    name: str, obj: Model | None = None, state: Mapping[str, Any] | None = None, *, key: str | None = None
) -> Fired:
    """Something happened to ``obj``: start the flows that listen for it, wake the runs that wait for it.

    ``state`` becomes the first data of the new runs, and the payload for those that wait. The rows are written in
    a savepoint of the caller's transaction, if there is one, and executed after its commit: a rollback undoes all.
    Flows with limits are admitted by the worker, so that no caller waits for another one's lock.

    ``key`` says which event this is: fired a second time with the same name and key, nothing happens, and the answer
    is that of the first time. So long as the first is not committed, the second waits for it. Keys are remembered as
    long as events, see ``FLOWCONTROL["EVENT_RETENTION_DAYS"]``.

    Raises nothing: what cannot be done is logged, recorded on the ``Event`` with the reason, and told by the answer.
    Unless the database has undone the caller's transaction, by a deadlock or a lost connection: who is silent about
    that loses their work.
    """
    if registry.triggers.get(name) is None:
        logger.warning("trigger type not registered name=%s", name)
    return _fenced(name, obj, key, lambda: _fire(name, obj, masked_here(state or {}), key))


def send_event(name: str, state: Mapping[str, Any] | None = None, *, key: str | None = None) -> Fired:
    """Wake the runs that wait for an event of this name, and those that will: ``Wait(event=name, match_object=False)``.

    For what no trigger type stands for, such as the answer to one question of one run: begin the name with that of
    the plugin or app, and make it one of a kind. No flow is started. The rest is as of ``fire_trigger``.
    """
    return _fenced(name, None, key, lambda: _send(name, masked_here(state or {}), key))


def _fenced(name: str, obj: Model | None, key: str | None, fire: Callable[[], Fired]) -> Fired:
    """Keep what goes wrong with an event from whoever reports it."""
    connection = connections[database()]
    if connection.in_atomic_block and connection.needs_rollback:
        told = "the caller's transaction is broken and will be rolled back"
        logger.error("trigger ignored name=%s: %s", name, told)
        return Fired(None, error=told)
    try:
        return repeated(lambda: _once(name, key, fire))
    except Exception as error:
        logger.exception("trigger failed name=%s", name)
        if connection.in_atomic_block and connection.needs_rollback:
            raise
        return Fired(_record_failure(name, obj, error), error=f"{type(error).__name__}: {error}")


def _once(name: str, key: str | None, fire: Callable[[], Fired]) -> Fired:
    """In a savepoint of its own, unless an event with this key has been."""
    earlier = _earlier(name, key)
    if earlier is not None:
        return earlier
    try:
        with transaction.atomic(using=database()):
            return fire()
    except IntegrityError:
        # Somebody else fired it since we looked.
        earlier = _earlier(name, key)
        if earlier is None:
            raise
        return earlier


def _earlier(name: str, key: str | None) -> Fired | None:
    """What came of the event that was fired with this key, if there was one."""
    if key is None:
        return None
    event = Event.objects.using(database()).filter(name=name, key=digest(key)).first()
    if event is None:
        return None
    logger.info("event came before name=%s event=%s", name, event.pk)
    return _told(event.pk, event.outcome, is_new=False)


def _told(event: int, outcome: Sequence[Mapping[str, Any]], *, is_new: bool) -> Fired:
    started = tuple(each["run"] for each in outcome if each["result"] == "started")
    restarted = tuple(run for each in outcome if each["result"] == "restarted" for run in each["runs"])
    return Fired(event, started, restarted, is_new)


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


def _fire(name: str, obj: Model | None, payload: Mapping[str, Any], key: str | None) -> Fired:
    firing = _Firing(name, obj, payload, states.encode(payload))
    # First of all: its key holds those who fire the same until this is committed.
    event = _record(name, obj, firing.payload_json, key)
    for trigger in Trigger.objects.using(database()).listening(name, timezone.now()):
        result = {"flow": trigger.flow.slug, "trigger": trigger.pk}
        firing.outcome.append(result)
        try:
            result.update(_set_off(trigger, firing))
        except (FlowcontrolError, ValueError) as error:
            logger.error("trigger error name=%s flow=%s: %s", name, trigger.flow.slug, error)
            result.update(result="error", detail=f"{type(error).__name__}: {error}")
    _insert(firing, event)
    if firing.outcome:
        Event.objects.using(database()).filter(pk=event.pk).update(outcome=firing.outcome)
    faults.reach("event.insert")
    _wake_and_tell(name, obj, [*(run.pk for run in firing.runs), *firing.restarted])
    return _told(event.pk, firing.outcome, is_new=True)


def _send(name: str, payload: Mapping[str, Any], key: str | None) -> Fired:
    event = _record(name, None, states.encode(payload), key)
    faults.reach("event.insert")
    _wake_and_tell(name, None, [])
    return Fired(event.pk)


def _wake_and_tell(name: str, obj: Model | None, due: list[int]) -> None:
    announce.ready([*due, *_wake(name, obj)])
    # A run that began to wait while this transaction was open did not see the event, nor did we see that run.
    transaction.on_commit(lambda: _wake_late(name, obj), using=database(), robust=True)


def _record(name: str, obj: Model | None, payload_json: str, key: str | None) -> Event:
    model, object_key = object_reference(obj)
    return Event.objects.using(database()).create(
        name=name,
        object_model=model,
        object_id=object_key,
        payload_json=payload_json,
        key=None if key is None else digest(key),
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
    """Insert the runs, all at once, and tell in the outcome which they are."""
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


def _record_failure(name: str, obj: Model | None, error: Exception) -> int | None:
    """Nothing of the event was kept but this: that it failed, and why. Not its key: it may be fired again."""
    try:
        with transaction.atomic(using=database()):
            model, key = object_reference(obj)
            return (
                Event.objects.using(database())
                .create(
                    name=name,
                    object_model=model,
                    object_id=key,
                    created_at=DatabaseNow(),
                    outcome=[{"result": "error", "detail": f"{type(error).__name__}: {error}"}],
                )
                .pk
            )
    except Exception:
        # The caller must not suffer even when there is nowhere to write.
        logger.exception("trigger failure not recorded name=%s", name)
        return None
