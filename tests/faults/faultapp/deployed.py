"""What differs between two releases of the project: ``FAULTAPP_RELEASE`` says which one a process runs.

The old one has an action that the new one lost; the new one's action takes a setting that old flows do not give.
"""

from __future__ import annotations

import os

from django import forms
from flowcontrol.base import ActionContext, ActionForm, BaseAction, Effect

from . import outside
from .actions import Write


class Legacy(Write):
    """Only in the old release."""

    name = "faults.legacy"


class Steady(BaseAction):
    """In both releases."""

    name = "faults.steady"
    effect = Effect.EXTERNAL

    class Config(ActionForm):
        if os.environ.get("FAULTAPP_RELEASE") == "new":
            colour = forms.CharField(required=False, initial="blue")

    def run(self, context: ActionContext) -> None:
        outside.receive(context.run_id, context.step_id, context.idempotency_key, context.attempt)


def actions() -> list[type[BaseAction]]:
    return [Steady] if os.environ.get("FAULTAPP_RELEASE") == "new" else [Steady, Legacy]
