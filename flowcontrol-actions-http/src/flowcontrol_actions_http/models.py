"""The tables of this pack."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

__all__ = ["Text"]


class Text(models.Model):
    """A text that a run has put together."""

    # Without a constraint in the database: while this pack is switched off, runs can still be deleted.
    run = models.ForeignKey(
        "flowcontrol.FlowRun",
        verbose_name=_("run"),
        on_delete=models.CASCADE,
        db_constraint=False,
        related_name="+",
    )
    text = models.TextField(_("text"))
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("text")
        verbose_name_plural = _("texts")
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.text[:50]
