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
{%- if cookiecutter.kind == "app" %}

from .models import Text
{%- endif %}

__all__ = ["{{ cookiecutter.__class }}"]

_ = catalogue("{{ cookiecutter.__package }}")


class {{ cookiecutter.__class }}(BaseAction):
    """Puts a text together and keeps it{% if cookiecutter.kind == "app" %} in a table of its own{% endif %}."""

    name = "{{ cookiecutter.pack_name }}.{{ cookiecutter.action_name }}"
    label = "{{ cookiecutter.__label }}"
{%- if cookiecutter.kind == "app" %}
    # Written in one transaction with the run's checkpoint, and so exactly once.
    effect = Effect.DATABASE
{%- else %}
    # It touches nothing but the state. An action that calls the world is Effect.EXTERNAL, and sends
    # context.idempotency_key along: after a crash it is called again.
    effect = Effect.PURE
{%- endif %}

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
{%- if cookiecutter.kind == "app" %}
        Text.objects.create(run_id=context.run_id, text=text)
{%- endif %}
        context.state[context.config["key"]] = text
        return Next()

    def summary(self, config: Mapping[str, Any]) -> str:
        return f"{config['key']}: {config['text'].source}"
