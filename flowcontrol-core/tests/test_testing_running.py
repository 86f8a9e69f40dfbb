"""What the tests of packs and projects use: running flows, the clock, crashes, and what a failure tells."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from engine_actions import ACTIONS, CALLS, Decide
from flowcontrol import plugins, registry
from flowcontrol.base import Fail
from flowcontrol.documents import import_flow
from flowcontrol.engine import fire_trigger
from flowcontrol.exceptions import DocumentError, FlowcontrolError
from flowcontrol.expressions import compile_expression
from flowcontrol.models import Event, FlowRun, Trigger
from flowcontrol.models.database import DatabaseNow
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
    with pytest.raises(ValueError, match="no time zone"):
        VirtualTime(datetime(2100, 1, 1))


NOON = datetime(2031, 3, 4, 12, tzinfo=UTC)


def test_everything_goes_by_the_clock_and_by_the_real_time_afterwards(db: None) -> None:
    event = Event(name="test.ping", payload_json="{}")
    with VirtualTime(NOON) as clock:
        clock.move(hours=1)
        moments = [
            timezone.now(),
            datetime.now(UTC),
            datetime.fromtimestamp(time.time(), UTC),
            _database_time(),
        ]
        event.created_at = DatabaseNow()
        event.save()
    assert moments == [NOON + timedelta(hours=1)] * 4
    assert Event.objects.get(pk=event.pk).created_at == NOON + timedelta(hours=1)
    assert abs(timezone.now() - _database_time()) < timedelta(minutes=1)
    assert timezone.now().year < 2031


def test_clocks_inside_one_another_leave_the_outer_one_as_it_was(clock: VirtualTime, db: None) -> None:
    outer = clock.now
    with VirtualTime(NOON) as inner, inner:
        inner.move(days=1)
        assert timezone.now() == _database_time() == NOON + timedelta(days=1)
    assert timezone.now() == _database_time() == clock.now == outer


@pytest.mark.parametrize(
    "moment", [NOON, NOON + timedelta(microseconds=1), NOON + timedelta(milliseconds=250)]
)
def test_a_date_is_the_same_to_python_and_to_the_database(
    moment: datetime, clock: VirtualTime, db: None
) -> None:
    clock.move(to=moment)
    Event.objects.create(name="by.python", payload_json="{}", created_at=timezone.now())
    Event.objects.create(name="by.database", payload_json="{}", created_at=DatabaseNow())
    assert Event.objects.filter(created_at__lte=DatabaseNow(), created_at__gte=DatabaseNow()).count() == 2
    assert Event.objects.filter(created_at=moment).count() == 2


def test_threads_go_by_the_clock_as_well(transactional_db: None) -> None:
    def ask() -> tuple[datetime, datetime]:
        try:
            return timezone.now(), _database_time()
        finally:
            connection.close()

    with VirtualTime(NOON), ThreadPoolExecutor(1) as pool:
        assert pool.submit(ask).result() == (NOON, NOON)


def test_what_a_run_writes_of_the_time_is_the_clocks(run_flow: Run, clock: VirtualTime) -> None:
    clock.move(to=NOON)
    Decide.answer["it"] = lambda context: context.state.update(
        seen=context.now, read=context.evaluate(compile_expression("now"))
    )
    result = run_flow(COUNT, PAUSE, {"id": "it", "action": "test.decide"})
    run, later = result.run, NOON + timedelta(days=1)
    assert (run.created_at, run.ended_at, clock.now) == (NOON, later, later)
    assert [record.started_at for record in result.records] == [NOON, NOON, later, later]
    assert (result.state["seen"], result.state["read"]) == (later, later)


def test_retries_wait_by_the_clock(run_flow: Run, clock: VirtualTime) -> None:
    clock.move(to=NOON)
    tries: list[datetime] = []

    def fail_twice(context: Any) -> None:
        tries.append(timezone.now())
        if len(tries) < 3:
            raise ConnectionError("not there")

    Decide.answer["it"] = fail_twice
    run_flow(
        {
            "id": "it",
            "action": "test.decide",
            "retry": {"attempts": 3, "delay": 60, "backoff": 2, "jitter": 0},
        }
    )
    assert [each - NOON for each in tries] == [timedelta(), timedelta(minutes=1), timedelta(minutes=3)]


def test_an_event_can_come_while_a_longer_wait_lasts(run_flow: Run, clock: VirtualTime) -> None:
    began = clock.now
    week = {"id": "rest", "action": "test.pause", "config": {"event": "test.ping", "seconds": 7 * 86_400}}
    result = run_flow(week, until=timedelta(days=2), status="waiting")
    assert clock.now == began + timedelta(days=2)
    fire_trigger("test.ping", None, {"a": 1})
    assert Event.objects.get(name="test.ping").created_at == clock.now
    assert result.go_on().state["woken"] == {"a": 1}
    assert result.run.ended_at == clock.now == began + timedelta(days=2)


def test_a_wait_that_nothing_ends_goes_on_to_its_end(run_flow: Run, clock: VirtualTime) -> None:
    began = clock.now
    week = {"id": "rest", "action": "test.pause", "config": {"event": "test.ping", "seconds": 7 * 86_400}}
    result = run_flow(week, until=began + timedelta(days=2), status=None)
    assert result.go_on(until=timedelta(days=4)).status == "waiting"
    assert result.go_on(until=timedelta(days=4)).state["woken"] == "time"
    assert clock.now == began + timedelta(days=7)


def test_a_trigger_listens_from_its_time_on_and_its_run_can_be_followed(clock: VirtualTime, db: None) -> None:
    clock.move(to=NOON)
    document = {"flowcontrol": 1, "slug": "pinged", "name": "Pinged", "steps": [COUNT, PAUSE]}
    flow = import_flow({**document, "triggers": [{"on": "test.ping"}]})
    Trigger.objects.filter(flow=flow).update(active_since=NOON + timedelta(hours=1))
    fire_trigger("test.ping")
    assert not FlowRun.objects.exists()
    clock.move(hours=1)
    fire_trigger("test.ping")
    result = FlowResult(FlowRun.objects.get()).go_on()
    assert result.status == "completed"
    assert result.run.created_at == NOON + timedelta(hours=1)
    assert result.run.ended_at == clock.now == NOON + timedelta(hours=25)


def test_exactly_the_plugins_of_a_list_are_in_use(isolated_plugins: Any) -> None:
    before = plugins.current()
    with isolated_plugins(["flowcontrol.testing.probes"]) as loaded:
        assert [report.name for report in loaded.reports if report.is_active] == [
            "flowcontrol.testing.probes"
        ]
        assert "probes.mark" in registry.actions
        assert "test.count" in registry.actions
    assert "probes.mark" not in registry.actions
    assert plugins.current() is before


def _database_time() -> datetime:
    event = Event.objects.create(name="asked", payload_json="{}", created_at=DatabaseNow())
    told: datetime = Event.objects.values_list(DatabaseNow(), flat=True).get(pk=event.pk)
    return told
