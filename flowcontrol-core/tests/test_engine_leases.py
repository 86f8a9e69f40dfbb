"""Leases: a step that takes long keeps its run, and whoever lost a run writes nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import override_settings
from engine_actions import ACTIONS, CALLS, Call, Decide
from flowcontrol import registry, signals
from flowcontrol.documents import import_flow
from flowcontrol.engine import claims, continue_flowruns, start_flow
from flowcontrol.engine.clock import Clock
from flowcontrol.models import FlowRun, HistoryChunk

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _actions() -> Iterator[None]:
    with registry.actions.preserved():
        for action in ACTIONS:
            registry.register_action(action)
        CALLS.clear()
        Decide.answer.clear()
        yield


def start(*actions: str) -> FlowRun:
    steps = [{"id": f"s{number}", "action": f"test.{action}"} for number, action in enumerate(actions)]
    import_flow({"flowcontrol": 1, "slug": "flow", "name": "Flow", "steps": steps})
    return start_flow("flow").run  # type: ignore[union-attr]


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait on a condition, with a limit."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "the condition never came true"


class Long(Call):
    """Takes as long as the test says."""

    name = "test.long"
    work: Callable[[], None]

    def run(self, context: Any) -> None:
        super().run(context)
        type(self).work()


def test_a_step_that_takes_longer_than_the_lease_keeps_its_run(monkeypatch: pytest.MonkeyPatch) -> None:
    registry.register_action(Long)
    run = start("long")
    first_end: list[Any] = []

    def work() -> None:
        first_end.append(FlowRun.objects.get().due_at)
        # Two renewals: the first lease is over, and nobody else can claim the run.
        until(lambda: FlowRun.objects.get().due_at > first_end[0] + timedelta(seconds=1))
        assert claims.claim(1, Clock(), [run.pk]) == []

    monkeypatch.setattr(Long, "work", staticmethod(work), raising=False)
    with override_settings(FLOWCONTROL={"LEASE_SECONDS": 1}):
        continue_flowruns()
    assert first_end
    assert FlowRun.objects.get().status == "completed"
    assert len(CALLS) == 1


def test_a_worker_whose_lease_passed_writes_nothing_and_the_other_one_does(
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = start("count", "decide", "count")

    losses: list[int] = []

    def lose(context: Any) -> None:
        if not losses:
            losses.append(context.run_id)
            # As after a long sleep: the lease is over, and another worker has taken the run to its end.
            FlowRun.objects.filter(pk=run.pk).update(due_at="2020-01-01T00:00:00Z")
            continue_flowruns()

    Decide.answer["s1"] = lose
    with caplog.at_level(logging.WARNING, "flowcontrol.engine"):
        continue_flowruns()
    done = FlowRun.objects.get()
    assert (done.status, dict(done.state)) == ("completed", {"n": 2})
    assert len(done.history()) == 3, "only what the second worker did"
    assert HistoryChunk.objects.count() == 1
    assert "lease lost" in caplog.text


def test_two_claims_of_one_run_give_it_to_one() -> None:
    start("count")
    assert [len(claims.claim(10, Clock())) for _ in range(2)] == [1, 0]


def test_runs_are_claimed_longest_due_first() -> None:
    ids = [start("count").pk for _ in range(5)]
    dates = {ids[3]: "2020-01-01T00:00:00Z", ids[1]: "2021-01-01T00:00:00Z"}
    for pk, date in dates.items():
        FlowRun.objects.filter(pk=pk).update(due_at=date)
    assert [claim.run.pk for claim in claims.claim(2, Clock())] == (
        [ids[3], ids[1]] if connection.vendor != "sqlite" else sorted(dates)
    )


def test_a_worker_that_has_to_stop_hands_back_what_it_did_not_do() -> None:
    for _ in range(3):
        start("count", "count")
    asked = iter([False, False, False, True, True, True, True])
    continue_flowruns(should_stop=lambda: next(asked, True))
    runs = list(FlowRun.objects.order_by("id"))
    assert {run.status for run in runs} <= {"pending", "completed"}
    assert [run.token for run in runs] == [""] * 3
    assert [run.claim_count for run in runs] == [0] * 3
    continue_flowruns()
    assert {(run.status, run.state["n"]) for run in FlowRun.objects.all()} == {("completed", 2)}


def test_signals_tell_of_the_start_and_the_end_after_the_commit_and_a_broken_receiver_hurts_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[tuple[str, str]] = []

    def hear(run: signals.RunInfo, **kwargs: Any) -> None:
        assert not connection.in_atomic_block
        told.append((run.flow, run.status))

    def broken(**kwargs: Any) -> None:
        raise RuntimeError("broken receiver")

    for signal in (signals.run_started, signals.run_finished):
        signal.connect(broken)
        signal.connect(hear)
    try:
        start("count")
        continue_flowruns()
    finally:
        for signal in (signals.run_started, signals.run_finished):
            signal.disconnect(broken)
            signal.disconnect(hear)
    assert told == [("flow", "running"), ("flow", "completed")]
    assert FlowRun.objects.get().status == "completed"
    assert "broken receiver" in caplog.text
