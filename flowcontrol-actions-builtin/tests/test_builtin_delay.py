"""Delay: until when a run waits, what follows when that is past, and which configurations are refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import override_settings
from flowcontrol.base import Decision, LeaveBranch, Next, ReturnToParent, StopFlow, Wait
from flowcontrol.exceptions import EvaluationError
from flowcontrol_actions_builtin.delay import Delay

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture(autouse=True)
def _project_in_berlin() -> Any:
    with override_settings(TIME_ZONE="Europe/Berlin"):
        yield


def due(context: Any, now: str = "2026-05-05T12:00+02:00") -> str:
    """When the wait of a step reached now ends, as clocks in Berlin show it."""
    context.now = datetime.fromisoformat(now)
    decision = Delay().run(context)
    assert isinstance(decision, Wait), decision
    assert decision == Wait(until=decision.until)
    assert decision.until is not None
    return decision.until.astimezone(BERLIN).isoformat(timespec="minutes")


# --- from now -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "until"),
    [
        ({"seconds": 3600}, "2026-05-05T13:00+02:00"),
        ({"seconds": "3600"}, "2026-05-05T13:00+02:00"),
        ({"months": 1}, "2026-06-05T12:00+02:00"),
        ({"months": 6}, "2026-11-05T12:00+01:00"),
        ({"time": "18:00"}, "2026-05-05T18:00+02:00"),
        ({"time": "09:00"}, "2026-05-06T09:00+02:00"),
        ({"time": "12:00"}, "2026-05-06T12:00+02:00"),
        ({"weekday": "friday"}, "2026-05-08T12:00+02:00"),
        ({"weekday": 4}, "2026-05-08T12:00+02:00"),
        ({"weekday": "Friday", "time": "09:00"}, "2026-05-08T09:00+02:00"),
        ({"weekday": "tuesday"}, "2026-05-12T12:00+02:00"),
        ({"weekday": "tuesday", "time": "11:59"}, "2026-05-12T11:59+02:00"),
        ({"weekday": "tuesday", "time": "12:01"}, "2026-05-05T12:01+02:00"),
        ({"months": 1, "seconds": -86400}, "2026-06-04T12:00+02:00"),
        ({"months": 1, "seconds": 60, "weekday": 0, "time": "08:00"}, "2026-06-08T08:00+02:00"),
    ],
)
def test_a_delay_from_now(visit: Any, config: dict[str, Any], until: str) -> None:
    assert due(visit(Delay(), **config)) == until


def test_the_time_is_that_of_the_projects_zone(visit: Any) -> None:
    context = visit(Delay(), time="09:00")
    assert due(context) == "2026-05-06T09:00+02:00"
    with override_settings(TIME_ZONE="America/New_York"):
        assert due(context) == "2026-05-05T15:00+02:00"


def test_the_time_is_that_of_the_given_zone(visit: Any) -> None:
    assert due(visit(Delay(), time="09:00", time_zone="America/New_York")) == "2026-05-05T15:00+02:00"


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-03-28T12:00+01:00", "2026-03-29T03:00+02:00"),
        ("2026-10-24T12:00+02:00", "2026-10-25T02:30+02:00"),
    ],
)
def test_half_past_two_on_the_nights_the_clocks_change(visit: Any, now: str, until: str) -> None:
    assert due(visit(Delay(), time="02:30"), now) == until


def test_a_delay_in_a_loop_meets_each_noon_once(visit: Any) -> None:
    context = visit(Delay(), time="12:00")
    first = due(context, "2026-05-05T11:00+02:00")
    assert [first, due(context, first)] == ["2026-05-05T12:00+02:00", "2026-05-06T12:00+02:00"]


# --- from a base date ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "config", "until"),
    [
        (datetime(2026, 6, 1, 8, tzinfo=UTC), {}, "2026-06-01T10:00+02:00"),
        (date(2026, 6, 1), {}, "2026-06-01T00:00+02:00"),
        (date(2026, 6, 1), {"seconds": -3 * 86400}, "2026-05-29T00:00+02:00"),
        (date(2026, 6, 30), {"months": -1, "time": "09:00"}, "2026-05-30T09:00+02:00"),
        (date(2026, 6, 1), {"time": "00:00"}, "2026-06-01T00:00+02:00"),
        (date(2026, 6, 1), {"weekday": "monday"}, "2026-06-01T00:00+02:00"),
        (date(2026, 6, 1), {"weekday": "monday", "time": "09:00"}, "2026-06-01T09:00+02:00"),
        (date(2026, 6, 1), {"time_zone": "America/New_York"}, "2026-06-01T06:00+02:00"),
        ("2026-06-01", {"time": "09:00"}, "2026-06-01T09:00+02:00"),
        ("2026-06-01T09:00+02:00", {}, "2026-06-01T09:00+02:00"),
    ],
)
def test_a_delay_from_a_base_date(visit: Any, base: object, config: dict[str, Any], until: str) -> None:
    assert due(visit(Delay(), {"starts_at": base}, base_date="starts_at", **config)) == until


@pytest.mark.parametrize(
    ("base", "named"),
    [
        (None, r"nothing \(None\)"),
        ("soon", "a str"),
        ("2026-06-01T09:00", "without a time zone"),
        (17, "17, a int"),
        (time(12), "a time"),
    ],
)
def test_a_base_that_is_no_moment_fails_the_run_and_says_what_it_is(
    visit: Any, base: object, named: str
) -> None:
    context = visit(Delay(), {"starts_at": base}, base_date="starts_at")
    with pytest.raises(EvaluationError, match=f"“starts_at” gives .*{named}"):
        Delay().run(context)


def test_a_naive_datetime_fails_the_run(visit: Any) -> None:
    context = visit(Delay(), base_date="moment")
    context.variables = {"moment": datetime(2026, 6, 1, 9)}  # a state takes none, a model field may hold one
    with pytest.raises(EvaluationError, match="without a time zone"):
        Delay().run(context)


def test_a_delay_beyond_the_calendar_fails_the_run(visit: Any) -> None:
    with pytest.raises(OverflowError, match="outside of the years 1 to 9999"):
        Delay().run(visit(Delay(), {"starts_at": date(9999, 6, 1)}, base_date="starts_at", months=12))


# --- already past -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("if_past", "decision"),
    [
        ("", Next()),
        ("continue", Next()),
        ("return", ReturnToParent()),
        ("leave_branch", LeaveBranch()),
        ("stop", StopFlow("The time to wait for is already past.")),
    ],
)
@pytest.mark.parametrize("base", ["2026-05-05T11:59+02:00", "2026-05-05T12:00+02:00"])
def test_what_follows_when_the_time_is_already_past(
    visit: Any, if_past: str, decision: Decision, base: str
) -> None:
    context = visit(Delay(), {"starts_at": base}, base_date="starts_at", if_past=if_past)
    context.now = datetime.fromisoformat("2026-05-05T12:00+02:00")
    assert Delay().run(context) == decision


def test_a_time_still_to_come_is_waited_for_whatever_is_to_happen_if_past(visit: Any) -> None:
    context = visit(Delay(), {"starts_at": "2026-05-05T12:01+02:00"}, base_date="starts_at", if_past="stop")
    assert due(context) == "2026-05-05T12:01+02:00"


def test_a_delay_of_no_seconds_goes_on_at_once(visit: Any) -> None:
    assert Delay().run(visit(Delay(), seconds=0)) == Next()


def test_after_the_wait_the_next_step_follows(visit: Any) -> None:
    assert Delay().after_wait(visit(Delay(), seconds=1), None) == Next()  # type: ignore[arg-type]


# --- refused on save ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [{}, {"if_past": "stop"}, {"time_zone": "Europe/Berlin"}])
def test_a_delay_of_nothing_is_refused(refusals: Any, config: dict[str, Any]) -> None:
    (message,) = refusals(Delay(), **config)["__all__"]
    assert message.startswith("Say how long to wait")


@pytest.mark.parametrize("config", [{"seconds": -1}, {"months": -1}, {"months": -1, "time": "09:00"}])
def test_a_delay_back_from_now_is_refused(refusals: Any, config: dict[str, Any]) -> None:
    (message,) = refusals(Delay(), **config)["__all__"]
    assert "goes forward only" in message


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("weekday", "someday", "“someday” is no weekday"),
        ("weekday", 7, "“7” is no weekday"),
        ("weekday", True, "“true” is no weekday"),
        ("time", "25:00", "Enter a time of day"),
        ("time", "noon", "Enter a time of day"),
        ("time", 720, "Put the time of day in quotes"),  # what YAML makes of 12:00
        ("time", ["12:00"], "Enter a time of day"),
        ("time_zone", "Europe/Berln", "Did you mean Europe/Berlin?"),
        ("time_zone", "berlin", "Did you mean Europe/Berlin?"),
        ("time_zone", "new york", "Did you mean America/New_York?"),
        ("time_zone", "Europe", "There is no time zone “Europe”"),
        ("time_zone", "../../etc/passwd", "There is no time zone"),
        ("time_zone", "+02:00", "There is no time zone"),
        ("months", "many", "whole number"),
        ("months", 1_201, "less than or equal to 1200"),
        ("seconds", 10**12, "less than or equal to 3155760000"),
        ("seconds", 0.5, "whole number"),
        ("if_past", "explode", "explode"),
        ("base_date", "now and", ""),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(
    refusals: Any, field: str, value: object, message: str
) -> None:
    messages = refusals(Delay(), **{"base_date": "now", field: value})
    assert list(messages) == [field]
    assert message in messages[field][0]


# --- in words -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"seconds": 3600}, "1:00:00"),
        ({"seconds": 0}, "0:00:00"),
        ({"months": 1, "seconds": 86400}, "1 month, 1 day, 0:00:00"),
        ({"weekday": 0, "time": "09:00"}, "until Monday 09:00"),
        ({"weekday": 0}, "until Monday"),
        ({"time": "09:00:30", "time_zone": "Europe/Berlin"}, "until 09:00:30 (Europe/Berlin)"),
        ({"base_date": "object.due_date"}, "Until object.due_date"),
        ({"base_date": "object.due_date", "seconds": -259200}, "-3 days, 0:00:00 from object.due_date"),
        ({"base_date": "object.due_date", "months": 2}, "2 months from object.due_date"),
    ],
)
def test_a_delay_says_in_words_how_long_it_is(configured: Any, config: dict[str, Any], words: str) -> None:
    assert Delay().summary(configured(Delay(), **config)) == words
