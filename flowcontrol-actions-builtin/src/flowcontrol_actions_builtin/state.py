"""What the run remembers: setting its state anew, and updating it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from flowcontrol.base import ActionContext, ActionForm, BaseAction, Decision, Effect, Next
from flowcontrol.exceptions import StateError
from flowcontrol.expressions import RESERVED_NAMES
from flowcontrol.forms import StateField, compile_strings, evaluate_strings
from flowcontrol.state import encode

__all__ = ["SetState", "UpdateState"]


class StateForm(ActionForm):
    state = StateField(
        label=_("State"),
        help_text=_("A JSON object. Each of its keys becomes a name that expressions can read."),
    )
    evaluate = forms.BooleanField(
        label=_("Evaluate"),
        required=False,
        help_text=_(
            "Every string in it, in nested lists and objects too, is an expression: “object.email” gives the "
            "address, “'hello'” the text. All are evaluated before anything is written."
        ),
    )

    def clean_state(self) -> dict[str, Any]:
        state: dict[str, Any] = self.cleaned_data["state"]
        try:
            encode(state)
        except StateError as error:
            raise ValidationError(str(error), code="state") from error
        return state

    def clean(self) -> dict[str, Any]:
        state = self.cleaned_data.get("state")
        if state is not None:
            errors = [_refusal(key) for key in state if key in RESERVED_NAMES]
            if self.cleaned_data["evaluate"]:
                try:
                    self.cleaned_data["state"] = compile_strings(state)
                except ValidationError as error:
                    errors.append(error)
            if errors:
                self.add_error("state", ValidationError(errors))
        return self.cleaned_data


def _refusal(key: str) -> ValidationError:
    return ValidationError(
        _(
            "The key “%(key)s” could not be read: in expressions the name has a meaning of its own. "
            "Choose another key."
        ),
        code="reserved",
        params={"key": key},
    )


class SetState(BaseAction):
    """Sets the run's whole state to the given one: keys that it does not name are gone."""

    name = "builtin.set_state"
    label = "Set state"
    effect = Effect.PURE

    class Config(StateForm):
        """The state that the run is to have."""

    def run(self, context: ActionContext) -> Decision:
        values = given_values(context)
        for key in list(context.state):  # not clear(), which would read each value and miss deleted objects
            del context.state[key]
        context.state.update(values)
        return Next()

    def summary(self, config: Mapping[str, Any]) -> str:
        if not config["state"]:
            return gettext("Empty the state")
        return gettext("Set the state to just %(keys)s") % {"keys": ", ".join(config["state"])}


class UpdateState(BaseAction):
    """Sets the given keys of the state and keeps the others. A nested object is replaced, not merged."""

    name = "builtin.update_state"
    label = "Update state"
    effect = Effect.PURE

    class Config(StateForm):
        """The keys to set."""

    def run(self, context: ActionContext) -> Decision:
        for key, value in given_values(context).items():
            context.state[key] = value
        return Next()

    def summary(self, config: Mapping[str, Any]) -> str:
        return gettext("Set %(keys)s") % {"keys": ", ".join(config["state"])} if config["state"] else ""


def given_values(context: ActionContext) -> dict[str, Any]:
    """The configured keys and values, evaluated if asked for."""
    values: dict[str, Any] = context.config["state"]
    if context.config["evaluate"]:
        values = evaluate_strings(values, context.evaluate)
    return values  # a state copies what is put in, so that the configuration stays as it is
