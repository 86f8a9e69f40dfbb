"""Limits are exact when real processes start, fire and work at once."""

from __future__ import annotations

import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import Group
from django.db import connection, connections
from flowcontrol import registry
from flowcontrol.documents import import_flow
from flowcontrol.engine import Started, continue_flowruns, fire_trigger, start_flow
from flowcontrol.models import Event, FlowRun

pytestmark = pytest.mark.django_db(transaction=True)

PROCESSES = 8


def in_processes(count: int, work: Callable[[int], None]) -> None:
    """Run ``work(number)`` in real processes at once; fails when one of them fails."""
    # A connection that two processes share would be closed twice.
    connections.close_all()
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(count)

    def body(number: int) -> None:
        try:
            barrier.wait(30)
            work(number)
        except BaseException:  # noqa: BLE001  it is told by the exit code
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        finally:
            connections.close_all()
        # Without pytest's own clean-up, which belongs to the parent.
        os._exit(0)

    processes = [context.Process(target=body, args=(number,)) for number in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * count


@pytest.fixture(autouse=True)
def _several_processes_can_connect() -> None:
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite" and ("memory" in name or not name):
        pytest.fail("These tests need a database that other processes can open: use a file for SQLite.")


@pytest.fixture
def _ping() -> Iterator[None]:
    with registry.triggers.preserved():
        registry.register_trigger("crossing.ping")
        yield


def flow(**limits: int | str) -> None:
    import_flow(
        {
            "flowcontrol": 1,
            "slug": "limited",
            "name": "Limited",
            "limits": limits,
            "triggers": [{"on": "crossing.ping"}],
            "steps": [{"id": "wait", "action": "builtin.delay", "config": {"seconds": 3600}}],
        }
    )


@pytest.mark.usefixtures("_ping")
@pytest.mark.parametrize("bound", [1, 5])
def test_processes_that_start_at_once_get_exactly_the_places_there_are(bound: int) -> None:
    flow(concurrent=bound)

    def start_five(number: int) -> None:
        for _ in range(5):
            start_flow("limited")

    in_processes(PROCESSES, start_five)

    assert FlowRun.objects.admitted().count() == bound
    refused = Event.objects.filter(name="flowcontrol.start_refused")
    assert refused.count() == PROCESSES * 5 - bound
    assert {event.outcome[0]["detail"] for event in refused} == {
        f'The flow "limited" starts no run: limit concurrent={bound} is reached.'
    }


@pytest.mark.usefixtures("_ping")
def test_a_limit_per_object_counts_each_object_for_itself_and_all_runs_ever() -> None:
    flow(per_object=2)
    groups = [Group.objects.create(name=f"group {number}") for number in range(3)]

    def start_all(number: int) -> None:
        for group in groups:
            start_flow("limited", group)

    in_processes(PROCESSES, start_all)

    assert [FlowRun.objects.about(group).count() for group in groups] == [2, 2, 2]


@pytest.mark.usefixtures("_ping")
def test_triggers_fired_at_once_are_admitted_up_to_the_limit_by_whoever_works() -> None:
    flow(concurrent=3)

    def fire_and_work(number: int) -> None:
        for _ in range(5):
            fire_trigger("crossing.ping")
        continue_flowruns()

    in_processes(PROCESSES, fire_and_work)
    continue_flowruns()

    runs = FlowRun.objects.all()
    assert runs.count() == PROCESSES * 5
    assert runs.filter(status="waiting").count() == 3
    discarded = runs.filter(status="discarded")
    assert discarded.count() == PROCESSES * 5 - 3
    assert set(discarded.values_list("reason", flat=True)) == {"Not started: limit concurrent=3 is reached."}


@pytest.mark.usefixtures("_ping")
def test_one_key_makes_one_run_however_many_start_it_at_once() -> None:
    flow()
    answers = multiprocessing.get_context("fork").Queue()

    def start_with_the_key(number: int) -> None:
        match start_flow("limited", key="order 7"):
            case Started(run=run, is_new=is_new):
                answers.put((run.pk, is_new))
        answers.close()
        answers.join_thread()

    in_processes(PROCESSES, start_with_the_key)

    run = FlowRun.objects.get()
    told = [answers.get(timeout=5) for _ in range(PROCESSES)]
    assert sorted(told) == sorted([(run.pk, True)] + [(run.pk, False)] * (PROCESSES - 1))


@pytest.mark.usefixtures("_ping")
def test_several_workers_execute_every_run_once() -> None:
    import_flow(
        {
            "flowcontrol": 1,
            "slug": "counted",
            "name": "Counted",
            "steps": [
                {
                    "id": "one",
                    "action": "builtin.update_state",
                    "config": {"state": {"n": "n|add:1"}, "evaluate": True},
                }
            ],
        }
    )
    for _ in range(200):
        start_flow("counted", state={"n": 0})

    in_processes(4, lambda number: continue_flowruns() and None)

    runs = FlowRun.objects.all()
    assert {(run.status, run.state["n"]) for run in runs} == {("completed", 1)}
    assert {len(run.history()) for run in runs} == {1}
