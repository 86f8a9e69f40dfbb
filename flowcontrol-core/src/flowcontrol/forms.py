"""Configuration forms of actions: Django's forms, plus fields that clean to something compiled."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from . import expressions
from .exceptions import ExpressionSyntaxError

__all__ = [
    "ActionForm",
    "CredentialField",
    "ExpressionField",
    "FlowField",
    "StateField",
    "TemplateField",
    "compile_strings",
    "evaluate_strings",
]


class ActionForm(forms.Form):
    """Shape of a step's configuration: checks it, explains it, and cleans it to what the action's methods read.

    The same form takes the JSON values of a document (``ActionForm(config)``) and what a browser posts.
    ``cleaned_data`` is compiled once per version and process and shared by all runs: treat it as read-only.
    """


class ExpressionField(forms.CharField):
    """An expression, as in ``{% if %}``. Cleans to an ``Expression``, or None when empty and not required."""

    #: What a document may give it, in words, for the reference. Any field may say it.
    takes = "expression"

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return None
        try:
            return expressions.compile_expression(text)
        except ExpressionSyntaxError as error:
            raise ValidationError(str(error), code="syntax") from error


class TemplateField(forms.CharField):
    """Text with ``{{ expressions }}``. Cleans to a ``Template``, or None when empty and not required."""

    takes = "text with `{{ expressions }}`"
    widget = forms.Textarea

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("strip", False)
        super().__init__(**kwargs)

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return None
        try:
            return expressions.compile_template(text)
        except ExpressionSyntaxError as error:
            raise ValidationError(str(error), code="syntax") from error


class FlowField(forms.SlugField):
    """The slug of a flow. That the flow exists is checked when the document is validated, for all steps at once."""

    takes = "slug of a flow"


class CredentialField(forms.SlugField):
    """The name of a credential of one of these ``kinds``; without kinds, of any.

    Cleans to the name, with which the action gets it: ``context.credential(name)``. That it exists and is of such a
    kind is checked when the document is validated, for all steps at once.
    """

    takes = "name of a credential"

    def __init__(self, *, kinds: Collection[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kinds = tuple(kinds)
        if kinds:
            self.takes = f"name of a credential, {' or '.join(f'`{kind}`' for kind in kinds)}"


class StateField(forms.JSONField):
    """A JSON object whose keys become keys of a run's state."""

    takes = "mapping"

    default_error_messages = {"object": _("Enter a JSON object, such as {“name”: “value”}, not %(type)s.")}
    empty_values = [None, "", [], ()]

    def validate(self, value: Any) -> None:
        super().validate(value)
        if value is not None and not isinstance(value, dict):
            raise ValidationError(
                self.error_messages["object"], code="object", params={"type": type(value).__name__}
            )


def compile_strings(value: Any, path: str = "") -> Any:
    """A copy of nested JSON data in which every string is a compiled ``Expression``.

    Raises ``ValidationError`` naming the place of each string that is none.
    """
    if isinstance(value, str):
        try:
            return expressions.compile_expression(value)
        except ExpressionSyntaxError as error:
            raise ValidationError(
                _("%(path)s: %(error)s"), code="syntax", params={"path": path or "value", "error": str(error)}
            ) from error
    errors: list[ValidationError] = []
    compiled: Any
    if isinstance(value, Mapping):
        compiled = {}
        for key, item in value.items():
            try:
                compiled[key] = compile_strings(item, f"{path}.{key}" if path else str(key))
            except ValidationError as error:
                errors.append(error)
    elif isinstance(value, list):
        compiled = []
        for index, item in enumerate(value):
            try:
                compiled.append(compile_strings(item, f"{path}[{index}]"))
            except ValidationError as error:
                errors.append(error)
    else:
        return value
    if errors:
        raise ValidationError(errors)
    return compiled


def evaluate_strings(value: Any, evaluate: Any) -> Any:
    """A copy of what ``compile_strings`` made, with ``evaluate(expression)`` in place of every expression."""
    if isinstance(value, expressions.Expression):
        return evaluate(value)
    if isinstance(value, dict):
        return {key: evaluate_strings(item, evaluate) for key, item in value.items()}
    if isinstance(value, list):
        return [evaluate_strings(item, evaluate) for item in value]
    return value
