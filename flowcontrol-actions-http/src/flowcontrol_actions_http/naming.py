"""Names under which something is kept in a run's state."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from flowcontrol.exceptions import ExpressionSyntaxError
from flowcontrol.expressions import RESERVED_NAMES, compile_expression

__all__ = ["NameField"]


class NameField(forms.CharField):
    """A name that expressions can read."""

    takes = "name"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": 100, **kwargs})

    def clean(self, value: Any) -> str:
        name: str = super().clean(value)
        if name and (name in RESERVED_NAMES or not _is_readable(name)):
            raise ValidationError(
                _(
                    "“%(name)s” is no name that expressions can read: use letters, digits and underscores, and none of "
                    "the words that mean something there (object, now, and, not …)."
                ),
                code="name",
                params={"name": name},
            )
        return name


def _is_readable(name: str) -> bool:
    """Whether an expression of just this name reads it: “in” and “None” are something else."""
    if not name.isidentifier():
        return False
    try:
        return compile_expression(name).names == {name}
    except ExpressionSyntaxError:
        return False
