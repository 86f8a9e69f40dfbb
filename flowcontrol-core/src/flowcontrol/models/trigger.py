"""Triggers: which event starts which flow; and the events themselves."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .. import expressions
from ..exceptions import ExpressionSyntaxError
from .flow import Flow
from .run import object_reference

__all__ = ["Event", "EventQuerySet", "Trigger", "TriggerQuerySet", "digest"]


class TriggerQuerySet(models.QuerySet["Trigger"]):
    def listening(self, name: str, now: datetime) -> TriggerQuerySet:
        """Triggers that an event of this name sets off now, with their flows and published versions."""
        return (
            self.filter(on=name, is_active=True, flow__is_active=True, flow__published__isnull=False)
            .filter(Q(active_since=None) | Q(active_since__lte=now))
            .select_related("flow__published")
            .order_by("flow_id", "id")
        )


class Trigger(models.Model):
    """The rule "when this happens, start that flow". Rows are the truth about a flow's triggers.

    Importing a document with ``triggers`` replaces the flow's rows by them; one without leaves them alone.
    Export writes the rows, in the order of their ids.
    """

    class Does(models.TextChoices):
        START = "start", _("start a run")
        RESTART = "restart", _("restart the object's live runs at a step")

    flow = models.ForeignKey(Flow, verbose_name=_("flow"), on_delete=models.CASCADE, related_name="triggers")
    on = models.CharField(_("on"), max_length=200, help_text=_("Name of a registered trigger type."))
    condition = models.TextField(
        _("condition"),
        blank=True,
        default="",
        help_text=_(
            "Expression; nothing happens unless it is true. It can read object and the event's state."
        ),
    )
    is_active = models.BooleanField(_("active"), default=True)
    active_since = models.DateTimeField(
        _("active since"),
        null=True,
        blank=True,
        help_text=_("Events before this time are ignored; empty: none is."),
    )
    does = models.CharField(_("does"), max_length=10, choices=Does.choices, default=Does.START)
    step = models.CharField(
        _("step"),
        max_length=64,
        blank=True,
        default="",
        help_text=_("Where to restart; empty: from the start."),
    )

    objects = TriggerQuerySet.as_manager()

    if TYPE_CHECKING:
        flow_id: int

    class Meta:
        verbose_name = _("trigger")
        verbose_name_plural = _("triggers")
        ordering = ["flow", "id"]
        indexes = [models.Index(fields=["on"], name="flowcontrol_trigger_on")]

    def __str__(self) -> str:
        return f"{self.on} → {self.flow}"

    def clean(self) -> None:
        errors: dict[str, str] = {}
        if self.condition:
            try:
                expressions.compile_expression(self.condition)
            except ExpressionSyntaxError as error:
                errors["condition"] = str(error)
        if self.step and self.does != self.Does.RESTART:
            errors["step"] = str(_("A step is only for a trigger that restarts runs; leave this empty."))
        if errors:
            raise ValidationError(errors)


def digest(key: str) -> str:
    """What is stored of an event's key: keys may be of any length, and MariaDB would take "a" and "A" for the same."""
    return sha256(key.encode(errors="surrogatepass")).hexdigest()


class EventQuerySet(models.QuerySet["Event"]):
    def about(self, obj: models.Model | None) -> EventQuerySet:
        model, key = object_reference(obj)
        return self.filter(object_model=model, object_id=key)


class Event(models.Model):
    """Something happened: a trigger fired, or a start was refused. What came of it is recorded here.

    ``outcome`` is a list of ``{"flow": slug, "trigger": id, "result": "started" | "restarted" | "refused" |
    "error", "reason": …, "detail": …, "run": id}``. Runs that wait for the event find its payload here.
    """

    #: The name of what is recorded when a start was refused; no trigger has it.
    START_REFUSED = "flowcontrol.start_refused"

    name = models.CharField(_("name"), max_length=200)
    object_model = models.CharField(_("object model"), max_length=150, blank=True, default="")
    object_id = models.CharField(_("object id"), max_length=255, blank=True, default="")
    #: Text of ``flowcontrol.state``, as the state of a run.
    payload_json = models.TextField(_("payload"), default="{}")
    outcome: models.JSONField[list[dict[str, Any]], list[dict[str, Any]]] = models.JSONField(
        _("outcome"), default=list
    )
    #: ``digest`` of the key under which it was fired: the same twice is one event.
    key = models.CharField(_("key"), max_length=64, null=True, blank=True)  # noqa: DJ001  null: unique only where given
    created_at = models.DateTimeField(_("created at"))

    objects = EventQuerySet.as_manager()

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["key", "name"], name="flowcontrol_event_key")]
        indexes = [
            models.Index(fields=["name", "object_model", "object_id", "id"], name="flowcontrol_event_name"),
            models.Index(fields=["created_at"], name="flowcontrol_event_age"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.pk}"

    @property
    def is_failure(self) -> bool:
        """Whether this only records that handling the event failed: nothing of it was kept, its payload neither."""
        return any(each.get("result") == "error" and "flow" not in each for each in self.outcome)
