"""What processes have to know of each other: which messages are on their way, and when the next tick is due."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

__all__ = ["Bell", "Tick"]


class Bell(models.Model):
    """Calls a worker to a queue of tasks. While it rings, nobody needs to ring it again."""

    queue = models.CharField(_("queue"), max_length=200)
    #: 0 calls the first worker, 1 and more call further ones.
    number = models.PositiveSmallIntegerField(_("number"))
    #: Since when a message is on its way; empty once a worker took it.
    rung_at = models.DateTimeField(_("rung at"), null=True)

    class Meta:
        verbose_name = _("bell")
        verbose_name_plural = _("bells")
        constraints = [
            models.UniqueConstraint(fields=["queue", "number"], name="flowcontrol_tasks_bell"),
        ]

    def __str__(self) -> str:
        return f"{self.queue} {self.number}"


class Tick(models.Model):
    """The one message that will come back by itself, and by which all that waits or got lost is found. One row."""

    #: Of the message on its way. One with another number is late or doubled, and is followed by none.
    number = models.PositiveBigIntegerField(_("number"))
    due_at = models.DateTimeField(_("due at"))

    class Meta:
        verbose_name = _("tick")
        verbose_name_plural = _("ticks")

    def __str__(self) -> str:
        return str(self.number)
