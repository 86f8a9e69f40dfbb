"""A run that needs an action waits for a worker that has it, and is in nobody's way meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.utils import timezone
from engine_actions import ACTIONS, CALLS, Count
from flowcontrol import plugins, registry
from flowcontrol.documents import import_flow
from flowcontrol.engine import continue_flowruns, programs, start_flow
from flowcontrol.engine.capabilities import set_aside, wake_blocked
from flowcontrol.engine.clock import VirtualClock
from flowcontrol.engine.presence import Presence
from flowcontrol.models import FlowRun, Worker
from flowcontrol.plugins.report import PluginReport, State

pytestmark = [pytest.mark.django_db, pytest.mark.every_database]


@pytest.fixture(autouse=True)
def _actions() -> Iterator[None]:
    with registry.actions.preserved():
        for action in ACTIONS:
            registry.register_action(action)
        CALLS.clear()
        yield


@contextmanager
def without(name: str) -> Iterator[None]:
    """As in a process that lacks the action."""
    with registry.actions.preserved():
        registry.actions.unregister(name)
        programs._programs.clear()
        yield
    programs._programs.clear()


def started() -> FlowRun:
    import_flow(
        {"flowcontrol": 1, "slug": "flow", "name": "Flow", "steps": [{"id": "n", "action": "test.count"}]}
    )
    return start_flow("flow").run  # type: ignore[union-attr]


def blocked() -> FlowRun:
    run = started()
    with without("test.count"):
        continue_flowruns()
    run.refresh_from_db()
    assert (run.status, run.needs) == ("blocked", "test.count")
    return run


def seconds_until_due(run: FlowRun) -> float:
    assert run.due_at is not None
    return (run.due_at - timezone.now()).total_seconds()


def test_a_worker_leaves_a_run_that_needs_what_it_lacks_to_those_that_have_it() -> None:
    run = blocked()
    due = timezone.now() + timedelta(minutes=5)
    with without("test.count"):
        assert continue_flowruns(now=due).executed == 0, "it does not even claim it"
    assert continue_flowruns(now=due).executed == 1
    run.refresh_from_db()
    assert (run.status, run.needs, dict(run.state)) == ("completed", "", {"n": 1})


def test_a_run_that_another_worker_can_take_is_due_for_it_at_once() -> None:
    presence = Presence([], lambda: 0)
    presence._beat()
    assert "test.count" in Worker.objects.get().actions
    assert seconds_until_due(blocked()) < 5


def test_a_worker_that_died_promises_nothing() -> None:
    Presence([], lambda: 0)._beat()
    Worker.objects.update(seen_at=timezone.now() - timedelta(hours=1))
    assert seconds_until_due(blocked()) > 30


@pytest.mark.parametrize(("theirs", "is_soon"), [("1.1", True), ("1.0", False), ("0.9", False), ("", False)])
def test_a_configuration_that_is_too_new_here_is_left_to_a_worker_with_a_newer_plugin(
    theirs: str, is_soon: bool
) -> None:
    report = PluginReport("test", State.ACTIVE, version="1.0", actions=("test.count",))
    before = plugins.loaded.use(plugins.loaded.LoadedPlugins(reports=(report,)))
    step = {"id": "n", "action": "test.count", "config_version": 2}
    try:
        Presence([], lambda: 0)._beat()
        Worker.objects.update(plugins={"test": theirs})
        with newer_configuration():
            import_flow({"flowcontrol": 1, "slug": "new", "name": "New", "steps": [step]})
        started = start_flow("new")
        continue_flowruns()
    finally:
        plugins.loaded.use(before)
    run = started.run  # type: ignore[union-attr]
    run.refresh_from_db()
    assert run.status == "blocked"
    assert "the installed plugin knows up to version 1" in run.reason
    assert (seconds_until_due(run) < 5) is is_soon


@contextmanager
def newer_configuration() -> Iterator[None]:
    """As in a process that has the plugin's next version."""
    Count.config_version = 2
    yield
    Count.config_version = 1
    programs._programs.clear()


def test_what_is_blocked_goes_on_when_a_worker_starts_that_has_it() -> None:
    run = blocked()
    with without("test.count"):
        assert wake_blocked() == 0
    assert wake_blocked() == 1
    continue_flowruns()
    run.refresh_from_db()
    assert run.status == "completed"


def test_blocked_runs_that_nobody_takes_do_not_stand_before_those_that_are_due() -> None:
    run = blocked()
    late = VirtualClock(timezone.now() + timedelta(minutes=5))
    assert set_aside(late) == 0, "whoever asks has the action and will take the run itself"
    with without("test.count"):
        assert set_aside(late) == 1
        run.refresh_from_db()
        assert seconds_until_due(run) > 300
        assert set_aside(late) == 0
