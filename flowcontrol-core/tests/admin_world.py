"""What the tests of the admin look at: flows of every kind, runs in every status, events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.utils import timezone
from engine_actions import ACTIONS, Decide
from flowcontrol import registry
from flowcontrol.base import Fail, StopFlow
from flowcontrol.documents import import_flow
from flowcontrol.engine import Started, cancel_runs, execute_run, fire_trigger, pause_runs, start_flow
from flowcontrol.models import Event, Flow, FlowRun, FlowVersion, HistoryChunk, RunLimit, RunStatus, Trigger
from testapp.models import Customer

__all__ = ["NO_TRIGGERS", "XSS", "flow", "registered", "rows_of_everything", "run_with", "world"]

#: Text that must never reach a page as it is.
XSS = "<script>alert('fc')</script>"


@contextmanager
def registered() -> Iterator[None]:
    """The small actions of the engine's tests, and a trigger type."""
    with registry.actions.preserved(), registry.triggers.preserved():
        for action in ACTIONS:
            registry.register_action(action)
        registry.register_trigger("test.ping", label="Ping")
        Decide.answer.clear()
        yield


def flow(slug: str = "flow", steps: list[dict[str, Any]] | None = None, **keys: Any) -> Flow:
    publish = keys.pop("publish", True)
    document = {"flowcontrol": 1, "slug": slug, "name": slug.capitalize(), "steps": steps or [], **keys}
    return import_flow(document, publish)


def run_with(of: Flow, obj: Any = None, state: dict[str, Any] | None = None) -> FlowRun:
    started = start_flow(of, obj, state)
    assert isinstance(started, Started)
    return execute_run(started.run)


#: What a form of a flow sends of the triggers below it, when none is to be changed.
NO_TRIGGERS = {"triggers-TOTAL_FORMS": "0", "triggers-INITIAL_FORMS": "0"}


def world() -> dict[RunStatus, FlowRun]:
    """A run in every status, and all that goes with them. Needs ``registered``."""
    ada = Customer.objects.create(name=f"Ada {XSS}")
    nested = flow(
        "nested",
        [
            {"id": "put", "action": "test.put", "name": XSS, "config": {"state": {"who": XSS, "n": 0}}},
            {
                "id": "loop",
                "action": "test.rounds",
                "config": {"times": 3},
                "steps": [
                    {"id": "inner", "action": "test.count", "note": XSS},
                    {"id": "off", "action": "test.count", "enabled": False},
                ],
                "branches": {"else": [{"id": "other", "action": "test.count"}]},
            },
            {"id": "decide", "action": "test.decide"},
            {"id": "rest", "action": "test.pause", "config": {"seconds": 3600}},
        ],
        name=f"Nested {XSS}",
        description=f"Everything at once {XSS}",
        object="testapp.customer",
        triggers=[{"on": "test.ping", "condition": "object.points > 3"}],
    )
    waits = flow("waits", [{"id": "rest", "action": "test.pause", "config": {"seconds": 3600}}])
    flow("unpublished", [{"id": "one", "action": "test.count"}], publish=False)
    gone = flow("gone", [{"id": "one", "action": "test.write"}])
    empty = flow("empty")

    Decide.answer["decide"] = lambda context: Fail(f"It broke {XSS}")
    failed = run_with(nested, ada)
    Decide.answer["decide"] = lambda context: StopFlow(f"Enough {XSS}")
    stopped = run_with(nested, ada)
    Decide.answer["decide"] = lambda context: None
    waiting = run_with(nested, ada, {"when": timezone.now(), "who": ada})
    completed = run_with(empty)
    paused, cancelled, discarded, running = (run_with(waits) for _ in range(4))
    pause_runs(paused)
    cancel_runs(cancelled, f"Not needed {XSS}")
    pending = start_flow(waits)
    assert isinstance(pending, Started)
    with registry.actions.preserved():
        registry.actions.unregister("test.write")
        blocked = run_with(gone)
    # No action of the tests ends a run so, or leaves it so; the pages only read what stands there.
    FlowRun.objects.filter(pk=discarded.pk).update(
        status="discarded", ended_at=timezone.now(), due_at=None, wait_until=None, reason="No longer wanted"
    )
    FlowRun.objects.filter(pk=running.pk).update(
        status="running", token="held", due_at=timezone.now() + timedelta(minutes=1), wait_until=None
    )
    FlowRun.objects.filter(pk=failed.pk).update(traceback=f"Traceback {XSS}\nValueError: secret-traceback")
    fire_trigger("test.ping", ada, {"payload": f"secret-payload {XSS}"})
    Event.objects.create(
        name="flowcontrol.start_refused",
        created_at=timezone.now(),
        outcome=[{"flow": "nested", "result": "refused", "reason": "limit", "detail": XSS}],
    )
    runs = {
        RunStatus(run.status): run
        for run in FlowRun.objects.filter(
            pk__in=[
                run.pk
                for run in (
                    failed, stopped, waiting, completed, paused, cancelled, discarded, running, blocked, pending.run,
                )
            ]
        )
    }  # fmt: skip
    assert set(runs) == set(RunStatus)
    return runs


def rows_of_everything() -> dict[str, list[dict[str, Any]]]:
    """All that flowcontrol stores, to compare before and after."""
    return {
        model.__name__: list(model.objects.order_by("pk").values())
        for model in (Flow, FlowVersion, FlowRun, Trigger, Event, HistoryChunk, RunLimit)
    }
