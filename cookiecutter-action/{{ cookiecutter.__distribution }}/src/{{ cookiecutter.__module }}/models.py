"""What this pack keeps in the project's database."""

from __future__ import annotations

from django.db import models
from flowcontrol.translations import catalogue

__all__ = ["Entry"]

_ = catalogue("{{ cookiecutter.__module }}")


class Entry(models.Model):
    """A text that a run wrote."""

    # Without a constraint: a project that switches this pack off can still delete runs, whose tables know nothing of
    # ours then. Hence a run may be gone, and reading it has to reckon with that.
    run = models.ForeignKey(
        "flowcontrol.FlowRun",
        verbose_name=_("run"),
        on_delete=models.SET_NULL,
        null=True,
        db_constraint=False,
        related_name="+",
    )
    text = models.TextField(_("text"))
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        ordering = ["-pk"]
        verbose_name = _("entry")
        verbose_name_plural = _("entries")

    def __str__(self) -> str:
        return self.text[:50]
