"""Wait for trigger: for what and how long, and what the run has afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from flowcontrol import registry
from flowcontrol.base import EnterBranch, Next, Wait, Wakeup
from flowcontrol.documents import import_flow, validate
from flowcontrol.engine import continue_flowruns, execute_run, fire_trigger, start_flow
from flowcontrol.models import FlowRun
from flowcontrol_actions_builtin.wait_for_trigger import WaitForTrigger

PAID = "tests.order_paid"


@pytest.fixture(autouse=True)
def _trigger_types() -> Iterator[None]:
    with registry.preserved():
        registry.register_trigger(PAID)
        yield


# --- the action alone ---------------------------------------------------------------------------------------


def test_it_waits_for_the_trigger_about_its_own_object_without_end(visit: Any) -> None:
    context = visit(WaitForTrigger(), trigger=PAID, match_object=True)
    assert WaitForTrigger().run(context) == Wait(event=PAID)


def test_it_waits_for_any_object_and_for_so_long_at_most(visit: Any) -> None:
    context = visit(WaitForTrigger(), trigger=PAID, timeout_seconds=90)
    until = context.now + timedelta(seconds=90)
    assert WaitForTrigger().run(context) == Wait(event=PAID, match_object=False, until=until)


@pytest.mark.parametrize(("save_as", "state"), [("paid", {"paid": {"amount": 5}}), ("", {})])
def test_it_keeps_what_the_trigger_brought_under_the_key_that_it_was_given(
    visit: Any, save_as: str, state: dict[str, Any]
) -> None:
    context = visit(WaitForTrigger(), trigger=PAID, save_as=save_as)
    assert WaitForTrigger().after_wait(context, Wakeup(PAID, {"amount": 5})) == Next()
    assert dict(context.state) == state


def test_when_the_time_is_up_the_steps_of_timeout_run_and_the_state_stays(visit: Any) -> None:
    context = visit(WaitForTrigger(), trigger=PAID, save_as="paid", timeout_seconds=1)
    assert WaitForTrigger().after_wait(context, Wakeup()) == EnterBranch("timeout")
    assert WaitForTrigger().after_branch(context, "timeout") == Next()
    assert dict(context.state) == {}


@pytest.mark.parametrize(
    ("config", "field", "says"),
    [
        ({}, "trigger", "required"),
        ({"trigger": "tests.order_payed"}, "trigger", "Did you mean tests.order_paid?"),
        ({"trigger": "x"}, "trigger", "No trigger type “x” is registered. Install the plugin"),
        ({"trigger": PAID, "save_as": "a b"}, "save_as", "cannot be read in expressions"),
        ({"trigger": PAID, "save_as": "object"}, "save_as", "has a meaning of its own"),
        ({"trigger": PAID, "timeout_seconds": 0}, "timeout_seconds", "greater than or equal to 1"),
        ({"trigger": PAID, "timeout_seconds": 10**12}, "timeout_seconds", "less than or equal to"),
    ],
)
def test_what_cannot_be_waited_for_is_refused_with_the_way_out(
    refusals: Any, config: dict[str, Any], field: str, says: str
) -> None:
    told = refusals(WaitForTrigger(), **config)
    assert set(told) == {field}
    assert says in told[field][0]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "Wait for tests.order_paid"),
        ({"timeout_seconds": 93_600}, "Wait for tests.order_paid, at most 1 day, 2:00:00"),
    ],
)
def test_it_says_in_words_what_it_waits_for(configured: Any, config: dict[str, Any], words: str) -> None:
    assert WaitForTrigger().summary(configured(WaitForTrigger(), trigger=PAID, **config)) == words


def test_a_document_that_says_nothing_waits_for_the_same_object() -> None:
    assert WaitForTrigger.Config().fields["match_object"].initial is True


# --- in a run -----------------------------------------------------------------------------------------------

pytestmark = pytest.mark.django_db


def set_(key: str, value: str) -> dict[str, Any]:
    return {"id": key, "action": "builtin.update_state", "config": {"state": {key: value}}}


def flow(**config: Any) -> None:
    wait = {
        "id": "wait",
        "action": "builtin.wait_for_trigger",
        "config": {"trigger": PAID, "save_as": "paid", **config},
        "branches": {"timeout": [set_("late", "yes")]},
    }
    document = {"flowcontrol": 1, "slug": "flow", "name": "Flow", "steps": [wait, set_("done", "yes")]}
    assert validate(document) == []
    import_flow(document)


def waiting(about: Any = None) -> FlowRun:
    run = execute_run(start_flow("flow", about).run)
    assert (run.status, run.wait_event) == ("waiting", PAID)
    return run


def later(run: FlowRun, **length: float) -> tuple[str, dict[str, Any]]:
    continue_flowruns(now=run.created_at + timedelta(**length))
    run.refresh_from_db()
    return run.status, dict(run.state)


def test_a_run_goes_on_when_the_trigger_fires_with_what_it_brought() -> None:
    flow(timeout_seconds=3_600)
    run = waiting()
    fire_trigger(PAID, state={"amount": 5})
    assert later(run, seconds=5) == ("completed", {"paid": {"amount": 5}, "done": "yes"})


def test_a_run_goes_on_through_timeout_when_nothing_happens() -> None:
    flow(timeout_seconds=3_600)
    run = waiting()
    assert later(run, minutes=50) == ("waiting", {})
    assert later(run, minutes=70) == ("completed", {"late": "yes", "done": "yes"})


def test_only_what_is_about_the_same_object_counts_unless_it_need_not_match() -> None:
    flow()
    mine, other = Group.objects.create(name="mine"), Group.objects.create(name="other")
    strict = waiting(mine)
    fire_trigger(PAID, other, {"amount": 1})
    assert later(strict, seconds=5)[0] == "waiting"
    fire_trigger(PAID, mine, {"amount": 2})
    assert later(strict, seconds=5)[1]["paid"] == {"amount": 2}

    flow(match_object=False)
    loose = waiting(mine)
    fire_trigger(PAID, other, {"amount": 3})
    assert later(loose, seconds=5)[1]["paid"] == {"amount": 3}


def test_what_happened_just_before_the_run_came_here_counts() -> None:
    flow()
    run = start_flow("flow").run
    fire_trigger(PAID, state={"amount": 5})
    assert later(run, seconds=5) == ("completed", {"paid": {"amount": 5}, "done": "yes"})
