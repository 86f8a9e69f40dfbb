"""Who executes a run: claims in batches, and the leases they are."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

from django.db import connections, router, transaction

from .. import conf
from ..models import FlowRun
from ..models.database import DatabaseNow
from ..models.run import FlowRunQuerySet
from . import transitions
from .clock import Clock

__all__ = ["Claim", "claim", "database", "lease_length", "renew"]


@dataclass(frozen=True, slots=True)
class Claim:
    """A run that this process may execute and write as long as its lease lasts."""

    run: FlowRun
    token: str
    #: The database's time of the claim, and ``time.monotonic()`` then.
    claimed_at: datetime
    started: float


def database() -> str:
    """Alias of the database that runs are written to."""
    return router.db_for_write(FlowRun)


def lease_length() -> timedelta:
    return timedelta(seconds=conf.get("LEASE_SECONDS"))


def claim(limit: int, clock: Clock, run_ids: Sequence[int] | None = None) -> list[Claim]:
    """Take up to ``limit`` due runs (of these ids, when given), longest due first."""
    runs = FlowRun.objects.using(database())
    due = runs.due(clock.now())
    if run_ids is not None:
        due = due.filter(pk__in=run_ids)
    token = uuid.uuid4().hex
    started = time.monotonic()
    features = connections[due.db].features
    if features.has_select_for_update:
        taken = _take_locked(due, limit, token, clock)
    else:
        # SQLite has no row locks: the UPDATE repeats the condition, so that of two workers one gets each run.
        ids = run_ids if run_ids is not None else _pick(due, limit)
        taken = _take_by_update(due, ids, token, clock) if ids else []
    return [Claim(run, token, clock.at_claim(run.claimed_at), started) for run in taken]


def _take_locked(due: FlowRunQuerySet, limit: int, token: str, clock: Clock) -> list[Any]:
    features = connections[due.db].features
    with transaction.atomic(using=due.db):
        # Workers poll at once; each must get other runs instead of waiting for the same ones.
        locked = due.select_for_update(skip_locked=features.has_select_for_update_skip_locked)
        runs = _together(list(_dated(locked)[:limit]))
        if runs:
            _held(due, runs).update(**transitions.running(token, clock, lease_length()))
    for run in runs:
        run.claim_count += 1
    return runs


def _pick(due: FlowRunQuerySet, limit: int) -> list[int]:
    return [run.pk for run in _together(list(due.only("pk", "claim_count")[:limit]))]


def _take_by_update(due: FlowRunQuerySet, ids: Sequence[int], token: str, clock: Clock) -> list[Any]:
    if not due.order_by().filter(pk__in=ids).update(**transitions.running(token, clock, lease_length())):
        return []
    held = FlowRun.objects.using(due.db).filter(pk__in=ids, token=token)
    return list(_dated(held.order_by("id")))


def _together(due: list[Any]) -> list[Any]:
    """The runs to claim with one token: those up to the first that was claimed before without a checkpoint.

    Such a run may have killed its worker. It is claimed alone, so that its crashes count against nobody else.
    """
    if due and due[0].claim_count:
        return due[:1]
    return list(takewhile(lambda run: not run.claim_count, due))


def _held(due: FlowRunQuerySet, runs: Sequence[FlowRun]) -> FlowRunQuerySet:
    return FlowRun.objects.using(due.db).filter(pk__in=[run.pk for run in runs])


def _dated(runs: FlowRunQuerySet) -> FlowRunQuerySet:
    return runs.annotate(claimed_at=DatabaseNow())


def renew(token: str, run_ids: Sequence[int]) -> int:
    """Move the end of these leases; returns how many are still held."""
    held = FlowRun.objects.using(database()).filter(pk__in=run_ids, token=token, status="running")
    return held.update(due_at=Clock().after(lease_length()))
