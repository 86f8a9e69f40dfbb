"""Form fields of these actions: what a document or a browser says, cleaned to what ``run`` reads."""

from __future__ import annotations

import datetime as dt
import difflib
import zoneinfo
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from flowcontrol.exceptions import EvaluationError, ExpressionError, ExpressionSyntaxError
from flowcontrol.expressions import RESERVED_NAMES, Expression, Scope, compile_expression
from flowcontrol.forms import ExpressionField
from flowcontrol.registry import triggers

__all__ = [
    "HUNDRED_YEARS_IN_SECONDS",
    "ClockTimeField",
    "NameField",
    "TimeZoneField",
    "TimeoutField",
    "TriggerField",
    "WeekdayField",
    "WholeNumberField",
    "whole_number",
    "with_timeout",
]

HUNDRED_YEARS_IN_SECONDS = 36_525 * 86_400


def whole_number(label: str, expression: Expression, value: object) -> int:
    """``value`` as an int. Raises ``EvaluationError`` naming field, expression and type when it is none.

    A float or Decimal is refused even without a fraction: a loop that counts in tenths never meets its end.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    given = "nothing (None)" if value is None else f"{value!r:.80}, a {type(value).__name__}"
    hint = " Keep one in the state, or give a default, such as “count|default:0”." if expression.names else ""
    raise EvaluationError(
        f"{label}: the expression “{expression.source}” gives {given}, where a whole number is needed.{hint}"
    )


class WholeNumberField(ExpressionField):
    """An expression that gives a whole number, or just the number. Cleans to an ``Expression``, or None.

    What is wrong with a literal is said on save; a name's value is known only in the run.
    """

    takes = "whole number, or expression"

    default_error_messages = {
        "zero": _("A step of 0 never comes to an end; give a positive or negative one.")
    }

    def __init__(self, *, allow_zero: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.allow_zero = allow_zero

    def clean(self, value: Any) -> Expression | None:
        expression: Expression | None = super().clean(value)
        if expression is None or expression.names:
            return expression
        try:
            number = whole_number(str(self.label), expression, expression.evaluate(EMPTY_SCOPE))
        except ExpressionError as error:
            raise ValidationError(str(error), code="number") from error
        if number == 0 and not self.allow_zero:
            raise ValidationError(self.error_messages["zero"], code="zero")
        return expression


#: For expressions that read no name, so that neither this clock nor this object is ever asked for.
EMPTY_SCOPE = Scope({}, {}, {}, dt.datetime.min.replace(tzinfo=dt.UTC), lambda: None)


class NameField(forms.CharField):
    """A name that expressions can read."""

    takes = "name"

    def clean(self, value: Any) -> str:
        name: str = super().clean(value)
        if name in RESERVED_NAMES:
            raise ValidationError(
                _(
                    "“%(name)s” has a meaning of its own in expressions (as have %(reserved)s); "
                    "choose another name."
                ),
                code="reserved",
                params={"name": name, "reserved": ", ".join(sorted(RESERVED_NAMES - {name}))},
            )
        if name and not is_readable(name):
            raise ValidationError(
                _(
                    "“%(name)s” cannot be read in expressions. Use letters, digits and underscores, "
                    "beginning with a letter, and no word of the language (and, or, not, in, is, True, …)."
                ),
                code="name",
                params={"name": name},
            )
        return name


def is_readable(name: str) -> bool:
    """Whether an expression of just this name reads it: “in”, “None” and “2nd” are something else."""
    if not name.isidentifier():
        return False
    try:
        return compile_expression(name).names == {name}
    except ExpressionSyntaxError:
        return False


class TriggerField(forms.CharField):
    """The name of a trigger type that is registered."""

    takes = "name of a trigger type"

    default_error_messages = {"trigger": _("No trigger type “%(name)s” is registered. %(hint)s")}

    def clean(self, value: Any) -> str:
        name: str = super().clean(value)
        if name and triggers.get(name) is None:
            known = [spec.name for spec in triggers.specs()]
            close = difflib.get_close_matches(name, known, n=1)
            hint = (
                _now("Did you mean %(name)s?") % {"name": close[0]}
                if close
                else _now("Install the plugin that provides it, or register it. Known: %(known)s.")
                % {"known": ", ".join(known) or _now("none")}
            )
            raise ValidationError(
                self.error_messages["trigger"], code="trigger", params={"name": name, "hint": hint}
            )
        return name


class TimeoutField(forms.IntegerField):
    """Seconds to wait at most. Cleans to an int, or None when empty."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=1, max_value=HUNDRED_YEARS_IN_SECONDS, **kwargs)


def with_timeout(text: str, seconds: int | None) -> str:
    """A summary with how long is waited at most behind it."""
    if seconds is None:
        return text
    return _now("%(text)s, at most %(length)s") % {"text": text, "length": dt.timedelta(seconds=seconds)}


class WeekdayField(forms.ChoiceField):
    """A weekday by its English name or its number, 0 for Monday. Cleans to the number, or None when empty."""

    takes = "`monday` … `sunday`, or 0 (Monday) to 6"

    NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    LABELS = (
        _("Monday"),
        _("Tuesday"),
        _("Wednesday"),
        _("Thursday"),
        _("Friday"),
        _("Saturday"),
        _("Sunday"),
    )

    default_error_messages = {
        "invalid_choice": _(
            "“%(value)s” is no weekday. Use monday, tuesday, … or a number from 0 (Monday) to 6."
        )
    }

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=[("", "—"), *zip(self.NAMES, self.LABELS, strict=True)], **kwargs)

    def to_python(self, value: Any) -> str:
        text = super().to_python(value).strip().lower()
        return self.NAMES[int(text)] if text in ("0", "1", "2", "3", "4", "5", "6") else text

    def clean(self, value: Any) -> Any:
        name = super().clean(value)
        return self.NAMES.index(name) if name else None


class ClockTimeField(forms.TimeField):
    """A time of day as text. Cleans to a ``time``, or None when empty."""

    takes = "time of day, `18:00`"

    default_error_messages = {
        "invalid": _("Enter a time of day, such as 09:00 or 17:30:15."),
        "number": _(
            "Put the time of day in quotes, such as “12:00”: without them YAML reads it as the "
            "number %(value)s."
        ),
    }

    def to_python(self, value: Any) -> dt.time | None:
        if isinstance(value, (int, float)):
            raise ValidationError(self.error_messages["number"], code="number", params={"value": value})
        if value is not None and not isinstance(value, (str, dt.time)):
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        return super().to_python(value)


class TimeZoneField(forms.CharField):
    """A zone by its name in the IANA database. Cleans to a ``ZoneInfo``, or None when empty."""

    takes = "name of a time zone"

    default_error_messages = {"zone": _("There is no time zone “%(name)s”. %(hint)s")}

    def clean(self, value: Any) -> Any:
        name = super().clean(value)
        if not name:
            return None
        try:
            return zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: the folder “Europe”
            params = {"name": name, "hint": _hint(name)}
            raise ValidationError(self.error_messages["zone"], code="zone", params=params) from error


def _hint(name: str) -> str:
    known = {zone.lower(): zone for zone in zoneinfo.available_timezones()}
    known.update({zone.rpartition("/")[2].lower(): zone for zone in sorted(zoneinfo.available_timezones())})
    close = difflib.get_close_matches(name.lower().replace(" ", "_"), known, n=1)
    if close:
        return _now("Did you mean %(name)s?") % {"name": known[close[0]]}
    return _now("Use a name such as Europe/Berlin or America/New_York.")
