"""Worker processes, as they report themselves."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models.expressions import Combinable
from django.utils.translation import gettext_lazy as _

from .database import DocumentField

__all__ = ["Worker", "WorkerQuerySet"]


class WorkerQuerySet(models.QuerySet["Worker"]):
    def seen_since(self, moment: datetime | Combinable) -> WorkerQuerySet:
        """Workers that reported themselves since then."""
        return self.filter(seen_at__gte=moment)


class Worker(models.Model):
    """A worker process at work: one row, written at its start, renewed by its heartbeat, removed when it stops.

    The row of a process that died stays behind until it is pruned; ``seen_at`` tells. Nothing depends on it: leases
    decide who executes a run. For people, and for whoever looks for a worker that has an action.
    """

    #: "host:pid:random".
    name = models.CharField(_("name"), max_length=200, unique=True)
    host = models.CharField(_("host"), max_length=150)
    pid = models.PositiveIntegerField(_("process"))
    #: Queues it serves, separated by commas; empty for all.
    queues = models.CharField(_("queues"), max_length=500, blank=True, default="")
    #: ``{plugin: version}`` of the active ones, ``flowcontrol`` itself among them.
    plugins = DocumentField(_("plugins"), default=dict)
    #: Names of all actions that it has: runs that need another one are left to other workers.
    actions: models.JSONField[list[str], list[str]] = models.JSONField(_("actions"), default=list)
    executed = models.PositiveBigIntegerField(_("stretches executed"), default=0)
    is_stopping = models.BooleanField(_("stopping"), default=False)
    started_at = models.DateTimeField(_("started at"))
    seen_at = models.DateTimeField(_("seen at"))

    objects = WorkerQuerySet.as_manager()

    class Meta:
        verbose_name = _("worker")
        verbose_name_plural = _("workers")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
