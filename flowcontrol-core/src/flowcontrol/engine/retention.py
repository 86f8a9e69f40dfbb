"""Removing what nobody needs any more, in small bites, so that no lock is held for long."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connections, transaction
from django.db.models import Case, IntegerField, When
from django.db.models.expressions import Combinable

from .. import conf, plugins
from ..models import Event, Flow, FlowRun, HistoryChunk, Worker
from ..models.run import ENDED, FlowRunQuerySet
from .claims import database
from .clock import Clock

__all__ = ["Pruned", "Pruning", "prune_events", "prune_everything", "prune_runs"]

#: Rows deleted in one transaction.
_CHUNK = 1_000
#: For so long the row of a worker that died is of interest.
_WORKER_ROW = timedelta(days=1)


class Pruned(NamedTuple):
    """How many rows were deleted; a row of history holds the steps of one stretch."""

    runs: int
    history: int


@dataclass(frozen=True)
class Pruning:
    """Which ended runs are pruned: those that ended so long ago, in these statuses, of this flow.

    With ``is_history_only`` the runs stay, and lose the records of their steps.
    """

    older_than: timedelta
    statuses: Collection[str] = ENDED
    flow: Flow | None = None
    is_history_only: bool = False

    def count(self) -> int:
        """How many runs that is now."""
        return self.runs().count()

    def runs(self) -> FlowRunQuerySet:
        runs = self._all().filter(ended_at__lt=self._before(), status__in=self.statuses)
        if self.is_history_only:
            runs = runs.filter(chunks__isnull=False).distinct()
        return runs

    def windows(self) -> Iterator[list[int]]:
        """Ids of such runs, oldest first, and an empty list now and then where there are none among many others.

        Goes along the primary key, as there is no index over the ends of runs, and stops at runs that are too young
        to have ended so long ago: what is kept is not looked at each time.
        """
        before = self._before()
        kind = Case(
            When(created_at__gte=before, then=_TOO_YOUNG),
            When(ended_at__lt=before, status__in=self.statuses, then=_DOOMED),
            default=_KEPT,
            output_field=IntegerField(),
        )
        last = 0
        while True:
            ahead = self._all().filter(pk__gt=last).order_by("pk")
            rows = list(ahead.values_list("pk", kind)[:_CHUNK])
            yield [pk for pk, kind in rows if kind == _DOOMED]
            if len(rows) < _CHUNK or rows[-1][1] == _TOO_YOUNG:
                return
            last = rows[-1][0]

    def _all(self) -> FlowRunQuerySet:
        runs = FlowRun.objects.using(database())
        return runs if self.flow is None else runs.filter(flow=self.flow)

    def _before(self) -> Combinable | datetime:
        return Clock().after(-self.older_than)


_KEPT, _DOOMED, _TOO_YOUNG = range(3)


def prune_runs(pruning: Pruning) -> Iterator[Pruned]:
    """Delete these runs and their history, each chunk in a transaction of its own; tells what each one deleted.

    That may be nothing: whoever has other duties gets a turn while it looks, too.
    Their children stay, without a parent. What limits count is kept apart, and stays as it is.
    """
    for ids in pruning.windows():
        if not ids:
            yield Pruned(0, 0)
        elif pruning.is_history_only:
            yield _prune_history(ids)
        else:
            yield _prune_chunk(pruning, ids)


def _prune_history(run_ids: list[int]) -> Pruned:
    return Pruned(0, HistoryChunk.objects.using(database()).filter(run_id__in=run_ids).delete()[0])


def _prune_chunk(pruning: Pruning, run_ids: list[int]) -> Pruned:
    features = connections[database()].features
    with transaction.atomic(using=database()):
        doomed = pruning.runs().filter(pk__in=run_ids)
        if features.has_select_for_update:
            # A run that somebody restarts at this moment is theirs, and what another worker prunes is that one's.
            doomed = doomed.select_for_update(skip_locked=features.has_select_for_update_skip_locked)
        ids = list(doomed.values_list("pk", flat=True))
        # Through the ORM, for the sake of models of plugins and projects that refer to runs; without loading states.
        runs = FlowRun.objects.using(database()).filter(pk__in=ids).only("pk")
        deleted = runs.delete()[1]
    return Pruned(
        deleted.get(FlowRun._meta.label, 0),
        deleted.get(HistoryChunk._meta.label, 0),
    )


def prune_events() -> int:
    """Delete events older than ``FLOWCONTROL["EVENT_RETENTION_DAYS"]``; returns how many."""
    return sum(_events())


def prune_everything() -> Iterator[int]:
    """What the settings say is too old, and the rows of workers that are gone: how many rows each chunk deleted.

    Plugins are told to do the same, and what they delete is not counted. A worker takes a chunk now and then between
    its rounds.
    """
    yield from _events()
    days = conf.settings.RUN_RETENTION_DAYS
    if days is not None:
        for pruned in prune_runs(Pruning(timedelta(days=days))):
            yield pruned.runs
    workers = Worker.objects.using(database())
    yield workers.filter(seen_at__lt=Clock().after(-_WORKER_ROW)).delete()[0]
    plugins.notify("flowcontrol_prune")


def _events() -> Iterator[int]:
    events = Event.objects.using(database())
    old = events.filter(created_at__lt=Clock().after(-timedelta(days=conf.get("EVENT_RETENTION_DAYS"))))
    while ids := list(old.order_by("created_at").values_list("pk", flat=True)[:_CHUNK]):
        yield events.filter(pk__in=ids).delete()[0]
