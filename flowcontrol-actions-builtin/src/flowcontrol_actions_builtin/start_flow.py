"""Starting another flow from a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from flowcontrol.base import ActionContext, ActionForm, BaseAction, Decision, Effect, Fail, Next
from flowcontrol.engine import Refused, Started, start_flow
from flowcontrol.exceptions import FlowNotStartable
from flowcontrol.expressions import Expression
from flowcontrol.forms import ExpressionField, FlowField

from .due_time import moment_of

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

    class Config(ActionForm):
        flow = FlowField(label=_("Flow"), help_text=_("The flow to start, by its slug."))
        at = ExpressionField(
            label=_("At"),
            required=False,
            help_text=_(
                "An expression that gives the date or datetime to start it at; a date is its midnight in the "
                "project's time zone. Empty, or past: at once."
            ),
        )
        pass_object = forms.BooleanField(
            label=_("Pass object"),
            required=False,
            initial=True,
            help_text=_("The new run is about the same object as this one, if this one is about any."),
        )
        pass_state = forms.BooleanField(
            label=_("Pass state"),
            required=False,
            help_text=_("The new run begins with a copy of this one's state."),
        )

    def run(self, context: ActionContext) -> Decision:
        config = context.config
        at: Expression | None = config["at"]
        started = start_flow(
            config["flow"],
            context.object if config["pass_object"] else None,
            dict(context.state) if config["pass_state"] else None,
            at=None
            if at is None
            else moment_of(context.evaluate(at), timezone.get_default_timezone(), at.source),
            parent_id=context.run_id,
        )
        match started:
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
