"""Small actions for the tests of documents: core's tests know no pack."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django import forms
from flowcontrol import registry
from flowcontrol.base import ActionForm, BaseAction, Retry
from flowcontrol.forms import ExpressionField, FlowField, StateField, TemplateField, compile_strings


class Plain(BaseAction):
    name = "demo.plain"


class If(BaseAction):
    name = "demo.if"
    branches = ("steps", "else")

    class Config(ActionForm):
        condition = ExpressionField()


class Loop(BaseAction):
    name = "demo.loop"
    label = "Loop"
    branches = ("steps",)

    class Config(ActionForm):
        start = ExpressionField(initial="0")
        times = forms.IntegerField(min_value=0, initial=3)


class Wait(BaseAction):
    name = "demo.wait"
    label = "Wait"

    class Config(ActionForm):
        seconds = forms.IntegerField(required=False, min_value=0)
        at = forms.TimeField(required=False)
        day = forms.DateField(required=False)
        if_past = forms.ChoiceField(choices=[("go", "Go on"), ("stop", "Stop")], initial="go")
        days = forms.MultipleChoiceField(choices=[("1", "Monday"), ("2", "Tuesday")], required=False)
        is_loud = forms.BooleanField(required=False, initial=True)

        def clean(self) -> Any:
            if self.cleaned_data.get("seconds") and self.cleaned_data.get("at"):
                raise forms.ValidationError("Give seconds or at, not both.")
            return self.cleaned_data


class Put(BaseAction):
    name = "demo.put"

    class Config(ActionForm):
        state = StateField()
        text = TemplateField(required=False)
        evaluate = forms.BooleanField(required=False)

        def clean(self) -> Any:
            if self.cleaned_data.get("evaluate"):
                try:
                    self.cleaned_data["state"] = compile_strings(self.cleaned_data.get("state") or {})
                except forms.ValidationError as error:
                    self.add_error("state", error)
            return self.cleaned_data


class Start(BaseAction):
    name = "demo.start"

    class Config(ActionForm):
        flow = FlowField()


class Versioned(BaseAction):
    name = "demo.versioned"
    config_version = 2

    class Config(ActionForm):
        seconds = forms.IntegerField()

    @classmethod
    def migrate_config(cls, config: dict[str, Any], from_version: int) -> dict[str, Any]:
        return {"seconds": config.pop("minutes") * 60}


class Stubborn(BaseAction):
    name = "demo.stubborn"
    retry = Retry(attempts=9, on=("TimeoutError",))
    timeout = timedelta(minutes=1)


class Fragile(BaseAction):
    name = "demo.fragile"

    class Config(ActionForm):
        def clean(self) -> Any:
            raise RuntimeError("this form is broken")


ACTIONS = [Plain, If, Loop, Wait, Put, Start, Versioned, Stubborn]


@contextmanager
def registered() -> Iterator[None]:
    """Inside, the actions above and two trigger types are there."""
    with registry.preserved():
        for action in ACTIONS:
            registry.register_action(action)
        registry.register_trigger("demo.happened")
        registry.register_trigger("demo.user_saved", model="auth.user")
        yield


def document(*steps: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return {"flowcontrol": 1, "slug": "flow", "name": "Flow", **keys, "steps": list(steps)}
