"""Starting another flow from a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from flowcontrol.base import ActionContext, BaseAction, Decision, Effect, Fail, Next
from flowcontrol.engine import Refused, Started
from flowcontrol.exceptions import FlowNotStartable
from flowcontrol.expressions import Expression
from flowcontrol.forms import ExpressionField

from .due_time import moment_of
from .starting import StartForm, start

__all__ = ["StartFlow"]


class StartFlow(BaseAction):
    """Starts a run of another flow, which goes its own way: this run neither waits for it nor fails with it.

    The new run and this step are written together, so that a crash makes neither two of it nor none. A limit
    of the other flow that keeps it from starting is no error here, and is logged; that the flow is missing,
    inactive or unpublished, or about another kind of object, fails this run.
    """

    name = "builtin.start_flow"
    label = "Start new flow"
    effect = Effect.DATABASE

    class Config(StartForm):
        at = ExpressionField(
            label=_("At"),
            required=False,
            help_text=_(
                "An expression that gives the date or datetime to start it at; a date is its midnight in the "
                "project's time zone. Empty, or past: at once."
            ),
        )

    def run(self, context: ActionContext) -> Decision:
        config = context.config
        at: Expression | None = config["at"]
        zone = timezone.get_default_timezone()
        match start(context, at=None if at is None else moment_of(context.evaluate(at), zone, at.source)):
            case Started(run):
                context.log.info("flow started flow=%s run=%s", config["flow"], run.pk)
            case Refused("limit", detail):
                context.log.warning("flow not started flow=%s: %s", config["flow"], detail)
            case Refused(_reason, detail):
                # What was recorded about the refusal goes with the step's transaction; its failure tells the same.
                return Fail(FlowNotStartable(detail))
        return Next()

    def summary(self, config: Mapping[str, Any]) -> str:
        if config["at"] is None:
            return gettext("Start “%(flow)s”") % {"flow": config["flow"]}
        return gettext("Start “%(flow)s” at %(at)s") % {"flow": config["flow"], "at": config["at"].source}
