"""What the tests of packs and projects use: running flows, the clock, crashes, and what a failure tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from engine_actions import ACTIONS, CALLS, Decide
from flowcontrol import registry
from flowcontrol.base import Fail
from flowcontrol.engine import fire_trigger
from flowcontrol.exceptions import DocumentError, FlowcontrolError
from flowcontrol.testing import FlowResult, VirtualTime

pytest_plugins = ["flowcontrol.testing.plugin"]
pytestmark = pytest.mark.every_database

Run = Callable[..., FlowResult]
PAUSE = {"id": "rest", "action": "test.pause", "config": {"seconds": 86_400}}
COUNT = {"id": "n", "action": "test.count"}


@pytest.fixture(autouse=True)
def _actions() -> Iterator[None]:
    with registry.actions.preserved(), registry.triggers.preserved():
        for action in ACTIONS:
            registry.register_action(action)
        registry.register_trigger("test.ping")
        CALLS.clear()
        Decide.answer.clear()
        yield


def test_a_flow_runs_through_its_waits_and_moves_the_clock(run_flow: Run, clock: VirtualTime) -> None:
    began = clock.now
    result = run_flow(COUNT, PAUSE, {**COUNT, "id": "again"}, state={"n": 5})
    assert (result.status, result.state["n"]) == ("completed", 7)
    assert result.steps == ["n", "rest", "again"]
    assert timedelta(hours=24) <= clock.now - began < timedelta(hours=25)


def test_a_run_that_waits_for_an_event_goes_on_when_it_came(run_flow: Run) -> None:
    wait = {"id": "rest", "action": "test.pause", "config": {"event": "test.ping"}}
    result = run_flow(wait, status="waiting")
    fire_trigger("test.ping", None, {"a": 1})
    assert result.go_on().status == "completed"


def test_a_run_that_ends_otherwise_is_told_step_by_step(run_flow: Run) -> None:
    Decide.answer["it"] = lambda context: Fail("no stock")
    with pytest.raises(AssertionError) as caught:
        run_flow(COUNT, {"id": "it", "action": "test.decide"})
    told = str(caught.value)
    assert "The run was to be completed, and is failed." in told
    assert "→ Next" in told
    assert "no stock" in told


def test_a_failed_assertion_shows_the_run(run_flow: Run) -> None:
    assert "n = 1" in repr(run_flow(COUNT))


def test_a_wrong_document_says_what_is_wrong(run_flow: Run) -> None:
    with pytest.raises(DocumentError, match=r"steps\[0\]"):
        run_flow({"id": "it", "action": "test.gone"})


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("point", "calls"), [("effect.before", 1), ("effect.after", 2), ("checkpoint.after", 1)]
)
def test_a_crash_repeats_what_was_not_written(point: str, calls: int, run_flow: Run, crash_at: Any) -> None:
    with crash_at(point):
        result = run_flow({"id": "it", "action": "test.call"})
    assert result.status == "completed"
    assert len(CALLS) == calls
    assert len({call["key"] for call in CALLS}) == 1


def test_a_point_that_does_not_exist_or_is_never_reached_is_an_error(run_flow: Run, crash_at: Any) -> None:
    with pytest.raises(FlowcontrolError, match="There are: claim.before"), crash_at("nowhere"):
        pass
    with pytest.raises(FlowcontrolError, match="reached 0 times"), crash_at("child.start"):
        run_flow(COUNT)


def test_the_clock_does_not_go_back_and_wants_a_time_zone(clock: VirtualTime) -> None:
    with pytest.raises(ValueError, match="does not go back"):
        clock.move(to=timezone.now() - timedelta(days=1))
    with pytest.raises(ValueError, match="no time zone"):
        clock.move(to=datetime(2100, 1, 1))
    clock.move(days=2)
    assert clock.now > timezone.now() + timedelta(days=1)
