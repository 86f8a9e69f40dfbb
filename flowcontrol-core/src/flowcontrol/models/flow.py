"""Flows: what staff design, the versions that runs are pinned to, and the ledger that limits are held under."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from .database import DocumentField

if TYPE_CHECKING:
    from django_stubs_ext.db.models.manager import RelatedManager

    from .run import FlowRun
    from .trigger import Trigger

__all__ = ["Flow", "FlowQuerySet", "FlowVersion", "RunLimit"]


class FlowQuerySet(models.QuerySet["Flow"]):
    def active(self) -> FlowQuerySet:
        """Flows that start new runs: switched on, and published."""
        return self.filter(is_active=True, published__isnull=False)

    def with_published(self) -> FlowQuerySet:
        """Each with its published version: document and all, in the same query."""
        return self.select_related("published")


class Flow(models.Model):
    """A tree of steps under a slug. Edits go to the draft; runs execute immutable versions of it.

    ``draft`` is the document without ``triggers`` and ``active``: these are facts about the flow as it is now,
    not of a version, so ``Trigger`` rows and ``is_active`` alone hold them. Import and export translate.
    """

    slug = models.SlugField(_("slug"), max_length=100, unique=True)
    name = models.CharField(_("name"), max_length=200)
    description = models.TextField(_("description"), blank=True, default="")
    object_model = models.CharField(
        _("object"),
        max_length=150,
        blank=True,
        default="",
        help_text=_("Model that a run is about, such as auth.user; empty for none."),
    )
    is_active = models.BooleanField(
        _("active"), default=True, help_text=_("An inactive flow starts no runs; those in flight go on.")
    )
    #: Of the published document, for the claim of due runs: who executes them, and which flows go first.
    queue = models.CharField(_("queue"), max_length=50, default="default", editable=False)
    priority = models.SmallIntegerField(_("priority"), default=0, editable=False)
    draft = DocumentField(_("draft"), default=dict)
    draft_revision = models.PositiveIntegerField(_("draft revision"), default=0)
    published = models.ForeignKey(
        "FlowVersion",
        verbose_name=_("published version"),
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        editable=False,
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    objects = FlowQuerySet.as_manager()

    if TYPE_CHECKING:
        versions: RelatedManager[FlowVersion]
        runs: RelatedManager[FlowRun]
        triggers: RelatedManager[Trigger]
        published_id: uuid.UUID | None

    class Meta:
        verbose_name = _("flow")
        verbose_name_plural = _("flows")
        ordering = ["name", "slug"]
        permissions = [
            ("start_flow", _("Can start flows")),
            ("publish_flow", _("Can publish, activate and deactivate flows")),
        ]

    def __str__(self) -> str:
        return self.name or self.slug

    def delete(self, using: str | None = None, keep_parents: bool = False) -> tuple[int, dict[str, int]]:
        """Deletes the flow and its versions. Raises ``ProtectedError`` while there are runs: they are history."""
        alias = using or self._state.db
        with transaction.atomic(using=alias):
            # The pointer to the published version would protect that version from going with its flow.
            Flow.objects.using(alias).filter(pk=self.pk, runs__isnull=True).update(published=None)
            return super().delete(using=using, keep_parents=keep_parents)


class FlowVersion(models.Model):
    """A document as it was published, for good: runs are pinned to it."""

    #: Random, so that a process may keep the compiled program under it whatever happens to the row: a number
    #: comes again after a rollback.
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    flow = models.ForeignKey(Flow, verbose_name=_("flow"), on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField(_("number"))
    document = DocumentField(_("document"))
    note = models.CharField(_("note"), max_length=200, blank=True, default="")
    created_at = models.DateTimeField(_("published at"), auto_now_add=True)

    if TYPE_CHECKING:
        flow_id: int

    class Meta:
        verbose_name = _("flow version")
        verbose_name_plural = _("flow versions")
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["flow", "number"], name="flowcontrol_version_number")]

    def __str__(self) -> str:
        return f"{self.flow.slug} v{self.number}"


class RunLimit(models.Model):
    """The ledger behind a flow's limits: one row for the flow, and one per object for a limit per object.

    The flow's row (both object fields empty) is what starters lock, by updating it: that works alike on every
    database, and nothing refers to it, so that a lock on it never meets the check of a foreign key. ``started``
    counts the runs ever admitted, so that pruning the history cannot make a limit forget.
    """

    flow = models.ForeignKey(Flow, on_delete=models.CASCADE, related_name="+")
    object_model = models.CharField(max_length=150, default="", blank=True)
    object_id = models.CharField(max_length=255, default="", blank=True)
    started = models.PositiveBigIntegerField(default=0)

    if TYPE_CHECKING:
        flow_id: int

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["flow", "object_model", "object_id"], name="flowcontrol_limit_object"
            )
        ]

    def __str__(self) -> str:
        return f"{self.object_model}:{self.object_id} started {self.started}"
