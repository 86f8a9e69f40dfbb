"""Waiting until something happens, or for so long at most."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from flowcontrol.base import (
    ActionContext,
    ActionForm,
    BaseAction,
    Decision,
    Effect,
    EnterBranch,
    Next,
    Wait,
    Wakeup,
)

from .fields import NameField, TimeoutField, TriggerField, with_timeout

__all__ = ["WaitForTrigger"]


class WaitForTrigger(BaseAction):
    """Suspends the run until a trigger fires, and keeps what it brought.

    One that fired since the run began, and that no step of the run took yet, counts at once: what happens while the
    run is on its way here is not missed. When the time is up first, the steps of ``timeout`` run.
    """

    name = "builtin.wait_for_trigger"
    label = "Wait for trigger"
    effect = Effect.PURE
    branches = ("timeout",)

    class Config(ActionForm):
        trigger = TriggerField(
            label=_("Trigger"),
            help_text=_("The name of the trigger type to wait for, such as shop.order_paid."),
        )
        match_object = forms.BooleanField(
            label=_("Match object"),
            required=False,
            initial=True,
            help_text=_("Only when it fires about the same object as this run's."),
        )
        save_as = NameField(
            label=_("Save as"),
            required=False,
            max_length=100,
            help_text=_("The key of the state under which to keep what the trigger brought. Empty: nowhere."),
        )
        timeout_seconds = TimeoutField(
            label=_("Timeout in seconds"),
            required=False,
            help_text=_(
                "How long to wait at most; then the steps of the branch “timeout” run. Empty: for ever."
            ),
        )

    def run(self, context: ActionContext) -> Decision:
        config = context.config
        seconds = config["timeout_seconds"]
        return Wait(
            event=config["trigger"],
            match_object=config["match_object"],
            until=None if seconds is None else context.now + timedelta(seconds=seconds),
        )

    def after_wait(self, context: ActionContext, wakeup: Wakeup) -> Decision:
        if wakeup.is_timeout:
            return EnterBranch("timeout")
        if context.config["save_as"]:
            context.state[context.config["save_as"]] = dict(wakeup.payload)
        return Next()

    def summary(self, config: Mapping[str, Any]) -> str:
        text = gettext("Wait for %(trigger)s") % {"trigger": config["trigger"]}
        return with_timeout(text, config["timeout_seconds"])
