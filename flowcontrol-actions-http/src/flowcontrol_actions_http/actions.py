"""The actions of this pack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from flowcontrol.base import ActionContext, ActionForm, BaseAction, Decision, Effect, Next
from flowcontrol.expressions import RESERVED_NAMES
from flowcontrol.forms import TemplateField
from flowcontrol.translations import catalogue

from .models import Text

__all__ = ["Request"]

_ = catalogue("flowcontrol_actions_http")


class Request(BaseAction):
    """Puts a text together and keeps it in a table of its own."""

    name = "http.request"
    label = "Request"
    # Written in one transaction with the run's checkpoint, and so exactly once.
    effect = Effect.DATABASE

    class Config(ActionForm):
        text = TemplateField(label=_("Text"), help_text=_("What it says, with expressions in double braces."))
        key = forms.CharField(
            label=_("Key"), initial="text", max_length=100, help_text=_("Under which the state keeps it.")
        )

        def clean_key(self) -> str:
            key: str = self.cleaned_data["key"]
            if not key.isidentifier() or key in RESERVED_NAMES:
                raise ValidationError(
                    _("“%(key)s” is no name that expressions can read: letters, digits and _ make one."),
                    code="key",
                    params={"key": key},
                )
            return key

    def run(self, context: ActionContext) -> Decision:
        text = context.render(context.config["text"])
        Text.objects.create(run_id=context.run_id, text=text)
        context.state[context.config["key"]] = text
        return Next()

    def summary(self, config: Mapping[str, Any]) -> str:
        return f"{config['key']}: {config['text'].source}"
