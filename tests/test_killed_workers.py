"""A worker that is killed with SIGKILL in the middle of a step loses nothing and does nothing twice."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection

import pytest
from django.contrib.auth.models import Group
from django.db import connections
from django.test import override_settings
from flowcontrol import registry
from flowcontrol.base import ActionContext, BaseAction, Effect
from flowcontrol.documents import import_flow
from flowcontrol.engine import continue_flowruns, start_flow
from flowcontrol.models import FlowRun

pytestmark = pytest.mark.django_db(transaction=True)

#: Where the worker tells that it is in the middle of a step; None in the process that survives.
TELL: list[Connection] = []


def held_in_the_middle(context: ActionContext) -> None:
    """In the doomed process, tell which step this is and with which key, and stay here until it is killed."""
    if TELL and context.step_id == os.environ["FLOWCONTROL_TEST_DIES_AT"]:
        TELL[0].send(context.idempotency_key)
        signal.pause()


class Write(BaseAction):
    name = "crossing.write"
    effect = Effect.DATABASE

    def run(self, context: ActionContext) -> None:
        Group.objects.create(name=context.idempotency_key)
        context.state["written"] = [*context.state.get("written", []), context.step_id]
        held_in_the_middle(context)


class Call(BaseAction):
    name = "crossing.call"
    effect = Effect.EXTERNAL

    def run(self, context: ActionContext) -> None:
        context.state["called"] = [
            *context.state.get("called", []),
            [context.step_id, context.idempotency_key, context.attempt],
        ]
        held_in_the_middle(context)


@pytest.fixture(autouse=True)
def _actions() -> Iterator[None]:
    with registry.actions.preserved():
        registry.register_action(Write)
        registry.register_action(Call)
        yield


def kill_a_worker_at(step: str) -> str:
    """Let a worker run until it is in the middle of the step, and kill it; the step's key there."""
    connections.close_all()
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)

    def work() -> None:
        TELL.append(theirs)
        os.environ["FLOWCONTROL_TEST_DIES_AT"] = step
        continue_flowruns()

    worker = context.Process(target=work)
    worker.start()
    assert ours.poll(30), "the worker never came to the step"
    key: str = ours.recv()
    worker.kill()
    worker.join(30)
    assert worker.exitcode == -signal.SIGKILL
    return key


def finish() -> FlowRun:
    """Work here until the run ended; its lease, of one second, has to pass first."""
    limit = time.monotonic() + 30
    while FlowRun.objects.live().exists():
        assert time.monotonic() < limit, "nobody goes on with the run"
        continue_flowruns()
    return FlowRun.objects.get()


@pytest.mark.parametrize("step", ["first", "second", "third", "fourth"])
def test_a_run_goes_on_after_its_worker_was_killed_in_the_middle_of_a_step(step: str) -> None:
    steps = [
        {"id": "first", "action": "crossing.write"},
        {"id": "second", "action": "crossing.call"},
        {"id": "third", "action": "crossing.call"},
        {"id": "fourth", "action": "crossing.write"},
    ]
    import_flow({"flowcontrol": 1, "slug": "flow", "name": "Flow", "steps": steps})
    with override_settings(FLOWCONTROL={"LEASE_SECONDS": 1}):
        start_flow("flow")
        key = kill_a_worker_at(step)
        assert FlowRun.objects.get().status == "running", "left as it was"
        done = finish()

    assert done.status == "completed"
    assert done.state["written"] == ["first", "fourth"]
    assert Group.objects.count() == 2, "what a step wrote was rolled back with it, and written once"
    assert [each[0] for each in done.state["called"]] == ["second", "third"]
    attempts = {each[0]: each[2] for each in done.state["called"]}
    assert attempts == {"second": 1, "third": 1, **({step: 2} if step in {"second", "third"} else {})}
    keys = {each[0]: each[1] for each in done.state["called"]}
    if step in keys:
        assert keys[step] == key, "each try of a step has the same key"
    assert [record.step for record in done.history()] == ["first", "second", "third", "fourth"]
