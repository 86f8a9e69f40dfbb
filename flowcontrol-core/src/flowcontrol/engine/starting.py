"""Starting flows: one insert, under the flow's limits and the bounds on families of runs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, Model
from django.db.models.expressions import Combinable
from django.utils import timezone

from .. import conf
from .. import state as states
from ..exceptions import FlowNotFound, FlowNotStartable
from ..models import Event, Flow, FlowRun
from ..models.database import DatabaseNow
from ..models.run import object_reference
from . import announce, limits, programs
from .claims import database
from .clock import Clock
from .current import current_run

__all__ = ["Refused", "Started", "adopt", "check_object", "new_run", "settle", "start_flow"]

logger = logging.getLogger("flowcontrol.engine")

#: Name of the events that record a refused start.
START_REFUSED = "flowcontrol.start_refused"


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
) -> Started | Refused:
    """Make a run of a flow (or of its slug); a worker executes it once the caller's transaction is committed.

    ``obj`` is the model object the run is about, ``state`` its first data. A second start with the same ``key``
    answers with the first run. ``at``: not before this time (aware). ``parent_id``: the run that starts this one,
    which inside an action is the action's own.

    Raises ``FlowNotFound``; ``FlowNotStartable`` for an object of another model, a naive time and when the parent
    has too many ancestors or children; ``StateError`` for a state that cannot be stored. Nothing is written then.
    """
    if at is not None and timezone.is_naive(at):
        raise FlowNotStartable(f"The start time {at} has no time zone; use an aware datetime.")
    slug = flow if isinstance(flow, str) else flow.slug
    found = Flow.objects.using(database()).with_published().defer("draft").filter(slug=slug).first()
    if found is None:
        raise FlowNotFound(f'There is no flow "{slug}".')
    model, object_key = check_object(found, obj)
    if not found.is_active:
        return _refused(found, model, object_key, "inactive", f'The flow "{slug}" is not active.')
    if found.published is None:
        return _refused(found, model, object_key, "unpublished", f'The flow "{slug}" was never published.')
    limited = programs.for_version(found.published).limits
    run = new_run(found, model, object_key, states.encode(state or {}), Clock(), at)
    run.key = key
    parent = parent_id if parent_id is not None else current_run.get()
    together = limited or key is not None or parent is not None
    with transaction.atomic(using=database()) if together else nullcontext():
        if limited and at is None:
            limits.lock(found.pk)
        if key is not None and (earlier := _with_key(found, key)) is not None:
            return Started(earlier, is_new=False)
        if parent is not None:
            adopt([run], parent)
        if limited and at is None:
            verdict = limits.admit(found.pk, limited, model, object_key, Clock())
            if verdict.is_queued:
                queue(run, verdict.reason)
            elif not verdict.is_admitted:
                return _refused(
                    found, model, object_key, "limit", f'The flow "{slug}" starts no run: {verdict.reason}.'
                )
            else:
                run.admitted_at = run.created_at
        try:
            with transaction.atomic(using=database()) if key is not None else nullcontext():
                run.save(using=database(), force_insert=True)
        except IntegrityError:
            # Somebody else started with this key since we looked.
            if key is None or (earlier := _with_key(found, key)) is None:
                raise
            return Started(earlier, is_new=False)
    settle(run)
    announce.ready([run.pk])
    return Started(run)


def new_run(
    flow: Flow, model: str, object_key: str, state_json: str, clock: Clock, at: datetime | None = None
) -> FlowRun:
    """An unsaved pending run of the flow's published version. Its dates are the database's; see ``settle``.

    A run of a flow without limits that starts at once is admitted with its first claim at the latest, like any other.
    """
    now: Any = clock.now()
    return FlowRun(
        flow=flow,
        version_id=flow.published_id,
        object_model=model,
        object_id=object_key,
        state_json=state_json,
        created_at=now,
        due_at=now if at is None else at,
    )


def queue(run: FlowRun, reason: str) -> None:
    run.reason = reason
    run.due_at = Clock().after(limits.recheck())  # type: ignore[assignment]


def settle(run: FlowRun) -> None:
    """Give a run just inserted readable dates in place of the database's expressions for them."""
    now = timezone.now()
    for field in ("created_at", "due_at", "admitted_at"):
        if isinstance(getattr(run, field), Combinable):
            setattr(run, field, now)


def check_object(flow: Flow, obj: Model | None) -> tuple[str, str]:
    """The reference under which a run of this flow is about ``obj``. Raises ``FlowNotStartable``."""
    try:
        model, key = object_reference(obj)
    except ValueError as error:
        raise FlowNotStartable(str(error)) from error
    if flow.object_model and model != flow.object_model:
        given = f"an object of {model}" if model else "no object"
        raise FlowNotStartable(
            f'The flow "{flow.slug}" is about an object of {flow.object_model}, and got {given}.'
        )
    return model, key


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


def _with_key(flow: Flow, key: str) -> FlowRun | None:
    return FlowRun.objects.using(database()).filter(flow=flow, key=key).first()


def _refused(flow: Flow, model: str, object_key: str, reason: str, detail: str) -> Refused:
    """Record the refusal, so that somebody who asks why nothing started finds the answer."""
    Event.objects.using(database()).create(
        name=START_REFUSED,
        object_model=model,
        object_id=object_key,
        outcome=[{"flow": flow.slug, "result": "refused", "reason": reason, "detail": detail}],
        created_at=DatabaseNow(),
    )
    logger.info("start refused flow=%s object=%s:%s reason=%s", flow.slug, model, object_key, reason)
    return Refused(reason, detail)
