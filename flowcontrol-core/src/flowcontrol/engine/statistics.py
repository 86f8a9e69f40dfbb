"""How things stand, in figures: what is due and for how long, what fails, what is blocked, and who works.

Every query is one of live runs, of due ones or of those that ended lately: none looks at the whole history.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, Q

from ..models import Flow, FlowRun, RunStatus, Worker
from ..models.database import DatabaseNow
from ..models.run import FlowRunQuerySet
from .capabilities import seen_for
from .claims import database
from .clock import Clock

__all__ = ["Blocked", "FlowFigures", "Statistics", "WorkerFigures", "statistics"]

#: What is due for longer than this is overdue.
OVERDUE = timedelta(seconds=60)
FAILED_WITHIN = timedelta(hours=24)
RATE_MINUTES = 5
#: So many reasons why runs are blocked are told.
_REASONS = 50


@dataclass
class FlowFigures:
    """Figures of one flow, or of all flows of a queue together (``flow`` is empty then).

    ``lag_seconds`` is how long the run that is longest due is due; ``failed`` counts the last 24 hours, and
    ``ended_per_minute`` is an average over five minutes.
    """

    queue: str
    flow: str
    due: int = 0
    lag_seconds: float = 0.0
    overdue: int = 0
    pending: int = 0
    running: int = 0
    waiting: int = 0
    paused: int = 0
    blocked: int = 0
    failed: int = 0
    ended_per_minute: float = 0.0

    @property
    def is_idle(self) -> bool:
        """Whether nothing lives, and nothing ended lately."""
        return (
            not any(
                (self.due, self.pending, self.running, self.waiting, self.paused, self.blocked, self.failed)
            )
            and not self.ended_per_minute
        )

    def add(self, other: FlowFigures) -> None:
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.lag_seconds = max(self.lag_seconds, other.lag_seconds)


_SUMS = (
    "due", "overdue", "pending", "running", "waiting", "paused", "blocked", "failed", "ended_per_minute",
)  # fmt: skip


@dataclass(frozen=True)
class Blocked:
    """So many runs of a flow are blocked for this reason."""

    flow: str
    reason: str
    count: int


@dataclass(frozen=True)
class WorkerFigures:
    name: str
    host: str
    pid: int
    queues: str
    plugins: Mapping[str, str]
    executed: int
    is_stopping: bool
    started_at: datetime
    seen_at: datetime
    seen_seconds: float
    is_alive: bool


@dataclass(frozen=True)
class Statistics:
    queues: list[FlowFigures] = field(default_factory=list)
    flows: list[FlowFigures] = field(default_factory=list)
    blocked: list[Blocked] = field(default_factory=list)
    workers: list[WorkerFigures] = field(default_factory=list)


def statistics() -> Statistics:
    """The figures as they are now, by the database's clock."""
    flows = {
        pk: FlowFigures(queue, slug)
        for pk, slug, queue in Flow.objects.using(database())
        .order_by("queue", "slug")
        .values_list("pk", "slug", "queue")
    }
    _count_live(flows)
    _count_due(flows)
    _count_ended(flows)
    return Statistics(_by_queue(flows.values()), list(flows.values()), _blocked(flows), _workers())


def _runs() -> FlowRunQuerySet:
    return FlowRun.objects.using(database()).order_by()


def _count_live(flows: Mapping[int, FlowFigures]) -> None:
    # Admitted or not, for each there is an index over the live ones.
    for live in (_runs().admitted(), _runs().queued()):
        counted = live.order_by().values("flow_id", "status").annotate(count=Count("pk"))
        for pk, status, count in counted.values_list("flow_id", "status", "count"):
            if pk in flows:
                setattr(flows[pk], status, getattr(flows[pk], status) + count)


def _count_due(flows: Mapping[int, FlowFigures]) -> None:
    due = (
        _runs()
        .filter(due_at__lte=DatabaseNow())
        .annotate(now=DatabaseNow())
        .values("flow_id", "now")
        .annotate(
            count=Count("pk"),
            overdue=Count("pk", filter=Q(due_at__lte=Clock().after(-OVERDUE))),
            first=Min("due_at"),
        )
    )
    for pk, now, count, overdue, first in due.values_list("flow_id", "now", "count", "overdue", "first"):
        if pk in flows:
            figures = flows[pk]
            figures.due += count
            figures.overdue += overdue
            figures.lag_seconds = round((now - first).total_seconds(), 3)


def _count_ended(flows: Mapping[int, FlowFigures]) -> None:
    for pk, count in _ended_since(FAILED_WITHIN, status=RunStatus.FAILED):
        if pk in flows:
            flows[pk].failed = count
    for pk, count in _ended_since(timedelta(minutes=RATE_MINUTES)):
        if pk in flows:
            flows[pk].ended_per_minute = round(count / RATE_MINUTES, 2)


def _ended_since(length: timedelta, **conditions: Any) -> Iterable[tuple[int, int]]:
    ended = _runs().filter(ended_at__gte=Clock().after(-length), **conditions)
    return ended.values("flow_id").annotate(count=Count("pk")).values_list("flow_id", "count")


def _blocked(flows: Mapping[int, FlowFigures]) -> list[Blocked]:
    concerned = [pk for pk, figures in flows.items() if figures.blocked]
    if not concerned:
        return []
    # All blocked runs have a date on which they are looked at again: the index over these is the one to use.
    blocked = _runs().filter(flow_id__in=concerned, status=RunStatus.BLOCKED, due_at__isnull=False)
    counted = (
        blocked.values("flow_id", "reason")
        .annotate(count=Count("pk"))
        .order_by("-count", "flow_id", "reason")
    )
    return [
        Blocked(flows[pk].flow, reason, count)
        for pk, reason, count in counted.values_list("flow_id", "reason", "count")[:_REASONS]
        if pk in flows
    ]


def _by_queue(flows: Iterable[FlowFigures]) -> list[FlowFigures]:
    queues: dict[str, FlowFigures] = {}
    for figures in flows:
        queues.setdefault(figures.queue, FlowFigures(figures.queue, "")).add(figures)
    return list(queues.values())


def _workers() -> list[WorkerFigures]:
    workers = Worker.objects.using(database()).order_by("host", "pid", "name")
    dead_after = seen_for().total_seconds()
    rows = workers.values_list(*_WORKER_FIELDS, DatabaseNow())
    figures = []
    for *facts, now in rows:
        told: dict[str, Any] = dict(zip(_WORKER_FIELDS, facts, strict=True))
        seconds = round((now - told["seen_at"]).total_seconds(), 3)
        figures.append(WorkerFigures(**told, seen_seconds=seconds, is_alive=seconds < dead_after))
    return figures


_WORKER_FIELDS = (
    "name", "host", "pid", "queues", "plugins", "executed", "is_stopping", "started_at", "seen_at",
)  # fmt: skip
