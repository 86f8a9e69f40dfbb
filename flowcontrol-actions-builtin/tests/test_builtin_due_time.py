"""The arithmetic of delays: months, elapsed seconds, the next weekday and time, by the clocks of a zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from flowcontrol.exceptions import EvaluationError
from flowcontrol_actions_builtin.due_time import Shift, due_time, first_moment, moment_of
from hypothesis import assume, given
from hypothesis import strategies as st

BERLIN = ZoneInfo(
    "Europe/Berlin"
)  # clocks go on 2026-03-29 at 02:00 to 03:00, back 2026-10-25 at 03:00 to 02:00
NEW_YORK = ZoneInfo("America/New_York")  # on 2026-03-08 at 02:00, back 2026-11-01 at 02:00 to 01:00
SYDNEY = ZoneInfo("Australia/Sydney")  # on 2026-10-04 at 02:00, back 2026-04-05 at 03:00 to 02:00
APIA = ZoneInfo("Pacific/Apia")  # no 2011-12-30: it changed sides of the date line
MONDAY, TUESDAY, FRIDAY, SATURDAY, SUNDAY = 0, 1, 4, 5, 6


def at(zone: ZoneInfo, text: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold)


def shown(moment: datetime, zone: ZoneInfo) -> str:
    """What clocks and calendar show, with the offset, as two moments may show the same time."""
    return moment.astimezone(zone).isoformat(timespec="minutes")


def test_the_result_is_in_utc() -> None:
    assert due_time(at(BERLIN, "2026-01-01T12:00"), Shift(seconds=60), BERLIN).tzinfo is UTC


def test_an_empty_shift_stays_at_the_base() -> None:
    base = at(BERLIN, "2026-01-01T12:00")
    assert due_time(base, Shift(), BERLIN) == base


# --- months -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "months", "due"),
    [
        ("2026-01-31T10:00", 1, "2026-02-28T10:00"),
        ("2024-01-31T10:00", 1, "2024-02-29T10:00"),
        ("2024-02-29T10:00", 12, "2025-02-28T10:00"),
        ("2024-02-29T10:00", 48, "2028-02-29T10:00"),
        ("2100-01-31T10:00", 1, "2100-02-28T10:00"),
        ("2026-12-31T10:00", 1, "2027-01-31T10:00"),
        ("2026-12-31T23:59", 2, "2027-02-28T23:59"),
        ("2026-08-31T10:00", 13, "2027-09-30T10:00"),
        ("2026-03-31T10:00", -1, "2026-02-28T10:00"),
        ("2026-01-15T10:00", -1, "2025-12-15T10:00"),
    ],
)
def test_months_keep_the_day_or_take_the_last_of_the_month(base: str, months: int, due: str) -> None:
    assert due_time(at(BERLIN, base), Shift(months=months), BERLIN) == at(BERLIN, due)


@pytest.mark.parametrize(
    ("zone", "base", "due"),
    [
        (BERLIN, "2026-03-15T09:00", "2026-04-15T09:00+02:00"),
        (BERLIN, "2026-10-15T09:00", "2026-11-15T09:00+01:00"),
        (NEW_YORK, "2026-02-15T09:00", "2026-03-15T09:00-04:00"),
        (SYDNEY, "2026-03-15T09:00", "2026-04-15T09:00+10:00"),
        (SYDNEY, "2026-09-15T09:00", "2026-10-15T09:00+11:00"),
    ],
)
def test_months_keep_the_time_of_day_over_a_change_of_the_clocks(zone: ZoneInfo, base: str, due: str) -> None:
    assert shown(due_time(at(zone, base), Shift(months=1), zone), zone) == due


def test_months_are_counted_on_the_calendar_of_the_zone() -> None:
    base = datetime(2026, 1, 31, 23, 30, tzinfo=UTC)  # 1 February in Berlin
    assert shown(due_time(base, Shift(months=1), BERLIN), BERLIN) == "2026-03-01T00:30+01:00"
    assert (
        shown(due_time(base, Shift(months=1), ZoneInfo("UTC")), ZoneInfo("UTC")) == "2026-02-28T23:30+00:00"
    )


# --- seconds ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "base", "due"),
    [
        (BERLIN, "2026-03-28T12:00", "2026-03-29T13:00+02:00"),
        (BERLIN, "2026-10-24T12:00", "2026-10-25T11:00+01:00"),
        (NEW_YORK, "2026-03-07T12:00", "2026-03-08T13:00-04:00"),
        (NEW_YORK, "2026-10-31T12:00", "2026-11-01T11:00-05:00"),
        (SYDNEY, "2026-10-03T12:00", "2026-10-04T13:00+11:00"),
        (BERLIN, "2026-12-31T12:00", "2027-01-01T12:00+01:00"),
    ],
)
def test_seconds_are_elapsed_time_so_a_day_of_them_moves_the_time_of_day_when_the_clocks_change(
    zone: ZoneInfo, base: str, due: str
) -> None:
    assert shown(due_time(at(zone, base), Shift(seconds=86_400), zone), zone) == due


def test_seconds_tell_the_two_hours_of_the_same_name_apart() -> None:
    first = at(BERLIN, "2026-10-25T02:30")
    assert shown(due_time(first, Shift(seconds=3600), BERLIN), BERLIN) == "2026-10-25T02:30+01:00"


def test_months_come_before_seconds() -> None:
    # the other way round it would be 28 February and a day less
    due = due_time(at(BERLIN, "2026-01-31T12:00"), Shift(months=1, seconds=-86_400), BERLIN)
    assert due == at(BERLIN, "2026-02-27T12:00")


# --- until a time -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "due"),
    [
        ("2026-05-05T08:00", "2026-05-05T12:00"),
        ("2026-05-05T13:00", "2026-05-06T12:00"),
        ("2026-05-05T12:00", "2026-05-05T12:00"),
        ("2026-05-05T12:00:00.000001", "2026-05-06T12:00"),
        ("2026-12-31T13:00", "2027-01-01T12:00"),
        ("2024-02-28T13:00", "2024-02-29T12:00"),
        ("2026-02-28T13:00", "2026-03-01T12:00"),
    ],
)
def test_until_noon_is_the_next_noon_at_or_after_the_base(base: str, due: str) -> None:
    assert due_time(at(BERLIN, base), Shift(time=time(12)), BERLIN) == at(BERLIN, due)


def test_who_waits_from_noon_until_noon_waits_for_the_next_day() -> None:
    noon = at(BERLIN, "2026-05-05T12:00")
    assert due_time(noon, Shift(time=time(12)), BERLIN, after_base=True) == at(BERLIN, "2026-05-06T12:00")


def test_a_day_is_the_day_of_the_zone() -> None:
    base = datetime(2026, 5, 5, 23, 0, tzinfo=UTC)  # 6 May 01:00 in Berlin, 5 May 19:00 in New York
    shift = Shift(time=time(9))
    assert shown(due_time(base, shift, BERLIN), BERLIN) == "2026-05-06T09:00+02:00"
    assert shown(due_time(base, shift, NEW_YORK), NEW_YORK) == "2026-05-06T09:00-04:00"
    assert due_time(base, shift, BERLIN) < due_time(base, shift, NEW_YORK)


@pytest.mark.parametrize(
    ("zone", "base", "due"),
    [
        (BERLIN, "2026-03-28T12:00", "2026-03-29T03:00+02:00"),
        (NEW_YORK, "2026-03-07T12:00", "2026-03-08T03:00-04:00"),
        (SYDNEY, "2026-10-03T12:00", "2026-10-04T03:00+11:00"),
    ],
)
def test_a_time_that_the_clocks_skip_becomes_the_first_moment_after_the_gap(
    zone: ZoneInfo, base: str, due: str
) -> None:
    assert shown(due_time(at(zone, base), Shift(time=time(2, 30)), zone), zone) == due


@pytest.mark.parametrize(
    ("zone", "base", "wall", "due"),
    [
        (BERLIN, "2026-10-24T12:00", time(2, 30), "2026-10-25T02:30+02:00"),
        (NEW_YORK, "2026-10-31T12:00", time(1, 30), "2026-11-01T01:30-04:00"),
        (SYDNEY, "2026-04-04T12:00", time(2, 30), "2026-04-05T02:30+11:00"),
    ],
)
def test_of_a_time_that_the_clocks_show_twice_the_first_is_taken(
    zone: ZoneInfo, base: str, wall: time, due: str
) -> None:
    assert shown(due_time(at(zone, base), Shift(time=wall), zone), zone) == due


def test_between_the_two_times_of_the_same_name_the_time_is_past() -> None:
    base = at(BERLIN, "2026-10-25T02:10", fold=1)
    due = due_time(base, Shift(time=time(2, 30)), BERLIN)
    assert shown(due, BERLIN) == "2026-10-26T02:30+01:00"


def test_a_loop_until_half_past_two_meets_each_day_once_over_both_changes_of_the_clocks() -> None:
    for start in ("2026-03-27T12:00", "2026-10-23T12:00"):
        moment, days = at(BERLIN, start), []
        for _round in range(5):
            moment = due_time(moment, Shift(time=time(2, 30)), BERLIN, after_base=True)
            days.append(moment.astimezone(BERLIN).date())
        first = datetime.fromisoformat(start).date()
        assert days == [first + timedelta(days=number) for number in range(1, 6)]


# --- until a weekday ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "weekday", "due"),
    [
        ("2026-05-05T10:00", FRIDAY, "2026-05-08T10:00"),  # 5 May 2026 is a Tuesday
        ("2026-05-05T10:00", MONDAY, "2026-05-11T10:00"),
        ("2026-05-05T10:00", TUESDAY, "2026-05-05T10:00"),
        ("2026-12-30T10:00", FRIDAY, "2027-01-01T10:00"),
        ("2024-02-27T10:00", MONDAY, "2024-03-04T10:00"),
    ],
)
def test_a_weekday_alone_keeps_the_time_of_day(base: str, weekday: int, due: str) -> None:
    assert due_time(at(BERLIN, base), Shift(weekday=weekday), BERLIN) == at(BERLIN, due)


def test_who_waits_on_a_monday_until_monday_waits_for_the_next_week() -> None:
    monday = at(BERLIN, "2026-05-04T10:00")
    due = due_time(monday, Shift(weekday=MONDAY), BERLIN, after_base=True)
    assert due == at(BERLIN, "2026-05-11T10:00")


def test_the_second_hour_of_the_same_name_meets_its_weekday_at_once() -> None:
    base = at(BERLIN, "2026-10-25T02:30", fold=1)
    assert due_time(base, Shift(weekday=SUNDAY), BERLIN) == base.astimezone(UTC)


@pytest.mark.parametrize(
    ("base", "due"),
    [
        ("2026-05-05T08:00", "2026-05-05T09:00"),
        ("2026-05-05T09:00", "2026-05-05T09:00"),
        ("2026-05-05T09:01", "2026-05-12T09:00"),
        ("2026-05-04T23:00", "2026-05-05T09:00"),
        ("2026-05-06T08:00", "2026-05-12T09:00"),
    ],
)
def test_a_weekday_whose_time_is_past_means_next_week(base: str, due: str) -> None:
    assert due_time(at(BERLIN, base), Shift(weekday=TUESDAY, time=time(9)), BERLIN) == at(BERLIN, due)


@pytest.mark.parametrize(
    ("zone", "base", "due"),
    [
        (BERLIN, "2026-03-25T12:00", "2026-03-29T03:00+02:00"),
        (BERLIN, "2026-10-21T12:00", "2026-10-25T02:30+02:00"),
        (NEW_YORK, "2026-03-04T12:00", "2026-03-08T03:00-04:00"),
        (SYDNEY, "2026-10-01T12:00", "2026-10-04T03:00+11:00"),
    ],
)
def test_weekday_and_time_on_the_night_the_clocks_change(zone: ZoneInfo, base: str, due: str) -> None:
    assert shown(due_time(at(zone, base), Shift(weekday=SUNDAY, time=time(2, 30)), zone), zone) == due


def test_the_weekday_after_a_month_is_counted_from_there() -> None:
    due = due_time(at(BERLIN, "2026-01-31T10:00"), Shift(months=1, weekday=MONDAY, time=time(8)), BERLIN)
    assert shown(due, BERLIN) == "2026-03-02T08:00+01:00"


def test_a_day_that_a_zone_skipped_becomes_the_start_of_the_next() -> None:
    due = due_time(at(APIA, "2011-12-29T12:00"), Shift(weekday=FRIDAY, time=time(10)), APIA)
    assert shown(due, APIA) == "2011-12-31T00:00+14:00"


# --- bounds -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [Shift(months=12_000 * 10), Shift(seconds=10**12), Shift(months=-30_000)])
def test_a_shift_out_of_the_calendar_says_so(shift: Shift) -> None:
    with pytest.raises(OverflowError, match="outside of the years 1 to 9999"):
        due_time(at(BERLIN, "2026-01-01T00:00"), shift, BERLIN)


# --- what an expression gives -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        (datetime(2026, 5, 5, 10, tzinfo=UTC), "2026-05-05T12:00"),
        (date(2026, 5, 5), "2026-05-05T00:00"),
        ("2026-05-05", "2026-05-05T00:00"),
        ("2026-05-05T12:00+02:00", "2026-05-05T12:00"),
        ("2026-05-05T10:00:00Z", "2026-05-05T12:00"),
    ],
)
def test_a_moment_is_an_aware_datetime_a_date_or_iso_text(value: object, moment: str) -> None:
    assert moment_of(value, BERLIN, "due") == at(BERLIN, moment)


def test_a_date_starts_after_the_gap_where_the_clocks_skip_midnight() -> None:
    havana = ZoneInfo("America/Havana")
    assert shown(moment_of(date(2026, 3, 8), havana, "due"), havana) == "2026-03-08T01:00-04:00"


@pytest.mark.parametrize("value", [datetime(2026, 5, 5, 10), "2026-05-05T10:00"])
def test_a_datetime_without_a_time_zone_is_refused(value: object) -> None:
    with pytest.raises(
        EvaluationError, match=r"“due” gives the datetime 2026-05-05T10:00:00 without a time zone"
    ):
        moment_of(value, BERLIN, "due")


@pytest.mark.parametrize(
    ("value", "named"),
    [(None, "nothing"), (12, "12, a int"), ("soon", "'soon', a str"), (time(12), "a time"), (True, "a bool")],
)
def test_what_is_no_moment_is_named_with_its_type(value: object, named: str) -> None:
    with pytest.raises(EvaluationError, match=named):
        moment_of(value, BERLIN, "due")


# --- properties ---------------------------------------------------------------------------------------------

zones = st.sampled_from([BERLIN, NEW_YORK, SYDNEY, APIA, ZoneInfo("UTC"), ZoneInfo("Australia/Lord_Howe")])
near_a_change = st.sampled_from(
    ["2026-03-29T01:00Z", "2026-10-25T01:00Z", "2026-03-08T07:00Z", "2026-11-01T06:00Z", "2026-10-03T16:00Z"]
).flatmap(
    lambda text: st.timedeltas(timedelta(days=-2), timedelta(days=2)).map(
        lambda off: datetime.fromisoformat(text) + off
    )
)
bases = near_a_change | st.datetimes(datetime(1930, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))
weekdays = st.none() | st.integers(0, 6)
times = st.none() | st.times() | st.sampled_from([time(0), time(1, 30), time(2), time(2, 30), time(3)])
forward = st.builds(Shift, st.integers(0, 60), st.integers(0, 10**7), weekdays, times)
until = st.builds(Shift, st.just(0), st.just(0), weekdays, times)


@given(bases, forward, zones, st.booleans())
def test_a_delay_forward_is_never_due_before_its_base(
    base: datetime, shift: Shift, zone: ZoneInfo, after_base: bool
) -> None:
    assert due_time(base, shift, zone, after_base=after_base) >= base


@given(bases, until, zones)
def test_waiting_from_now_until_a_weekday_or_time_ends_after_now(
    base: datetime, shift: Shift, zone: ZoneInfo
) -> None:
    assume(shift != Shift())
    assert due_time(base, shift, zone, after_base=True) > base


@given(bases, forward, zones)
def test_weekday_and_time_are_those_asked_for_wherever_the_zone_has_them(
    base: datetime, shift: Shift, zone: ZoneInfo
) -> None:
    local = due_time(base, shift, zone).astimezone(zone)
    if shift.time is not None and local.time() != shift.time:
        skipped = [datetime.combine(local.date() - timedelta(days=back), shift.time) for back in (0, 1)]
        assert any(first_moment(wall, zone).astimezone(zone).replace(tzinfo=None) > wall for wall in skipped)
    elif shift.weekday is not None and zone is not APIA:
        assert local.weekday() == shift.weekday


@given(bases, st.integers(0, 10**7), st.integers(0, 10**7), weekdays, st.times(), zones)
def test_a_later_base_is_never_due_earlier(
    base: datetime, later_by: int, seconds: int, weekday: int | None, wall: time, zone: ZoneInfo
) -> None:
    shift = Shift(0, seconds, weekday, wall)
    assert due_time(base, shift, zone) <= due_time(base + timedelta(seconds=later_by), shift, zone)


@given(bases, zones)
def test_the_first_moment_that_clocks_show_what_they_show_is_not_later(
    base: datetime, zone: ZoneInfo
) -> None:
    wall = base.astimezone(zone).replace(tzinfo=None)
    first = first_moment(wall, zone)
    assert first <= base
    assert first.astimezone(zone).replace(tzinfo=None) == wall
