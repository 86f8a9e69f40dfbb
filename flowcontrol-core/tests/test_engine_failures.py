"""What goes wrong in a step, and what is done about it: retries, time limits, wake-ups that nobody sent."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from engine_actions import ACTIONS, CALLS, Decide
from flowcontrol import registry
from flowcontrol.base import BaseAction, Effect, Wait
from flowcontrol.documents import import_flow
from flowcontrol.engine import (
    continue_flowruns,
    execute_run,
    fire_trigger,
    heartbeat,
    restart_run,
    start_flow,
)
from flowcontrol.engine.awaiting import wake_missed
from flowcontrol.engine.claims import Share
from flowcontrol.engine.clock import Clock
from flowcontrol.engine.timelimit import StepTimeout, time_limit
from flowcontrol.models import Event, FlowRun, TakenEvent
from flowcontrol.signals import RunInfo, run_finished

pytestmark = pytest.mark.django_db(transaction=True)


class Busy(BaseAction):
    """Never comes back by itself; it can be interrupted."""

    name = "test.busy"
    effect = Effect.PURE

    def run(self, context: Any) -> None:
        limit = time.monotonic() + 30
        while time.monotonic() < limit:
            pass


class Outside(Busy):
    name = "test.outside"
    effect = Effect.EXTERNAL


class Asleep(BaseAction):
    """Waits in C."""

    name = "test.asleep"

    def run(self, context: Any) -> None:
        time.sleep(30)


class Patient(BaseAction):
    """Tells that the worker is to stop, and comes back once another run was handed back."""

    name = "test.patient"
    stop = threading.Event()

    def run(self, context: Any) -> None:
        CALLS.append({"run": context.run_id})
        self.stop.set()
        limit = time.monotonic() + 20
        while not FlowRun.objects.filter(status="pending").exists():
            assert time.monotonic() < limit, "nobody handed back what was not begun"
            time.sleep(0.02)


class Meeting(BaseAction):
    """Comes back when so many of its kind are under way at the same time."""

    name = "test.meeting"
    barrier = threading.Barrier(4)

    def run(self, context: Any) -> None:
        type(self).barrier.wait(20)


@pytest.fixture(autouse=True)
def _actions() -> Iterator[None]:
    with registry.actions.preserved(), registry.triggers.preserved():
        for action in (*ACTIONS, Busy, Outside, Asleep, Meeting, Patient):
            registry.register_action(action)
        registry.register_trigger("test.ping")
        CALLS.clear()
        Decide.answer.clear()
        yield


def flow(*steps: dict[str, Any], slug: str = "flow", **keys: Any) -> None:
    import_flow({"flowcontrol": 1, "slug": slug, "name": slug, "steps": list(steps), **keys})


def start(slug: str = "flow") -> FlowRun:
    return start_flow(slug).run  # type: ignore[union-attr]


def failing(times: int, error: Exception) -> None:
    left = iter(range(times))

    def decide(context: Any) -> None:
        context.state["tries"] = [*context.state.get("tries", []), context.attempt]
        if next(left, None) is not None:
            raise error

    Decide.answer["d"] = decide


def test_a_failed_step_waits_in_the_database_and_is_tried_again_longer_and_longer() -> None:
    retry = {"attempts": 3, "delay": 60, "backoff": 3, "jitter": 0}
    flow({"id": "d", "action": "test.decide", "retry": retry})
    failing(2, ValueError("not yet"))
    now = timezone.now()
    run = execute_run(start(), now + timedelta(minutes=1))
    assert (run.status, run.token, run.step) == ("waiting", "", "d")
    assert "Try 2 of 3" in run.reason
    assert "not yet" in run.reason
    seconds = []
    for _ in range(2):
        due = run.due_at
        assert due is not None
        seconds.append((due - (run.ended_at or now)).total_seconds())
        now = due
        run = execute_run(run, due)
    assert 119 <= seconds[0] <= 121
    assert 179 <= seconds[1] <= 181
    assert (run.status, dict(run.state)) == ("completed", {"tries": [3]}), (
        "a failed try leaves nothing in the state"
    )
    assert [(record.decision, record.attempt) for record in run.history()] == [
        ("Retry", 1),
        ("Retry", 2),
        ("Next", 3),
    ]


def test_the_last_failure_fails_the_run_where_it_stands_and_a_restart_begins_to_count_anew() -> None:
    flow({"id": "d", "action": "test.decide", "retry": {"attempts": 2, "delay": 0, "jitter": 0}})
    failing(3, ValueError("never"))
    run = start()
    later = timezone.now() + timedelta(hours=1)
    assert execute_run(run, later).status == "waiting"
    failed = execute_run(run, later + timedelta(hours=1))
    assert (failed.status, failed.step) == ("failed", "d")
    assert "never" in failed.traceback
    assert execute_run(restart_run(failed, step="d"), later + timedelta(hours=2)).status == "waiting"
    assert execute_run(run, later + timedelta(hours=3)).status == "completed"


def test_only_errors_that_are_named_are_tried_again() -> None:
    flow(
        {"id": "d", "action": "test.decide", "retry": {"attempts": 5, "on": ["OSError", "builtins.KeyError"]}}
    )
    failing(1, ConnectionError("a subclass of OSError"))
    assert execute_run(start()).status == "waiting"
    failing(1, ValueError("no such"))
    assert execute_run(start()).status == "failed"


def test_an_action_is_told_whether_an_error_would_be_tried_again() -> None:
    heard: list[list[bool]] = []
    flow({"id": "d", "action": "test.decide", "retry": {"attempts": 2, "delay": 0, "on": ["OSError"]}})
    attempts = []

    def decide(context: Any) -> None:
        heard.append([context.is_retried(error) for error in (ConnectionError(), ValueError())])
        attempts.append(context.attempt)
        if len(heard) < 2:
            raise ConnectionError

    Decide.answer["d"] = decide
    run, later = start(), timezone.now()
    # A worker that died on it: an attempt, and no try.
    FlowRun.objects.filter(pk=run.pk).update(claim_count=1)
    for _ in range(2):
        later += timedelta(hours=1)
        run = execute_run(run, later)
    assert (run.status, attempts) == ("completed", [2, 2])
    assert heard == [[True, False], [False, False]]


def test_without_a_retry_nothing_is_tried_again() -> None:
    heard: list[bool] = []
    flow({"id": "d", "action": "test.decide"})
    Decide.answer["d"] = lambda context: heard.append(context.is_retried(OSError()))
    execute_run(start())
    assert heard == [False]


@pytest.mark.parametrize("action", ["busy", "outside", "asleep"])
def test_a_step_that_takes_longer_than_its_time_limit_fails(action: str) -> None:
    flow({"id": "d", "action": f"test.{action}", "timeout": 0.2})
    began = time.monotonic()
    run = execute_run(start())
    assert time.monotonic() - began < 20
    assert (run.status, "time limit of 0.2 s" in run.reason) == ("failed", True), run.reason


@pytest.mark.parametrize("swallows", [False, True])
def test_a_time_limit_holds_in_other_threads_even_where_the_interruption_is_caught(swallows: bool) -> None:
    ended: list[str] = []

    def work() -> None:
        try:
            with time_limit(0.1), suppress(Exception) if swallows else nullcontext():
                Busy().run(None)
        except StepTimeout as error:
            ended.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert ended == ["It took longer than its time limit of 0.1 s."] * 5


def test_a_call_that_hangs_in_a_thread_is_given_up_and_the_others_go_on() -> None:
    flow({"id": "d", "action": "test.outside"}, slug="hangs")
    flow({"id": "c", "action": "test.call"}, slug="good")
    hung, good = start("hangs"), start("good")
    with override_settings(FLOWCONTROL={"STEP_TIMEOUT_SECONDS": 1}):
        continue_flowruns(threads=1)
    hung.refresh_from_db()
    good.refresh_from_db()
    assert (hung.status, good.status) == ("failed", "completed")
    assert "time limit of 1 s" in hung.reason


def test_calls_of_the_world_overlap() -> None:
    flow({"id": "m", "action": "test.meeting"})
    for _ in range(4):
        start()
    continue_flowruns(threads=4)
    assert {run.status for run in FlowRun.objects.all()} == {"completed"}


def test_a_call_that_has_no_thread_yet_when_the_worker_stops_is_handed_back_and_not_made() -> None:
    flow({"id": "p", "action": "test.patient"})
    Patient.stop.clear()
    runs = [start(), start()]
    continue_flowruns(threads=1, should_stop=Patient.stop.is_set)
    for run in runs:
        run.refresh_from_db()
    begun = [run for run in runs if run.pk == CALLS[0]["run"]]
    (left,) = (run for run in runs if run not in begun)
    assert ([each["run"] for each in CALLS], begun[0].status) == ([begun[0].pk], "completed")
    assert (left.status, left.token, left.claim_count, left.step) == ("pending", "", 0, "p")


def test_runs_that_no_thread_was_free_for_are_executed_too() -> None:
    flow({"id": "c", "action": "test.call"})
    for _ in range(40):
        start()
    assert continue_flowruns(threads=1).executed == 40
    assert {run.status for run in FlowRun.objects.all()} == {"completed"}


@pytest.mark.parametrize(
    ("history", "kept"), [("full", ["Next", "Fail"]), ("errors", ["Fail"]), ("none", [])]
)
def test_a_flow_says_how_much_of_its_history_is_kept(history: str, kept: list[str]) -> None:
    flow({"id": "c", "action": "test.count"}, {"id": "d", "action": "test.decide"}, history=history)
    failing(1, ValueError("broken"))
    run = execute_run(start())
    assert run.status == "failed"
    assert "broken" in run.reason
    assert [record.decision for record in run.history()] == kept


def test_a_flood_of_one_flow_does_not_keep_another_one_waiting_and_the_higher_priority_goes_first() -> None:
    for slug, priority in (("flood", 0), ("other", 0), ("urgent", 5)):
        flow({"id": "c", "action": "test.count"}, slug=slug, priority=priority)
    for _ in range(40):
        start("flood")
    start("other")
    share = Share()
    slugs = [[claim.run.flow.slug for claim in share.claim(10, Clock())]]
    for _ in range(3):
        start("urgent")
    slugs += [[claim.run.flow.slug for claim in share.claim(10, Clock())] for _ in range(2)]
    assert set(slugs[0]) == {"flood"}, "the longest due first"
    assert slugs[1][:3] == ["urgent"] * 3
    assert slugs[1].count("other") == 1
    assert slugs[1].count("flood") == 6, "nothing is left empty"
    assert set(slugs[2]) == {"flood"}


@pytest.mark.every_database
def test_many_crowded_flows_take_turns_and_on_postgresql_that_costs_no_statement_for_each() -> None:
    slugs = [f"crowd{number}" for number in range(30)]
    for slug in slugs:
        flow({"id": "c", "action": "test.count"}, slug=slug)
    for _ in range(3):
        for slug in slugs:
            start(slug)
    share, turns = Share(), []
    share.claim(10, Clock())
    for _ in range(4):
        with CaptureQueriesContext(connection) as captured:
            turns.append([claim.run.flow_id for claim in share.claim(20, Clock())])
        if connection.vendor == "postgresql":
            # Which flows have due runs, and those of twenty of them.
            assert len(captured) == 2
    assert [len(set(each)) for each in turns[:3]] == [20, 20, 20], "one of each, and nobody twice"
    assert len({*turns[0], *turns[1]}) == 30, "who had no turn is next"
    assert sum(map(len, turns)) == 80
    assert FlowRun.objects.filter(status="running").count() == 90


def test_the_leases_of_runs_that_were_claimed_flow_by_flow_are_all_kept() -> None:
    kept: list[bool] = []

    def look(context: Any) -> None:
        kept.append(any(context.run_id in held for held in heartbeat._heartbeat.held.values()))

    for slug in ("one", "two", "three"):
        flow({"id": "d", "action": "test.decide"}, slug=slug, queue="q")
        start(slug)
    Decide.answer["d"] = look
    continue_flowruns(queues=["q"])
    assert kept == [True, True, True]
    assert heartbeat._heartbeat.held == {}


def test_a_worker_of_one_queue_leaves_the_others_alone() -> None:
    flow({"id": "c", "action": "test.count"}, slug="slow", queue="reports")
    flow({"id": "c", "action": "test.count"}, slug="quick")
    start("slow")
    start("quick")
    continue_flowruns(queues=["reports"])
    assert {run.flow.slug: run.status for run in FlowRun.objects.all()} == {
        "slow": "completed",
        "quick": "pending",
    }


def test_what_is_logged_and_told_of_a_run_names_run_flow_step_and_queue(
    caplog: pytest.LogCaptureFixture,
) -> None:
    flow({"id": "d", "action": "test.decide"}, queue="reports")
    failing(1, ValueError("broken"))
    told: list[RunInfo] = []

    def hear(run: RunInfo, **kwargs: Any) -> None:
        told.append(run)

    run_finished.connect(hear)
    try:
        with caplog.at_level("INFO", "flowcontrol.engine"):
            run = execute_run(start())
    finally:
        run_finished.disconnect(hear)
    (ended,) = [record for record in caplog.records if record.msg.startswith("run ended")]
    assert [getattr(ended, name) for name in ("run", "flow", "step")] == [run.pk, "flow", "d"]
    assert [(info.queue, info.steps, info.ended_at) for info in told] == [("reports", 1, run.ended_at)]


def waits(*events: str) -> None:
    """A flow that waits for these one after the other, and counts after each."""
    steps = [
        {"id": f"{kind}{number}", "action": f"test.{action}"}
        for number in range(len(events))
        for kind, action in (("d", "decide"), ("c", "count"))
    ]
    flow(*steps)
    for number, event in enumerate(events):
        Decide.answer[f"d{number}"] = lambda context, event=event: Wait(event=event)


def test_an_event_that_came_before_another_one_was_taken_counts_for_the_next_wait_and_each_counts_once() -> (
    None
):
    registry.register_trigger("test.pong")
    waits("test.pong", "test.ping", "test.ping")
    run = execute_run(start())
    fire_trigger("test.ping")
    fire_trigger("test.pong")
    continue_flowruns()
    run.refresh_from_db()
    assert (run.status, run.step, dict(run.state)) == ("waiting", "d2", {"n": 2}), (
        "the ping was there before the pong"
    )
    assert wake_missed(Clock()) == 0, "what it took does not wake it again"
    fire_trigger("test.ping")
    continue_flowruns()
    assert FlowRun.objects.get().status == "completed"
    assert TakenEvent.objects.filter(run=run.pk).count() == 3


def test_an_event_that_is_committed_after_a_later_one_was_taken_is_not_passed_over() -> None:
    waits("test.ping", "test.ping")
    run = execute_run(start())
    fire_trigger("test.ping")
    early = Event.objects.get()
    later = Event.objects.create(name="test.ping", created_at=early.created_at)
    # The first one is not committed yet.
    Event.objects.filter(pk=early.pk).update(name="hidden")
    run = execute_run(run)
    assert list(TakenEvent.objects.values_list("event_id", flat=True)) == [later.pk]
    assert run.step == "d1"
    Event.objects.filter(pk=early.pk).update(name="test.ping")
    assert wake_missed(Clock()) == 1
    assert execute_run(run).status == "completed"


def test_a_step_that_fails_after_its_wait_is_asked_about_the_same_event_again_which_then_counts_as_taken() -> (
    None
):
    left = iter([True])

    class Picky(BaseAction):
        name = "test.picky"
        effect = Effect.PURE

        def run(self, context: Any) -> Wait:
            return Wait(event="test.ping")

        def after_wait(self, context: Any, wakeup: Any) -> None:
            context.state["got"] = [*context.state.get("got", []), wakeup.payload["n"]]
            if next(left, False):
                raise ValueError("not now")

    registry.register_action(Picky)
    retry = {"attempts": 2, "delay": 60, "jitter": 0}
    flow({"id": "p", "action": "test.picky", "retry": retry}, {"id": "q", "action": "test.picky"})
    run = execute_run(start())
    for number in (1, 2):
        fire_trigger("test.ping", state={"n": number})
    run = execute_run(run)
    assert "Try 2 of 2" in run.reason
    assert run.due_at is not None
    execute_run(run, run.due_at)
    continue_flowruns(now=run.due_at + timedelta(hours=1))
    done = FlowRun.objects.get()
    assert (done.status, dict(done.state)) == ("completed", {"got": [1, 2]})


def test_a_wake_up_that_nobody_lived_to_send_is_made_up_for() -> None:
    flow({"id": "d", "action": "test.decide"})
    Decide.answer["d"] = lambda context: Wait(event="test.ping")
    run = execute_run(start())
    assert (run.status, run.due_at) == ("waiting", None)
    assert wake_missed(Clock()) == 0
    fire_trigger("test.ping")
    # As if the process had died before it.
    FlowRun.objects.filter(pk=run.pk).update(due_at=None)
    assert wake_missed(Clock()) == 1
    continue_flowruns()
    assert FlowRun.objects.get().status == "completed"
