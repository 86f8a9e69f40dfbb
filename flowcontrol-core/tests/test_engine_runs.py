"""Runs from start to end: what is executed, what is written, and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.db.models import ProtectedError
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from engine_actions import ACTIONS, CALLS, Decide
from flowcontrol import registry
from flowcontrol.base import EnterBranch, Fail, LeaveBranch, Next, ReturnToParent, Wait
from flowcontrol.documents import import_flow
from flowcontrol.engine import (
    Changed,
    Refused,
    Started,
    cancel_runs,
    checkpoints,
    continue_flowruns,
    execute_run,
    fire_trigger,
    pause_runs,
    programs,
    restart_run,
    resume_runs,
    start_flow,
)
from flowcontrol.engine.cursor import PositionGone
from flowcontrol.exceptions import FlowNotFound, FlowNotStartable, StateError
from flowcontrol.models import Event, Flow, FlowRun
from testapp.models import Customer, SlugThing, UuidThing

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _actions() -> Iterator[None]:
    with registry.actions.preserved(), registry.triggers.preserved():
        for action in ACTIONS:
            registry.register_action(action)
        registry.register_trigger("test.ping")
        CALLS.clear()
        Decide.answer.clear()
        yield


def step(action: str, id_: str | None = None, **keys: Any) -> dict[str, Any]:
    config = {key: keys.pop(key) for key in list(keys) if key not in {"steps", "branches", "enabled", "name"}}
    document = {"action": f"test.{action}", **keys}
    if id_:
        document["id"] = id_
    if config:
        document["config"] = config
    return document


def flow(*steps: dict[str, Any], slug: str = "flow", **keys: Any) -> Flow:
    return import_flow({"flowcontrol": 1, "slug": slug, "name": "Flow", "steps": list(steps), **keys})


def run(*steps: dict[str, Any], obj: Any = None, state: dict[str, Any] | None = None, **keys: Any) -> FlowRun:
    """Start a flow of these steps, and execute it until it is left."""
    flow(*steps, **keys)
    started = start_flow(keys.get("slug", "flow"), obj, state)
    assert isinstance(started, Started)
    return execute_run(started.run)


def trace(of: FlowRun) -> list[str]:
    return [
        f"{record.step}{'@' + record.path if record.path else ''} {record.decision}"
        for record in of.history()
    ]


# -- what is executed ------------------------------------------------------------------------------------------


def test_a_run_executes_its_steps_in_order_and_keeps_state_and_history() -> None:
    done = run(
        step("put", "a", state={"n": 4}),
        step("count", "b"),
        step("count", "c", enabled=False),
        step("count", "d"),
    )

    assert (done.status, dict(done.state)) == ("completed", {"n": 6})
    assert trace(done) == ["a Next", "b Next", "d Next"]
    assert [record.changes for record in done.history()] == [{"n": 4}, {"n": 5}, {"n": 6}]
    assert done.ended_at is not None
    assert (done.due_at, done.token) == (None, "")


def test_a_flow_without_steps_completes() -> None:
    assert run().status == "completed"


def test_loops_keep_their_counters_out_of_the_state_and_name_their_rounds_in_the_history() -> None:
    done = run(
        step("rounds", "outer", times=2, steps=[step("rounds", "inner", times=2, steps=[step("count", "n")])])
    )

    assert dict(done.state) == {"n": 4}
    visits = [record.path for record in done.history() if record.step == "n"]
    assert visits == ["outer:1/inner:1", "outer:1/inner:2", "outer:2/inner:1", "outer:2/inner:2"]


@pytest.mark.parametrize("exit_", [ReturnToParent, LeaveBranch])
def test_without_a_parent_return_and_leave_stop_the_flow(exit_: Callable[[], Any]) -> None:
    Decide.answer["out"] = lambda context: exit_()
    done = run(step("decide", "out"), step("count"))
    assert (done.status, dict(done.state)) == ("stopped", {})


def test_a_return_lets_a_loop_go_on_and_a_leave_ends_it() -> None:
    Decide.answer["out"] = lambda context: exits[0]()
    exits: list[Callable[[], Any]] = [ReturnToParent]
    tree = [
        step(
            "rounds",
            "loop",
            times=3,
            steps=[step("count", "c"), step("decide", "out"), step("count", "never")],
        )
    ]
    assert dict(run(*tree).state) == {"n": 3}
    exits[0] = LeaveBranch
    assert dict(run(*tree, slug="other").state) == {"n": 1}


def test_a_wait_in_a_loop_goes_on_exactly_there() -> None:
    waiting = run(
        step(
            "rounds", "loop", times=3, steps=[step("count"), step("pause", "rest", seconds=60), step("count")]
        )
    )

    assert (waiting.status, waiting.step, dict(waiting.state)) == ("waiting", "rest", {"n": 1})
    assert execute_run(waiting).status == "waiting", "not yet due"
    now = timezone.now()
    for _ in range(2):
        now += timedelta(minutes=2)
        assert continue_flowruns(now=now).executed == 1
        assert FlowRun.objects.get().status == "waiting"
    continue_flowruns(now=now + timedelta(minutes=2))
    done = FlowRun.objects.get()
    assert (done.status, dict(done.state)) == ("completed", {"n": 6})


def test_a_wait_shorter_than_the_minimum_is_made_that_long() -> None:
    waiting = run(step("pause", seconds=0))
    assert waiting.status == "waiting"
    assert continue_flowruns().executed == 0


# -- events ----------------------------------------------------------------------------------------------------


@pytest.fixture
def user() -> User:
    return User.objects.create(username="ann")


def test_an_event_wakes_the_runs_about_its_object_and_brings_its_payload(user: User) -> None:
    other = User.objects.create(username="ben")
    flow(step("pause", "rest", event="test.ping"))
    runs = [start_flow("flow", about).run for about in (user, other)]  # type: ignore[union-attr]
    continue_flowruns()

    fire_trigger("test.ping", user, {"paid": True})
    continue_flowruns()

    woken, still = (FlowRun.objects.get(pk=each.pk) for each in runs)
    assert (woken.status, dict(woken.state)) == ("completed", {"woken": {"paid": True}})
    assert still.status == "waiting"
    assert [record.phase for record in woken.history()] == ["run", "event"]


def test_an_event_just_before_the_wait_is_not_lost(user: User) -> None:
    flow(step("put", state={"a": 1}), step("pause", "rest", event="test.ping"))
    started = start_flow("flow", user)
    assert isinstance(started, Started)

    fire_trigger("test.ping", user, {"early": True})
    continue_flowruns()

    assert dict(FlowRun.objects.get().state) == {"a": 1, "woken": {"early": True}}


def test_an_event_is_taken_once(user: User) -> None:
    flow(step("rounds", "twice", times=2, steps=[step("pause", "rest", event="test.ping")]))
    start_flow("flow", user)
    continue_flowruns()
    fire_trigger("test.ping", user)
    continue_flowruns()

    assert FlowRun.objects.get().status == "waiting", "the second wait needs an event of its own"
    fire_trigger("test.ping", user)
    continue_flowruns()
    assert FlowRun.objects.get().status == "completed"


def test_a_wait_for_an_event_ends_when_its_time_is_up(user: User) -> None:
    waiting = run(step("pause", seconds=60, event="test.ping"), obj=user)
    continue_flowruns(now=timezone.now() + timedelta(minutes=2))
    waited = FlowRun.objects.get(pk=waiting.pk)
    assert dict(waited.state) == {"woken": "time"}
    assert [record.phase for record in waited.history()] == ["run", "time"]


# -- what an action may answer and store -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda context: "next", "answered 'next', which is no decision"),
        (lambda context: EnterBranch("elsewhere"), 'the branch "elsewhere", which it does not declare'),
        (lambda context: Wait(), "needs a time"),
        (lambda context: Wait(until=datetime(2030, 1, 1)), "has no time zone"),
        (lambda context: Fail("no stock"), "failed: no stock"),
        (lambda context: 1 / 0, "ZeroDivisionError"),
        (lambda context: context.state.update(bad=object()), "bad"),
        (lambda context: context.state.update(when=datetime(2030, 1, 1)), "when"),
        (lambda context: context.locals.update(bad=object()), "bad"),
        (lambda context: EnterBranch(variables={"bad": object()}), "bad"),
    ],
)
def test_a_step_that_goes_wrong_fails_the_run_there_and_loses_nothing(
    answer: Callable[[Any], Any], reason: str
) -> None:
    Decide.answer["wrong"] = lambda context: (context.state.update(half="done"), answer(context))[1]
    failed = run(step("put", state={"kept": 1}), step("decide", "wrong"), step("count"))

    assert (failed.status, failed.step) == ("failed", "wrong")
    assert reason in failed.reason
    assert "Traceback" in failed.traceback
    assert dict(failed.state) == {"kept": 1}, "as before the step"
    assert failed.history()[-1].error

    Decide.answer["wrong"] = lambda context: Next()
    mended = execute_run(restart_run(failed, step="wrong"))
    assert (mended.status, dict(mended.state)) == ("completed", {"kept": 1, "n": 1})


def test_a_run_is_not_restarted_at_a_step_that_its_flow_passes_over() -> None:
    flow(step("count"), step("rounds", "off", times=1, steps=[step("count", "inside")], enabled=False))
    done = execute_run(start_flow("flow").run)  # type: ignore[union-attr]
    for name, told in (("off", "It is not enabled"), ("inside", 'The step "off" around it is not enabled')):
        with pytest.raises(PositionGone, match=told):
            restart_run(done, step=name)
    assert FlowRun.objects.get().status == "completed"


def test_a_restart_from_the_start_repeats_everything_with_other_keys() -> None:
    done = run(step("call", "c"))
    again = execute_run(restart_run(done))
    assert again.status == "completed"
    assert len({call["key"] for call in CALLS}) == 2


def test_one_bad_run_stops_nothing_else() -> None:
    flow(step("decide", "wrong"), slug="bad")
    flow(step("count"), slug="good")
    Decide.answer["wrong"] = lambda context: exec("raise SystemExit")
    for slug in ("bad", "good", "bad", "good"):
        start_flow(slug)
    continue_flowruns()
    assert [each.status for each in FlowRun.objects.order_by("id")] == ["failed", "completed"] * 2


# -- the object ------------------------------------------------------------------------------------------------


def test_a_run_whose_object_is_deleted_is_discarded_with_the_reason_and_keeps_its_state(user: User) -> None:
    waiting = run(
        step("put", state={"a": 1}),
        step("pause", seconds=60),
        step("rounds", "look", times=1, condition="object.is_active"),
        obj=user,
        object="auth.user",
    )
    key = user.pk
    user.delete()
    continue_flowruns(now=timezone.now() + timedelta(minutes=2))

    gone = FlowRun.objects.get(pk=waiting.pk)
    assert (gone.status, gone.step, dict(gone.state)) == ("discarded", "look", {"a": 1})
    assert gone.reason == f"The auth.user {key} that run {gone.pk} is about no longer exists."


@pytest.mark.parametrize(
    "make",
    [
        lambda: Customer.objects.create(name="ann"),
        lambda: UuidThing.objects.create(name="thing"),
        lambda: SlugThing.objects.create(code="A/b c_ü"),
    ],
    ids=["int", "UUID", "str"],
)
def test_objects_have_keys_of_any_type(make: Callable[[], Any]) -> None:
    thing = make()
    Decide.answer["look"] = lambda context: context.state.update(seen=context.object) or Next()
    flow(
        step("decide", "look"),
        limits={"concurrent_per_object": 1, "per_object": 2},
        triggers=[{"on": "test.ping"}],
    )

    fire_trigger("test.ping", thing)
    continue_flowruns()

    done = FlowRun.objects.about(thing).get()
    assert (done.status, done.object_id) == ("completed", str(thing.pk))
    assert done.state["seen"] == thing
    assert isinstance(start_flow("flow", thing), Started)
    assert isinstance(start_flow("flow", thing), Refused)


def test_a_run_whose_state_refers_to_a_deleted_object_fails_naming_the_key(user: User) -> None:
    Decide.answer["look"] = lambda context: context.state["guest"] and None
    flow(step("pause", "rest", seconds=60), step("decide", "look"))
    start_flow("flow", state={"guest": user})
    continue_flowruns()
    user.delete()
    continue_flowruns(now=timezone.now() + timedelta(minutes=2))
    failed = FlowRun.objects.get()
    assert (failed.status, failed.step) == ("failed", "look")
    assert '"guest"' in failed.reason


def test_a_run_is_discarded_when_the_flows_condition_is_true_no_more(user: User) -> None:
    waiting = run(step("pause", seconds=60), step("count"), obj=user, condition="object.is_active")
    User.objects.update(is_active=False)
    continue_flowruns(now=timezone.now() + timedelta(minutes=2))
    gone = FlowRun.objects.get(pk=waiting.pk)
    assert (gone.status, gone.reason) == (
        "discarded",
        "The condition of the flow is not true: object.is_active",
    )


def test_a_broken_condition_is_an_error_and_not_a_false(user: User) -> None:
    failed = run(step("count"), obj=user, condition="object.is_activ")
    assert failed.status == "failed"
    assert "is_activ" in failed.reason


def test_a_flow_about_a_model_takes_no_other_object(user: User) -> None:
    flow(step("count"), object="auth.user")
    with pytest.raises(
        FlowNotStartable, match="is about an object of auth.user, and got an object of auth.group"
    ):
        start_flow("flow", Group.objects.create(name="g"))
    with pytest.raises(FlowNotStartable, match="got no object"):
        start_flow("flow")
    with pytest.raises(FlowNotStartable, match="never saved"):
        start_flow("flow", User(username="new"))
    assert not FlowRun.objects.exists()


# -- the flow changes ------------------------------------------------------------------------------------------


def test_runs_go_on_with_the_version_they_started_with() -> None:
    waiting = run(step("pause", "rest", seconds=60), step("count"))
    flow(step("put", "rest", state={"new": True}))
    continue_flowruns(now=timezone.now() + timedelta(minutes=2))
    assert dict(FlowRun.objects.get(pk=waiting.pk).state) == {"n": 1}


def test_an_inactive_flow_starts_nothing_and_its_runs_go_on() -> None:
    waiting = run(step("pause", seconds=60), step("count"))
    Flow.objects.update(is_active=False)
    assert start_flow("flow") == Refused("inactive", 'The flow "flow" is not active.')
    continue_flowruns(now=timezone.now() + timedelta(minutes=2))
    assert FlowRun.objects.get(pk=waiting.pk).status == "completed"


def test_a_flow_with_runs_cannot_be_deleted_and_one_without_can() -> None:
    waiting = run(step("pause", seconds=60), step("count"))
    with pytest.raises(ProtectedError):
        waiting.flow.delete()
    continue_flowruns(now=timezone.now() + timedelta(minutes=2))
    assert FlowRun.objects.get().status == "completed"
    FlowRun.objects.all().delete()
    Flow.objects.get().delete()
    assert not Flow.objects.exists()


def test_an_unknown_flow_is_an_error() -> None:
    with pytest.raises(FlowNotFound, match='There is no flow "nowhere"'):
        start_flow("nowhere")


def test_a_state_that_cannot_be_stored_starts_nothing() -> None:
    flow(step("count"))
    with pytest.raises(StateError, match="orders"):
        start_flow("flow", state={"orders": [object()]})
    assert not FlowRun.objects.exists()


def test_a_naive_start_time_is_refused() -> None:
    flow(step("count"))
    with pytest.raises(FlowNotStartable, match="has no time zone"):
        start_flow("flow", at=datetime(2030, 1, 1))


def test_a_start_at_a_later_time_waits_for_it() -> None:
    flow(step("count"))
    start_flow("flow", at=timezone.now() + timedelta(hours=1))
    assert continue_flowruns().executed == 0
    assert continue_flowruns(now=timezone.now() + timedelta(hours=2)).executed == 1


# -- plugins come and go ---------------------------------------------------------------------------------------


def test_a_run_whose_action_is_gone_is_blocked_and_goes_on_when_it_is_back() -> None:
    waiting = run(step("pause", "rest", seconds=60), step("count"))
    later = timezone.now() + timedelta(minutes=2)
    with registry.actions.preserved():
        registry.actions.unregister("test.pause")
        # Another process would not have the program compiled.
        programs._programs.clear()
        continue_flowruns(now=later)
        blocked = FlowRun.objects.get(pk=waiting.pk)
        assert (blocked.status, blocked.step) == ("blocked", "rest")
        assert '"rest"' in blocked.reason or "(rest)" in blocked.reason
        continue_flowruns(now=later + timedelta(minutes=2))
        assert FlowRun.objects.get().status == "blocked"
    continue_flowruns(now=later + timedelta(minutes=4))
    done = FlowRun.objects.get()
    assert (done.status, dict(done.state), done.reason) == ("completed", {"n": 1}, "")


# -- bounds ----------------------------------------------------------------------------------------------------


def test_a_loop_that_never_ends_fails_at_the_bound_and_others_get_their_turn() -> None:
    flow(step("rounds", "loop", times=10**9, steps=[step("count")]), slug="endless")
    flow(step("count"), slug="short")
    with override_settings(FLOWCONTROL={"MAX_STEPS": 500, "TIME_SLICE_STEPS": 100}):
        start_flow("endless")
        start_flow("short")
        continue_flowruns()
    endless, short = FlowRun.objects.order_by("id")
    assert endless.status == "failed"
    assert "500 steps" in endless.reason
    assert endless.ended_at > short.ended_at
    assert len(endless.history()) == 500


def test_flows_that_start_themselves_end_at_the_bound_of_ancestors() -> None:
    flow(step("decide", "again"))
    Decide.answer["again"] = lambda context: start_flow("flow") and None
    start_flow("flow")
    with override_settings(FLOWCONTROL={"MAX_ANCESTORS": 5}):
        continue_flowruns()
    runs = list(FlowRun.objects.order_by("depth"))
    assert [each.depth for each in runs] == [0, 1, 2, 3, 4, 5]
    assert [each.status for each in runs] == ["completed"] * 5 + ["failed"]
    assert "has 5 ancestors" in runs[-1].reason


def test_a_run_cannot_start_more_children_than_the_bound() -> None:
    flow(step("count"), slug="child")
    flow(step("rounds", "loop", times=10, steps=[step("decide", "start")]))
    Decide.answer["start"] = lambda context: start_flow("child") and None
    start_flow("flow")
    with override_settings(FLOWCONTROL={"MAX_CHILDREN": 4}):
        continue_flowruns()
    assert FlowRun.objects.filter(flow__slug="child").count() == 4
    assert "more than 4 runs" in FlowRun.objects.get(flow__slug="flow").reason


def test_a_flow_that_fires_its_own_trigger_ends_at_the_bound_and_hurts_nobody() -> None:
    flow(step("decide", "again"), triggers=[{"on": "test.ping"}])
    Decide.answer["again"] = lambda context: fire_trigger("test.ping") and None
    fire_trigger("test.ping")
    with override_settings(FLOWCONTROL={"MAX_ANCESTORS": 5}):
        continue_flowruns()
    assert [each.status for each in FlowRun.objects.all()] == ["completed"] * 6
    refused = Event.objects.first()
    assert refused is not None
    assert refused.outcome[0]["reason"] == "bound"


# -- operations ------------------------------------------------------------------------------------------------


def test_cancel_pause_resume_change_live_runs_only_and_say_which() -> None:
    waiting = run(step("pause", seconds=60), step("count"))
    done = run(step("count"), slug="done")

    assert pause_runs([waiting, done]) == Changed((waiting.pk,), (done.pk,))
    assert FlowRun.objects.get(pk=waiting.pk).status == "paused"
    assert continue_flowruns(now=timezone.now() + timedelta(hours=1)).executed == 0
    assert resume_runs([waiting.pk, done.pk]).refused == (done.pk,)
    assert FlowRun.objects.get(pk=waiting.pk).status == "waiting"
    assert cancel_runs(FlowRun.objects.all()).done == (waiting.pk,)
    assert continue_flowruns(now=timezone.now() + timedelta(hours=1)).executed == 0
    assert FlowRun.objects.get(pk=waiting.pk).status == "cancelled"
    assert cancel_runs(waiting).done == ()


def test_a_run_cancelled_while_it_is_executed_writes_no_more() -> None:
    Decide.answer["cancel"] = lambda context: cancel_runs(context.run_id) and None
    done = run(step("put", state={"a": 1}), step("decide", "cancel"), step("call", "never"), step("count"))
    assert (done.status, CALLS) == ("cancelled", [])


def test_a_run_paused_while_it_is_executed_stops_at_the_next_checkpoint_and_goes_on_there() -> None:
    Decide.answer["pause"] = lambda context: pause_runs(context.run_id) and None
    paused = run(step("decide", "pause"), step("call", "c"), step("count"))
    assert (paused.status, paused.step, CALLS) == ("paused", "c", [])
    resume_runs(paused)
    done = execute_run(paused)
    assert (done.status, dict(done.state), len(CALLS)) == ("completed", {"n": 1}, 1)


# -- limits ----------------------------------------------------------------------------------------------------


def test_a_queued_run_starts_when_another_one_ends() -> None:
    flow(step("pause", seconds=60), limits={"concurrent": 1, "when_reached": "queue"})
    first, second = (start_flow("flow").run for _ in range(2))  # type: ignore[union-attr]
    continue_flowruns()
    assert [each.status for each in FlowRun.objects.order_by("id")] == ["waiting", "pending"]
    cancel_runs(first)
    continue_flowruns()
    assert FlowRun.objects.get(pk=second.pk).status == "waiting"


def test_a_restarting_limit_replaces_the_oldest_run() -> None:
    flow(step("pause", seconds=60), limits={"concurrent": 1, "when_reached": "restart"})
    for _ in range(3):
        start_flow("flow")
        continue_flowruns()
    runs = list(FlowRun.objects.order_by("id"))
    assert [each.status for each in runs] == ["cancelled", "cancelled", "waiting"]
    assert runs[0].reason == "Replaced by a newer run: limit concurrent=1 is reached."


def test_a_limit_that_is_reached_refuses_and_records_why(user: User) -> None:
    flow(step("pause", seconds=60), limits={"concurrent_per_object": 1})
    assert isinstance(start_flow("flow", user), Started)
    refused = start_flow("flow", user)
    assert refused == Refused(
        "limit", 'The flow "flow" starts no run: limit concurrent_per_object=1 is reached.'
    )
    event = Event.objects.get()
    assert (event.object_id, event.outcome[0]["reason"]) == (str(user.pk), "limit")


# -- crashes ---------------------------------------------------------------------------------------------------


class Died(BaseException):
    """The process dies here."""


def die(context: Any) -> None:
    raise Died


def after_the_lease() -> datetime:
    return timezone.now() + timedelta(minutes=5)


def test_a_run_whose_worker_died_goes_on_after_the_lease_with_the_same_key() -> None:
    flow(step("put", state={"a": 1}), step("call", "c"), step("decide", "dies"), step("count"))
    start_flow("flow")
    Decide.answer["dies"] = die
    with pytest.raises(Died):
        continue_flowruns()
    assert FlowRun.objects.get().status == "running"
    assert continue_flowruns().executed == 0, "the lease lasts"

    Decide.answer["dies"] = lambda context: CALLS.append({"attempt": context.attempt})
    continue_flowruns(now=after_the_lease())

    done = FlowRun.objects.get()
    assert (done.status, dict(done.state)) == ("completed", {"a": 1, "n": 1})
    assert [call["attempt"] for call in CALLS] == [1, 2], "the call was not repeated; the step that died was"


def test_three_crashes_in_one_step_fail_the_run_and_no_other() -> None:
    flow(step("decide", "dies"), slug="poison")
    flow(step("count"), slug="good")
    Decide.answer["dies"] = die
    for slug in ("good", "poison", "good"):
        start_flow(slug)
    now, crashes = timezone.now(), 0
    for _ in range(10):
        try:
            continue_flowruns(now=now)
        except Died:
            crashes += 1
        now += timedelta(minutes=5)
    assert crashes == 3
    assert [each.status for each in FlowRun.objects.order_by("id")] == ["completed", "failed", "completed"]
    assert "3 workers in a row vanished" in FlowRun.objects.get(status="failed").reason


def test_what_a_database_action_writes_is_gone_when_its_checkpoint_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flow(step("write", "w"))
    start_flow("flow")
    real = checkpoints.settle

    def dying(*args: Any, **kwargs: Any) -> None:
        raise Died

    monkeypatch.setattr(checkpoints, "settle", dying)
    with pytest.raises(Died):
        continue_flowruns()
    assert not Group.objects.exists()
    monkeypatch.setattr(checkpoints, "settle", real)
    continue_flowruns(now=after_the_lease())
    assert (FlowRun.objects.get().status, Group.objects.count()) == ("completed", 1)


# -- cost ------------------------------------------------------------------------------------------------------


def statements(captured: CaptureQueriesContext) -> list[str]:
    """What was asked of the database, transaction control left out."""
    control = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")
    return [query["sql"] for query in captured.captured_queries if not query["sql"].startswith(control)]


def test_ten_pure_steps_from_start_to_end_take_five_queries_once_the_flow_is_known() -> None:
    flow(*[step("count") for _ in range(10)])
    # The first loads the version, once for the process, and may know the slug of another flow.
    for most in (8, 5 if connection.vendor == "sqlite" else 6):
        with CaptureQueriesContext(connection) as captured:
            started = start_flow("flow")
            assert isinstance(started, Started)
            done = execute_run(started.run)
        assert (done.status, dict(done.state)) == ("completed", {"n": 10})
        assert len(statements(captured)) <= most, statements(captured)


def known_flow(**keys: Any) -> Flow:
    """A flow that this process has started already, so that a start takes it for what it was."""
    known = flow(step("count"), **keys)
    assert isinstance(start_flow("flow"), Started)
    return known


@pytest.mark.every_database
def test_a_second_start_runs_what_is_published_by_then_and_has_the_dates_of_the_database() -> None:
    first = known_flow().published_id
    again = start_flow("flow", state={"n": 1})
    assert isinstance(again, Started)
    stored = FlowRun.objects.get(pk=again.run.pk)
    columns = [field.attname for field in FlowRun._meta.concrete_fields]
    assert stored.version_id == first
    if connection.vendor in ("postgresql", "sqlite"):
        told = {name: getattr(again.run, name) for name in columns}
        assert told == {name: getattr(stored, name) for name in columns}
    second = flow(step("count"), step("count")).published_id
    newer = start_flow("flow")
    assert isinstance(newer, Started)
    assert newer.run.version_id == second != first
    assert dict(execute_run(newer.run).state) == {"n": 2}


def test_a_known_flow_that_was_switched_off_unpublished_or_limited_since_is_looked_at_anew() -> None:
    known = known_flow()
    Flow.objects.update(is_active=False)
    off = start_flow("flow")
    assert isinstance(off, Refused)
    assert off.reason == "inactive"
    Flow.objects.update(is_active=True)
    assert isinstance(start_flow("flow"), Started)
    Flow.objects.filter(pk=known.pk).update(published=None)
    unpublished = start_flow("flow")
    assert isinstance(unpublished, Refused)
    assert unpublished.reason == "unpublished"
    FlowRun.objects.all().delete()
    flow(step("count"), limits={"concurrent": 1})
    assert isinstance(start_flow("flow"), Started)
    limited = start_flow("flow")
    assert isinstance(limited, Refused)
    assert limited.reason == "limit"


def test_a_known_flow_whose_object_changed_or_that_is_gone_is_looked_at_anew() -> None:
    known_flow()
    flow(step("count"), object="auth.group")
    group = Group.objects.create(name="one")
    for _ in range(2):
        about = start_flow("flow", group)
        assert isinstance(about, Started)
        assert (about.run.object_model, about.run.object_id) == ("auth.group", str(group.pk))
    with pytest.raises(FlowNotStartable, match="got no object"):
        start_flow("flow")
    FlowRun.objects.all().delete()
    Flow.objects.get(slug="flow").delete()
    with pytest.raises(FlowNotFound):
        start_flow("flow", group)


def test_rounds_of_pure_steps_cost_no_query() -> None:
    flow(step("rounds", "loop", times=300, steps=[step("count")]))
    started = start_flow("flow")
    assert isinstance(started, Started)
    with CaptureQueriesContext(connection) as captured:
        assert dict(execute_run(started.run).state) == {"n": 300}
    assert len(statements(captured)) <= 4, statements(captured)


def test_the_run_that_is_returned_is_as_it_was_written() -> None:
    waiting = run(step("pause", "rest", seconds=60))
    stored = FlowRun.objects.get(pk=waiting.pk)
    assert {field.attname: getattr(waiting, field.attname) for field in FlowRun._meta.concrete_fields} == {
        field.attname: getattr(stored, field.attname) for field in FlowRun._meta.concrete_fields
    }


def test_a_flow_is_loaded_in_one_query_at_any_size(django_assert_num_queries: Any) -> None:
    published = flow(*[step("rounds", times=1, steps=[step("count")]) for _ in range(500)]).published_id
    assert published is not None
    programs._programs.clear()
    with django_assert_num_queries(1):
        assert len(programs.load(published).nodes) == 1_000
    with django_assert_num_queries(0):
        programs.load(published)
