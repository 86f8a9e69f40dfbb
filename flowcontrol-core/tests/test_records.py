"""The history as it is packed: what is put in is what is read."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from flowcontrol.models.records import RecordRows, StepRecord, unpack
from hypothesis import given
from hypothesis import strategies as st

BEGAN = datetime(2026, 1, 31, 12, tzinfo=UTC)
ids = st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True)
paths = st.lists(st.tuples(ids, st.integers(1, 9)), max_size=3).map(
    lambda parts: "/".join(f"{step}:{round_}" for step, round_ in parts)
)
records = st.builds(
    StepRecord,
    number=st.integers(0, 20),
    step=ids,
    path=paths,
    phase=st.sampled_from(["run", "branch", "event", "time", "failure"]),
    attempt=st.integers(1, 3),
    started_at=st.integers(0, 10**9).map(lambda offset: BEGAN + timedelta(microseconds=offset)),
    duration=st.integers(0, 10**9).map(lambda micros: timedelta(microseconds=micros)),
    decision=st.text(max_size=20),
    changes=st.none() | st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), min_size=1),
    error=st.text(max_size=20),
)


def packed(*given: StepRecord) -> str:
    rows = RecordRows(BEGAN)
    for each in given:
        offset, duration = ((each.started_at - BEGAN), each.duration)
        micro = timedelta(microseconds=1)
        changes = json.dumps(each.changes) if each.changes else ""
        rows.add(
            each.number,
            each.step,
            each.path,
            each.phase,
            each.attempt,
            offset // micro,
            duration // micro,
            each.decision,
            changes,
            each.error,
        )
    return rows.text()


@given(st.lists(records, min_size=1, max_size=10))
def test_records_come_back_as_they_were_whatever_their_numbers_changes_and_errors(
    given: list[StepRecord],
) -> None:
    assert list(unpack(packed(*given))) == given


def test_a_round_of_a_loop_takes_a_few_characters_more_and_nothing_is_told_twice() -> None:
    def rounds(count: int) -> str:
        return packed(
            *(
                StepRecord(number, "inside", f"for:{number}", "run", 1, BEGAN, timedelta(0), "Next")
                for number in range(count)
            )
        )

    assert (len(rounds(200)) - len(rounds(100))) / 100 < 20
    assert rounds(100).count("inside") == 1


def test_no_records_are_no_text_and_after_a_clear_numbers_begin_anew() -> None:
    rows = RecordRows(BEGAN)
    assert (rows.text(), bool(rows)) == ("", False)
    rows.add(7, "a", "", "run", 1, 0, 0, "Next")
    rows.clear()
    assert (rows.text(), bool(rows), rows.last_step) == ("", False, "a")
    rows.add(8, "b", "", "run", 1, 0, 0, "Next")
    told: list[Any] = json.loads(rows.text())
    assert told == [BEGAN.isoformat(), 8, [["b", "run", 1, "Next"]], [[0, "", 0, 0]]]
