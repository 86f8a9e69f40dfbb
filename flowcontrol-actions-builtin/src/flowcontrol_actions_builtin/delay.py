"""Delay: suspends the run for a time, until a weekday and time, or relative to a date."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from flowcontrol.base import (
    ActionContext,
    ActionForm,
    BaseAction,
    Decision,
    Effect,
    LeaveBranch,
    Next,
    ReturnToParent,
    StopFlow,
    Wait,
)
from flowcontrol.expressions import Expression
from flowcontrol.forms import ExpressionField

from .due_time import Shift, due_time, moment_of
from .fields import HUNDRED_YEARS_IN_SECONDS, ClockTimeField, TimeZoneField, WeekdayField

__all__ = ["Delay"]

HUNDRED_YEARS_IN_MONTHS = 1_200

IF_PAST: Mapping[str, Decision] = {
    "continue": Next(),
    "return": ReturnToParent(),
    "leave_branch": LeaveBranch(),
    "stop": StopFlow("The time to wait for is already past."),
}


class Delay(BaseAction):
    """Suspends the run until a time that is computed when the step is reached.

    From the base date (now, when there is none) go first the months, on the calendar; then the seconds,
    as elapsed time; then on to the next weekday and time. See ``due_time`` for the rules.
    """

    name = "builtin.delay"
    label = "Delay"
    effect = Effect.PURE

    class Config(ActionForm):
        base_date = ExpressionField(
            label=_("Base date"),
            required=False,
            help_text=_(
                "An expression that gives the date or datetime to count from, such as “object.due_date”; "
                "a fixed one goes in quotes: “'2026-12-24'”. A date is its midnight. "
                "Empty: the moment at which the step is reached."
            ),
        )
        months = forms.IntegerField(
            label=_("Months"),
            required=False,
            min_value=-HUNDRED_YEARS_IN_MONTHS,
            max_value=HUNDRED_YEARS_IN_MONTHS,
            help_text=_(
                "Calendar months, at the same time of day; a month from 31 January is the end of February."
            ),
        )
        seconds = forms.IntegerField(
            label=_("Seconds"),
            required=False,
            min_value=-HUNDRED_YEARS_IN_SECONDS,
            max_value=HUNDRED_YEARS_IN_SECONDS,
            help_text=_(
                "Elapsed time: 3600 is an hour, 86400 a day. Negative: that long before the base date."
            ),
        )
        weekday = WeekdayField(
            label=_("Weekday"),
            required=False,
            help_text=_(
                "Then until the next such day; when it is that day and its time is past, until next week."
            ),
        )
        time = ClockTimeField(
            label=_("Time"),
            required=False,
            help_text=_(
                "Then until this time of day; when it is past, until the next day. A time that the clocks "
                "skip in spring is the moment after; one that they show twice in autumn is the first."
            ),
        )
        time_zone = TimeZoneField(
            label=_("Time zone"),
            required=False,
            max_length=100,
            help_text=_(
                "Whose calendar and clocks count, such as Europe/Berlin. Empty: the project's time zone."
            ),
        )
        if_past = forms.ChoiceField(
            label=_("If already past"),
            required=False,
            initial="continue",
            choices=[
                ("continue", _("Continue with the next step")),
                ("return", _("Return to the parent action")),
                ("leave_branch", _("Leave the branch")),
                ("stop", _("Stop the flow")),
            ],
            help_text=_("What to do when the time is already past as the step is reached. Empty: continue."),
        )

        def clean_if_past(self) -> str:
            return self.cleaned_data["if_past"] or "continue"

        def clean(self) -> dict[str, Any]:
            data = self.cleaned_data
            if not self.errors:
                self._refuse_no_delay(data)
            return data

        def _refuse_no_delay(self, data: Mapping[str, Any]) -> None:
            if all(data[name] is None for name in ("base_date", "months", "seconds", "weekday", "time")):
                raise ValidationError(
                    _("Say how long to wait: give a base date, months, seconds, a weekday or a time."),
                    code="nothing",
                )
            months, seconds = data["months"] or 0, data["seconds"] or 0
            if data["base_date"] is None and (months < 0 or seconds < 0) and months <= 0 and seconds <= 0:
                raise ValidationError(
                    _(
                        "From now, a delay goes forward only. To wait until before a date, "
                        "give it as base date."
                    ),
                    code="backward",
                )

    def run(self, context: ActionContext) -> Decision:
        due = self._due_time(context)
        if due <= context.now:
            return IF_PAST[context.config["if_past"]]
        return Wait(until=due)

    def summary(self, config: Mapping[str, Any]) -> str:
        parts = [
            _months(config["months"]),
            _seconds(config["seconds"]),
            _until(config["weekday"], config["time"]),
        ]
        text = ", ".join(part for part in parts if part)
        base: Expression | None = config["base_date"]
        if base is not None:
            text = gettext("%(delay)s from %(base)s" if text else "Until %(base)s") % {
                "delay": text,
                "base": base.source,
            }
        if config["time_zone"] is not None:
            text = f"{text} ({config['time_zone'].key})"
        return text

    def _due_time(self, context: ActionContext) -> dt.datetime:
        config = context.config
        zone = config["time_zone"] or timezone.get_default_timezone()
        shift = Shift(config["months"] or 0, config["seconds"] or 0, config["weekday"], config["time"])
        base: Expression | None = config["base_date"]
        if base is None:
            return due_time(context.now, shift, zone, after_base=True)
        return due_time(moment_of(context.evaluate(base), zone, base.source), shift, zone)


def _months(months: int | None) -> str:
    return ngettext("%(count)d month", "%(count)d months", months) % {"count": months} if months else ""


def _seconds(seconds: int | None) -> str:
    """Elapsed time as people read it: “1 day, 2:00:00”, with a minus in front when it goes back."""
    if seconds is None:
        return ""
    return ("-" if seconds < 0 else "") + str(dt.timedelta(seconds=abs(seconds)))


def _until(weekday: int | None, at: dt.time | None) -> str:
    day = "" if weekday is None else str(WeekdayField.LABELS[weekday])
    clock = "" if at is None else at.isoformat(timespec="seconds" if at.second else "minutes")
    return gettext("until %(moment)s") % {"moment": f"{day} {clock}".strip()} if day or clock else ""
