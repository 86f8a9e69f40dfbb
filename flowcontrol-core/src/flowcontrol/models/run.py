"""Runs of flows, and their history."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Expression, Q
from django.utils.translation import gettext_lazy as _

from ..state import State
from .database import DatabaseNow, PartialIndex, PartialUnique
from .flow import Flow, FlowVersion
from .records import StepRecord, unpack

if TYPE_CHECKING:
    from django_stubs_ext.db.models.manager import RelatedManager

__all__ = [
    "FlowRun",
    "FlowRunQuerySet",
    "HistoryChunk",
    "RunStatus",
    "TakenEvent",
    "object_reference",
]


def object_reference(obj: models.Model | None) -> tuple[str, str]:
    """("app.model", primary key as text) under which runs and events refer to an object; ("", "") for none.

    Raises ``ValueError`` for an object that was never saved.
    """
    if obj is None:
        return "", ""
    if obj.pk is None:
        raise ValueError(f"The {obj._meta.label} was never saved, so nothing can refer to it; save it first.")
    concrete = obj._meta.concrete_model
    assert concrete is not None, "only abstract models have none, and these have no instances"
    return concrete._meta.label_lower, str(obj.pk)


class RunStatus(models.TextChoices):
    PENDING = "pending", _("pending")
    RUNNING = "running", _("running")
    WAITING = "waiting", _("waiting")
    PAUSED = "paused", _("paused")
    BLOCKED = "blocked", _("blocked")
    COMPLETED = "completed", _("completed")
    STOPPED = "stopped", _("stopped")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")
    DISCARDED = "discarded", _("discarded")

    @property
    def is_ended(self) -> bool:
        return self in ENDED


ENDED = frozenset(
    {RunStatus.COMPLETED, RunStatus.STOPPED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.DISCARDED}
)


class FlowRunQuerySet(models.QuerySet["FlowRun"]):
    def due(self, now: datetime | Expression | None = None) -> FlowRunQuerySet:
        """Runs to execute, longest due first: pending, woken, and those whose worker let its lease pass.

        ``now`` is the database's time unless given.
        """
        return self.filter(due_at__lte=DatabaseNow() if now is None else now).order_by("due_at", "id")

    def needing_only(self, actions: Sequence[str]) -> FlowRunQuerySet:
        """Runs that need none but these actions, as far as is known."""
        return self.filter(needs__in=["", *actions])

    def live(self) -> FlowRunQuerySet:
        """Runs that have not ended."""
        return self.filter(ended_at__isnull=True)

    def admitted(self) -> FlowRunQuerySet:
        """Live runs that passed their flow's limits, and so count against them."""
        return self.live().filter(admitted_at__isnull=False)

    def queued(self) -> FlowRunQuerySet:
        """Live runs that have yet to pass their flow's limits, first come first."""
        return self.live().filter(admitted_at__isnull=True).order_by("id")

    def about(self, obj: models.Model | None) -> FlowRunQuerySet:
        """Runs about this object (or about none)."""
        model, key = object_reference(obj)
        return self.filter(object_model=model, object_id=key)

    def awaiting(self, event: str, obj: models.Model | None) -> FlowRunQuerySet:
        """Runs that wait for an event of this name which is about this object."""
        model, key = object_reference(obj)
        return self.filter(wait_event=event).filter(
            Q(wait_match_object=False) | Q(object_model=model, object_id=key)
        )


class FlowRun(models.Model):
    """One execution of a flow. Only ``flowcontrol.engine`` writes it; everybody may read.

    ``due_at`` is the one date that decides when a worker takes the run: the start of a pending run, the end of a
    wait, the end of the lease of a running one; null while nothing is to be done.
    """

    #: No index over all runs of a flow; see the constraint below.
    flow = models.ForeignKey(
        Flow, verbose_name=_("flow"), on_delete=models.PROTECT, related_name="runs", db_index=False
    )
    version = models.ForeignKey(
        FlowVersion, verbose_name=_("version"), on_delete=models.PROTECT, related_name="+", db_index=False
    )
    status = models.CharField(
        _("status"), max_length=10, choices=RunStatus.choices, default=RunStatus.PENDING
    )
    #: Why the run is where it is: the error, the reason to stop, what it is blocked on.
    reason = models.TextField(_("reason"), blank=True, default="")
    traceback = models.TextField(_("traceback"), blank=True, default="")

    object_model = models.CharField(_("object model"), max_length=150, blank=True, default="")
    object_id = models.CharField(_("object id"), max_length=255, blank=True, default="")
    key = models.CharField(_("key"), max_length=255, null=True, blank=True)  # noqa: DJ001  null: unique only where given
    trigger = models.ForeignKey(
        "flowcontrol.Trigger",
        verbose_name=_("trigger"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
    )
    parent = models.ForeignKey(
        "self",
        verbose_name=_("parent run"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="children",
        db_index=False,
    )
    #: Ancestors above this run, and runs that it started.
    depth = models.PositiveSmallIntegerField(_("depth"), default=0)
    child_count = models.PositiveIntegerField(_("runs started"), default=0)

    #: The parent waits for the end of this run, which is an event to it.
    is_awaited = models.BooleanField(_("awaited by its parent"), default=False)

    #: The state as text of ``flowcontrol.state``: exact, in the order of its keys, alike on every database.
    state_json = models.TextField(_("state"), default="{}")
    #: Where the run stands, as text of ``engine.cursor``; empty before its first step.
    cursor_json = models.TextField(_("cursor"), blank=True, default="")
    #: Id of the step the run stands at.
    step = models.CharField(_("step"), max_length=64, blank=True, default="")
    visit_count = models.PositiveIntegerField(_("steps run"), default=0)
    restart_count = models.PositiveSmallIntegerField(_("restarts"), default=0)

    due_at = models.DateTimeField(_("due at"), null=True, blank=True)
    token = models.CharField(_("lease token"), max_length=32, blank=True, default="")
    #: Claims since the last checkpoint: more than one means that workers died (or an action killed them).
    claim_count = models.PositiveSmallIntegerField(_("claims since the last checkpoint"), default=0)
    is_pause_requested = models.BooleanField(_("pause requested"), default=False)
    #: The action that a blocked run needs of whoever takes it; empty for none in particular.
    needs = models.CharField(_("needs action"), max_length=200, blank=True, default="")
    wait_until = models.DateTimeField(_("waits until"), null=True, blank=True)
    wait_event = models.CharField(_("waits for event"), max_length=200, blank=True, default="")
    wait_match_object = models.BooleanField(_("event has to be about the object"), default=True)
    #: The event that started this run, and is none for it to wait for; 0 for none. See ``TakenEvent`` for the others.
    start_event_id = models.PositiveBigIntegerField(default=0)

    created_at = models.DateTimeField(_("created at"))
    admitted_at = models.DateTimeField(_("admitted at"), null=True, blank=True)
    started_at = models.DateTimeField(_("started at"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)

    objects = FlowRunQuerySet.as_manager()

    if TYPE_CHECKING:
        children: RelatedManager[FlowRun]
        chunks: RelatedManager[HistoryChunk]
        flow_id: int
        version_id: uuid.UUID
        parent_id: int | None
        trigger_id: int | None

    class Meta:
        verbose_name = _("flow run")
        verbose_name_plural = _("flow runs")
        ordering = ["-id"]
        # The key first: an index that begins with the flow and holds ended runs, too, is what PostgreSQL takes where
        # only live runs are asked for, as it thinks that half of a flow's runs are live when half of all are.
        constraints = [
            PartialUnique(fields=["key", "flow"], name="flowcontrol_run_key", only=Q(key__isnull=False))
        ]
        indexes = [
            PartialIndex(fields=["parent"], name="flowcontrol_run_parent", only=Q(parent__isnull=False)),
            PartialIndex(fields=["due_at", "id"], name="flowcontrol_run_due", only=Q(due_at__isnull=False)),
            # For a fair share of each flow where more is due than a worker takes at once.
            PartialIndex(
                fields=["flow", "due_at", "id"], name="flowcontrol_run_flow_due", only=Q(due_at__isnull=False)
            ),
            PartialIndex(
                fields=["flow", "ended_at", "object_model", "object_id"],
                name="flowcontrol_run_admitted",
                only=Q(ended_at__isnull=True, admitted_at__isnull=False),
            ),
            PartialIndex(
                fields=["flow", "admitted_at", "ended_at", "id"],
                name="flowcontrol_run_queue",
                only=Q(ended_at__isnull=True, admitted_at__isnull=True),
            ),
            PartialIndex(
                fields=["wait_event", "object_model", "object_id"],
                name="flowcontrol_run_awaiting",
                only=~Q(wait_event=""),
            ),
            PartialIndex(
                fields=["object_model", "object_id"], name="flowcontrol_run_object", only=~Q(object_model="")
            ),
        ]
        permissions = [
            ("operate_flowrun", _("Can cancel, pause, resume and restart runs")),
            ("view_flowrun_data", _("Can see the state and the tracebacks of runs")),
        ]

    def __str__(self) -> str:
        return f"{self._meta.verbose_name} {self.pk}"

    @property
    def state(self) -> State:
        """The run's data, decoded anew at each call: what is changed in it is not written."""
        return State.from_text(self.state_json)

    @property
    def is_ended(self) -> bool:
        return self.ended_at is not None

    def history(self) -> list[StepRecord]:
        """Records of all steps visited, in order. One query."""
        return [record for chunk in self.chunks.order_by("id") for record in chunk.records()]


class TakenEvent(models.Model):
    """An event that a run took, so that it takes none twice.

    A row and no high-water mark: events are not committed in the order in which they are numbered, and what happened
    before the event that a run took, under another name or not, is still there for its next wait.
    """

    run = models.ForeignKey(FlowRun, on_delete=models.CASCADE, related_name="+", db_index=False)
    #: Not a foreign key: events are pruned by their age, and nobody has to look here for it.
    event_id = models.PositiveBigIntegerField()

    if TYPE_CHECKING:
        run_id: int

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "event_id"], name="flowcontrol_taken_event")]

    def __str__(self) -> str:
        return f"event {self.event_id} of run {self.run_id}"


class HistoryChunk(models.Model):
    """A stretch of a run's step records, written with one checkpoint.

    A row per stretch, not per step: a row for each of 900 rounds would cost more than the rounds.
    """

    run = models.ForeignKey(FlowRun, on_delete=models.CASCADE, related_name="chunks")
    packed = models.TextField()

    if TYPE_CHECKING:
        run_id: int

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"history of run {self.run_id}"

    def records(self) -> list[StepRecord]:
        return list(unpack(self.packed))
