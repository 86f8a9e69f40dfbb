"""The actions of this pack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from flowcontrol.base import ActionContext, ActionForm, BaseAction, Effect
from flowcontrol.expressions import RESERVED_NAMES
from flowcontrol.forms import TemplateField
from flowcontrol.translations import catalogue
{%- if cookiecutter.kind == "app" %}

from . import models
{%- endif %}

__all__ = ["{{ cookiecutter.__class }}"]

_ = catalogue("{{ cookiecutter.__module }}")


class {{ cookiecutter.__class }}(BaseAction):
{%- if cookiecutter.kind == "app" %}
    """Writes a text into an entry and into the state, both or neither."""
{%- else %}
    """Writes a text into the state."""
{%- endif %}

    name = "{{ cookiecutter.__pack }}.{{ cookiecutter.__action }}"
    label = "{{ cookiecutter.__label }}"
{%- if cookiecutter.kind == "app" %}
    # It writes through the ORM only, so the engine commits it together with the run: exactly once, whatever crashes.
    effect = Effect.DATABASE
{%- else %}
    # It changes the state only. What touches the world is Effect.EXTERNAL, and passes context.idempotency_key on.
    effect = Effect.PURE
{%- endif %}

    class Config(ActionForm):
        text = TemplateField(
            label=_("Text"),
            help_text=_("What to write; expressions stand in double braces."),
        )
        save_as = forms.CharField(
            label=_("Save as"),
            required=False,
            initial="text",
            max_length=100,
            help_text=_("The key of the run's state that gets the text."),
        )

        def clean_save_as(self) -> str:
            name: str = self.cleaned_data["save_as"] or "text"
            if not name.isidentifier() or name in RESERVED_NAMES:
                raise ValidationError(
                    _("“%(name)s” is no name that expressions can read: letters, digits and _ make one."),
                    code="name",
                    params={"name": name},
                )
            return name

    def run(self, context: ActionContext) -> None:
        text = context.render(context.config["text"])
        {%- if cookiecutter.kind == "app" %}
        models.Entry.objects.create(run_id=context.run_id, text=text)
        {%- endif %}
        context.state[context.config["save_as"]] = text

    def summary(self, config: Mapping[str, Any]) -> str:
        return f"{config['save_as']}: {config['text'].source}"
