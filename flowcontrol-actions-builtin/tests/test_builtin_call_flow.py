"""Call flow: what the other run begins with, what its end means for this one, and that nothing is lost between."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone
from flowcontrol.base import EnterBranch, Fail, Next, Wait, Wakeup
from flowcontrol.documents import import_flow
from flowcontrol.engine import (
    Started,
    cancel_runs,
    continue_flowruns,
    end_event,
    execute_run,
    start_flow,
)
from flowcontrol.exceptions import FlowNotFound, FlowNotStartable
from flowcontrol.models import Event, FlowRun
from flowcontrol.testing import FlowResult
from flowcontrol_actions_builtin.call_flow import CallFlow

pytestmark = pytest.mark.django_db


def flow(slug: str, *steps: Any, **keys: Any) -> None:
    import_flow({"flowcontrol": 1, "slug": slug, "name": slug, **keys, "steps": list(steps)})


def set_(key: str, value: str) -> dict[str, Any]:
    config = {"evaluate": True, "state": {key: value}}
    return {"id": key, "action": "builtin.update_state", "config": config}


def child() -> FlowRun:
    return FlowRun.objects.get(flow__slug="child")


@pytest.fixture
def arrive(visit: Any) -> Any:
    """The step as a run of the flow “parent” reaches it."""
    flow("parent")
    parent = start_flow("parent")
    assert isinstance(parent, Started)

    def arrive(state: dict[str, Any] | None = None, about: Any = None, **config: Any) -> Any:
        context = visit(CallFlow(), state, flow="child", **config)
        context.run_id, context.about = parent.run.pk, about
        return context

    return arrive


# --- the action alone ---------------------------------------------------------------------------------------


def test_it_starts_a_child_that_is_awaited_and_waits_for_its_end(arrive: Any) -> None:
    flow("child")
    context = arrive({"secret": 1})
    decision = CallFlow().run(context)
    run = child()
    assert decision == Wait(event=end_event(run.pk), match_object=False)
    assert (run.parent_id, run.is_awaited, dict(run.state)) == (context.run_id, True, {})


def test_it_passes_object_and_state_where_asked_and_waits_for_so_long_at_most(arrive: Any) -> None:
    flow("child", object="auth.group")
    group = Group.objects.create(name="members")
    context = arrive({"n": 1}, group, pass_object=True, pass_state=True, timeout_seconds=60)
    decision = CallFlow().run(context)
    run = child()
    assert (run.object_model, run.object_id, dict(run.state)) == ("auth.group", str(group.pk), {"n": 1})
    assert decision == Wait(
        event=end_event(run.pk), match_object=False, until=context.now + timedelta(seconds=60)
    )


@pytest.mark.parametrize(
    ("keys", "says"), [({"active": False}, "not active"), ({"limits": {"concurrent": 1}}, "starts no run")]
)
def test_a_flow_that_does_not_start_fails_this_step(arrive: Any, keys: dict[str, Any], says: str) -> None:
    flow("child", **keys)
    decisions = [CallFlow().run(arrive()) for _ in range(2)]
    assert isinstance(decisions[-1], Fail)
    assert isinstance(decisions[-1].error, FlowNotStartable)
    assert says in str(decisions[-1].error)


def test_a_flow_that_is_not_there_fails_this_step(arrive: Any) -> None:
    with pytest.raises(FlowNotFound, match="child"):
        CallFlow().run(arrive())


def ended(status: str, reason: str = "", **more: Any) -> Wakeup:
    return Wakeup("x", {"run": 12, "status": status, "reason": reason, **more})


@pytest.mark.parametrize("status", ["completed", "stopped"])
@pytest.mark.parametrize(("save_as", "state"), [("result", {"result": {"sum": 3}}), ("", {})])
def test_it_takes_over_the_state_that_the_other_run_ended_with(
    arrive: Any, status: str, save_as: str, state: dict[str, Any]
) -> None:
    context = arrive(save_as=save_as)
    assert CallFlow().after_wait(context, ended(status, state={"sum": 3})) == Next()
    assert dict(context.state) == state


@pytest.mark.parametrize(
    ("status", "reason", "says"),
    [
        ("failed", "no paper", "The flow “child” (run 12) failed: no paper"),
        ("cancelled", "by Ada", "The flow “child” (run 12) was cancelled: by Ada"),
        ("discarded", "", "The flow “child” (run 12) was discarded: no reason was given"),
    ],
)
def test_a_run_that_ends_without_a_result_fails_this_step(
    arrive: Any, status: str, reason: str, says: str
) -> None:
    context = arrive(save_as="result")
    assert CallFlow().after_wait(context, ended(status, reason, state={"half": 1})) == Fail(says)
    assert dict(context.state) == {}


def test_a_state_that_is_too_large_to_travel_fails_only_the_step_that_asked_for_it(arrive: Any) -> None:
    assert CallFlow().after_wait(arrive(), ended("completed")) == Next()
    decision = CallFlow().after_wait(arrive(save_as="result"), ended("completed"))
    assert isinstance(decision, Fail)
    assert "too large to be taken over as “result”" in str(decision.error)


def test_when_the_time_is_up_the_steps_of_timeout_run(arrive: Any) -> None:
    context = arrive(save_as="result", timeout_seconds=1)
    assert CallFlow().after_wait(context, Wakeup()) == EnterBranch("timeout")
    assert CallFlow().after_branch(context, "timeout") == Next()


@pytest.mark.parametrize(
    ("config", "words"),
    [({}, "Call “child”"), ({"timeout_seconds": 60}, "Call “child”, at most 0:01:00")],
)
def test_it_says_in_words_what_it_calls(configured: Any, config: dict[str, Any], words: str) -> None:
    assert CallFlow().summary(configured(CallFlow(), flow="child", **config)) == words


# --- in a run -----------------------------------------------------------------------------------------------


def parent(*around: Any, **config: Any) -> FlowRun:
    call = {
        "id": "call",
        "action": "builtin.call_flow",
        "config": {"flow": "child", "save_as": "result", **config},
        "branches": {"timeout": [set_("late", "True")]},
    }
    steps = [{**around[0], "steps": [call]}] if around else [call]
    flow("parent", *steps, set_("done", "True"))
    return execute_run(start_flow("parent", state={"n": 1}).run)


def outcome(run: FlowRun) -> tuple[str, dict[str, Any]]:
    run.refresh_from_db()
    return run.status, dict(run.state)


def test_a_run_goes_on_with_the_result_when_the_other_has_ended() -> None:
    flow("child", set_("sum", "n|add:2"))
    run = parent(pass_state=True)
    assert outcome(run)[0] == "waiting"
    continue_flowruns()
    assert outcome(run) == ("completed", {"n": 1, "result": {"n": 1, "sum": 3}, "done": True})


def test_a_run_waits_as_long_as_the_other_does() -> None:
    flow("child", {"id": "pause", "action": "builtin.delay", "config": {"seconds": 60}})
    run = parent()
    continue_flowruns()
    assert (outcome(run)[0], child().status) == ("waiting", "waiting")
    continue_flowruns(now=child().wait_until)
    assert outcome(run) == ("completed", {"n": 1, "result": {}, "done": True})


def test_a_test_follows_a_run_through_the_waits_of_those_it_started() -> None:
    flow("child", {"id": "pause", "action": "builtin.delay", "config": {"seconds": 86_400}})
    result = FlowResult(parent()).go_on()
    assert result.status == "completed", result
    assert result.run.ended_at - result.run.created_at >= timedelta(days=1)


def test_when_the_time_is_up_the_other_run_goes_on_alone() -> None:
    flow("child", {"id": "pause", "action": "builtin.delay", "config": {"seconds": 3_600}})
    run = parent(timeout_seconds=60)
    continue_flowruns()
    continue_flowruns(now=timezone.now() + timedelta(seconds=120))
    assert outcome(run) == ("completed", {"n": 1, "late": True, "done": True})
    assert child().status == "waiting"
    continue_flowruns(now=timezone.now() + timedelta(seconds=4_000))
    assert child().status == "completed"


def test_a_child_that_fails_fails_its_parent_which_says_why() -> None:
    flow("child", set_("sum", "nothing_of_that_name"))
    run = parent()
    continue_flowruns()
    assert outcome(run)[0] == "failed"
    assert f"The flow “child” (run {child().pk}) failed: " in run.reason
    assert "nothing_of_that_name" in run.reason


def test_a_child_that_is_cancelled_fails_its_parent() -> None:
    flow("child", {"id": "pause", "action": "builtin.delay", "config": {"seconds": 60}})
    run = parent()
    continue_flowruns()
    cancel_runs([child().pk])
    continue_flowruns()
    assert outcome(run)[0] == "failed"
    assert "was cancelled" in run.reason


def test_a_child_that_another_start_takes_the_place_of_fails_its_parent() -> None:
    pause = {"id": "pause", "action": "builtin.delay", "config": {"seconds": 60}}
    flow("child", pause, limits={"concurrent": 1, "when_reached": "restart"})
    run = parent()
    start_flow("child")
    continue_flowruns()
    assert outcome(run)[0] == "failed"
    assert "was cancelled" in run.reason


def test_a_child_that_is_discarded_fails_its_parent() -> None:
    flow("child", condition="False")
    run = parent()
    continue_flowruns()
    assert outcome(run)[0] == "failed"
    assert "was discarded: The condition of the flow is not true" in run.reason


def test_a_child_that_fails_can_be_dealt_with_by_a_try_around() -> None:
    flow("child", set_("sum", "nothing_of_that_name"))
    attempt = {
        "id": "try",
        "action": "builtin.try",
        "branches": {"error": [set_("why", "error.message")]},
    }
    run = parent(attempt)
    continue_flowruns()
    status, state = outcome(run)
    assert (status, state["done"]) == ("completed", True)
    assert "nothing_of_that_name" in state["why"]


def test_what_ended_before_the_parent_waited_is_not_missed() -> None:
    # Parent and child in one go, in whatever order they are claimed.
    flow("child", set_("sum", "1"))
    flow("parent", {"id": "call", "action": "builtin.call_flow", "config": {"flow": "child", "save_as": "r"}})
    runs = [start_flow("parent").run for _ in range(5)]
    continue_flowruns()
    assert [outcome(run) for run in runs] == [("completed", {"r": {"sum": 1}})] * 5
    assert Event.objects.filter(name__startswith="flowcontrol.run_ended.").count() == 5


def test_a_child_of_a_flow_that_ends_at_once_wakes_its_parent_too() -> None:
    flow("child")
    run = parent()
    continue_flowruns()
    assert outcome(run) == ("completed", {"n": 1, "result": {}, "done": True})
