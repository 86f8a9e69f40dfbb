"""Starting flows: one insert, under the flow's limits and the bounds on families of runs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, connections, transaction
from django.db.models import F, Model
from django.db.models.expressions import Combinable
from django.utils import timezone

from .. import conf
from .. import state as states
from ..documents.program import Limits
from ..exceptions import FlowNotFound, FlowNotStartable
from ..models import Event, Flow, FlowRun, FlowVersion
from ..models.database import DatabaseNow
from ..models.reading import Reader
from ..models.run import object_reference
from . import announce, faults, limits, programs
from .claims import database
from .clock import Clock
from .current import current_run
from .insertion import can_insert, insert_if_published
from .secrecy import masked_here

__all__ = ["Refused", "Started", "adopt", "check_object", "new_run", "settle", "start_flow"]

logger = logging.getLogger("flowcontrol.engine")


@dataclass(frozen=True, slots=True)
class Started:
    """There is a run: a new one, or with ``is_new`` false the one that was started with this key before."""

    run: FlowRun
    is_new: bool = True


@dataclass(frozen=True, slots=True)
class Refused:
    """There is no run. ``reason`` is ``inactive``, ``unpublished`` or ``limit``; ``detail`` says it to people."""

    reason: str
    detail: str


def start_flow(
    flow: Flow | str,
    obj: Model | None = None,
    state: Mapping[str, Any] | None = None,
    key: str | None = None,
    *,
    at: datetime | None = None,
    parent_id: int | None = None,
    is_awaited: bool = False,
) -> Started | Refused:
    """Make a run of a flow (or of its slug); a worker executes it once the caller's transaction is committed.

    ``obj`` is the model object the run is about, ``state`` its first data. A second start with the same ``key``
    answers with the first run. ``at``: not before this time (aware). ``parent_id``: the run that starts this one,
    which inside an action is the action's own. ``is_awaited``: its end is an event, ``end_event(run.pk)``, that the
    parent can wait for, with ``run``, ``status``, ``reason`` and ``state`` as its payload.

    Raises ``FlowNotFound``; ``FlowNotStartable`` for an object of another model, a naive time and when the parent
    has too many ancestors or children; ``StateError`` for a state that cannot be stored. Nothing is written then.
    """
    if at is not None and timezone.is_naive(at):
        raise FlowNotStartable(f"The start time {at} has no time zone; use an aware datetime.")
    slug = flow if isinstance(flow, str) else flow.slug
    parent = parent_id if parent_id is not None else current_run.get()
    if at is None and key is None and parent is None and not is_awaited:
        run = _started_again(slug, obj, state or {})
        if run is not None:
            announce.ready([run.pk])
            return Started(run)
    found = _read_flow(slug)
    model, object_key = check_object(found, obj)
    if not found.is_active:
        return _refused(found, model, object_key, "inactive", f'The flow "{slug}" is not active.')
    if found.published_id is None:
        return _refused(found, model, object_key, "unpublished", f'The flow "{slug}" was never published.')
    run = new_run(found, model, object_key, states.encode(masked_here(state or {})), at)
    run.key, run.is_awaited = key, is_awaited
    bounds = _limits_of(found)
    try:
        refused = _insert(run, bounds, parent)
    except IntegrityError:
        # Somebody else started with this key since we looked.
        earlier = _with_key(run)
        if earlier is None:
            raise
        return Started(earlier, is_new=False)
    if isinstance(refused, Started):
        return refused
    if refused:
        return _refused(found, model, object_key, "limit", f'The flow "{slug}" starts no run: {refused}.')
    settle(run)
    if not bounds:
        _remember(found)
    announce.ready([run.pk])
    return Started(run)


#: Flows without limits as they were at their last start here, by slug; at most so many.
_known: dict[str, Flow] = {}
_MOST_KNOWN = 1_000


def _started_again(slug: str, obj: Model | None, state: Mapping[str, Any]) -> FlowRun | None:
    """A run of a flow that is as it was when it was started last; None when that has to be looked at."""
    known, alias = _known.get(slug), database()
    if known is None or not can_insert(alias):
        return None
    model, object_key = _reference(obj)
    if known.object_model and model != known.object_model:
        return None
    run = insert_if_published(alias, known, model, object_key, states.encode(state))
    if run is None:
        _known.pop(slug, None)
    return run


def _remember(flow: Flow) -> None:
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    _known[flow.slug] = flow


_flows = Reader(Flow, "id", "slug", "object_model", "is_active", "queue", "priority", "published_id")
_SELECT = f"SELECT {_flows.columns} FROM {Flow._meta.db_table} WHERE slug = %s"  # noqa: S608  constants


def _read_flow(slug: str) -> Flow:
    """What a start has to know of a flow, its documents not included. Raises ``FlowNotFound``."""
    connection = connections[database()]
    with connection.cursor() as cursor:
        cursor.execute(_SELECT, [slug])
        row = cursor.fetchone()
    if row is None:
        raise FlowNotFound(f'There is no flow "{slug}".')
    return _flows.instance(row, connection.alias)


def _limits_of(flow: Flow) -> Limits:
    assert flow.published_id is not None, "the caller has looked"
    try:
        return programs.load(flow.published_id).limits
    except FlowVersion.DoesNotExist as error:
        raise FlowNotFound(f'The flow "{flow.slug}" is being deleted.') from error


def _insert(run: FlowRun, bounds: Limits, parent_id: int | None) -> str | Started:
    """Insert a new run, under the limits when it starts at once; the limit that refuses it, or its earlier self."""
    starts_now = isinstance(run.due_at, Combinable)
    together = bounds or run.key is not None or parent_id is not None
    with transaction.atomic(using=database()) if together else nullcontext():
        if bounds and starts_now:
            limits.lock(run.flow_id)
        earlier = _with_key(run)
        if earlier is not None:
            return Started(earlier, is_new=False)
        if bounds and starts_now:
            verdict = limits.admit(run.flow_id, bounds, run.object_model, run.object_id, Clock())
            if verdict.reason and not verdict.is_queued:
                return verdict.reason
            if verdict.is_queued:
                run.reason = verdict.reason
                run.due_at = Clock().after(limits.recheck())
                run.admitted_at = None
        if parent_id is not None:
            adopt([run], parent_id)
        run.save(using=database(), force_insert=True)
        if parent_id is not None:
            faults.reach("child.start")
    return ""


def new_run(flow: Flow, model: str, key: str, state_json: str, at: datetime | None = None) -> FlowRun:
    """An unsaved pending run of the flow's published version, about the object that ``model`` and ``key`` refer to.

    Its dates are the database's; see ``settle``. One that starts at a later time is admitted then.
    """
    assert flow.published_id is not None, "the caller has looked"
    now: Any = Clock().now()
    return FlowRun(
        flow=flow,
        version_id=flow.published_id,
        object_model=model,
        object_id=key,
        state_json=state_json,
        created_at=now,
        due_at=now if at is None else at,
        admitted_at=now if at is None else None,
    )


def settle(run: FlowRun) -> None:
    """Give a run just inserted readable dates in place of the database's expressions for them."""
    now = timezone.now()
    for field in ("created_at", "due_at", "admitted_at"):
        if isinstance(getattr(run, field), Combinable):
            setattr(run, field, now)


def check_object(flow: Flow, obj: Model | None) -> tuple[str, str]:
    """The reference under which a run of this flow is about ``obj``. Raises ``FlowNotStartable``."""
    model, key = _reference(obj)
    if flow.object_model and model != flow.object_model:
        given = f"an object of {model}" if model else "no object"
        raise FlowNotStartable(
            f'The flow "{flow.slug}" is about an object of {flow.object_model}, and got {given}.'
        )
    return model, key


def _reference(obj: Model | None) -> tuple[str, str]:
    try:
        return object_reference(obj)
    except ValueError as error:
        raise FlowNotStartable(str(error)) from error


def adopt(runs: Sequence[FlowRun], parent_id: int) -> None:
    """Make unsaved runs children of a run. Call it inside a transaction.

    Raises ``FlowNotStartable`` when the parent has too many ancestors or would have too many children: flows
    that start one another have to end somewhere.
    """
    parents = FlowRun.objects.using(database()).filter(pk=parent_id)
    bound = conf.get("MAX_CHILDREN")
    room = parents.filter(child_count__lte=bound - len(runs))
    if not room.update(child_count=F("child_count") + len(runs)):
        raise FlowNotStartable(
            f"Run {parent_id} would start more than {bound} runs (the setting MAX_CHILDREN), or is gone."
        )
    depth = parents.values_list("depth", flat=True).get() + 1
    if depth > conf.get("MAX_ANCESTORS"):
        raise FlowNotStartable(
            f"Run {parent_id} has {depth - 1} ancestors; a run may have {conf.get('MAX_ANCESTORS')} (the setting "
            "MAX_ANCESTORS). Do its flows start one another without end?"
        )
    for run in runs:
        run.parent_id = parent_id
        run.depth = depth


def _with_key(run: FlowRun) -> FlowRun | None:
    """The run that was started with the same key, if it was given one."""
    if run.key is None:
        return None
    return FlowRun.objects.using(database()).filter(flow_id=run.flow_id, key=run.key).first()


def _refused(flow: Flow, model: str, object_key: str, reason: str, detail: str) -> Refused:
    """Record the refusal, so that somebody who asks why nothing started finds the answer."""
    Event.objects.using(database()).create(
        name=Event.START_REFUSED,
        object_model=model,
        object_id=object_key,
        outcome=[{"flow": flow.slug, "result": "refused", "reason": reason, "detail": detail}],
        created_at=DatabaseNow(),
    )
    logger.info("start refused flow=%s object=%s:%s reason=%s", flow.slug, model, object_key, reason)
    return Refused(reason, detail)
