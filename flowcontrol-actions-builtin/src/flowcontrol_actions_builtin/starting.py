"""What the actions that start a flow have in common: what they are told of it, and the start."""

from __future__ import annotations

from datetime import datetime

from django import forms
from django.utils.translation import gettext_lazy as _
from flowcontrol.base import ActionContext, ActionForm
from flowcontrol.engine import Refused, Started, start_flow
from flowcontrol.forms import FlowField

__all__ = ["StartForm", "start"]


class StartForm(ActionForm):
    flow = FlowField(label=_("Flow"), help_text=_("The flow to start, by its slug."))
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


def start(
    context: ActionContext, *, at: datetime | None = None, is_awaited: bool = False
) -> Started | Refused:
    """Start the flow that the step's ``StartForm`` says, as a child of this run."""
    config = context.config
    return start_flow(
        config["flow"],
        context.object if config["pass_object"] else None,
        dict(context.state) if config["pass_state"] else None,
        at=at,
        parent_id=context.run_id,
        is_awaited=is_awaited,
    )
