"""Which messages the scheduler sends and which it spares, how the tick comes back, and what it says of ``TASKS``."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone
from django_tasks_db.models import DBTaskResult
from flowcontrol.base import BaseAction
from flowcontrol.documents import import_flow
from flowcontrol.engine import start_flow
from flowcontrol.exceptions import ConfigurationError
from flowcontrol.models import FlowRun, Worker
from flowcontrol.plugins.entry_points import installed_plugins
from flowcontrol.plugins.loader import isolated_plugins
from flowcontrol.registry import preserved, register_action
from flowcontrol.schedulers import forget_scheduler, get_scheduler
from flowcontrol_django_tasks import framework
from flowcontrol_django_tasks.models import Bell, Tick
from flowcontrol_django_tasks.process import this_process
from flowcontrol_django_tasks.scheduler import DjangoTasksScheduler

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def use(settings: Any) -> Iterator[Callable[..., DjangoTasksScheduler]]:
    """Make Django's tasks the scheduler, with options."""

    def choose(**options: Any) -> DjangoTasksScheduler:
        settings.FLOWCONTROL = {
            "PLUGINS": ["django_tasks", "flowcontrol.testing.probes"],
            "SCHEDULER": "django_tasks",
            "SCHEDULERS": {"django_tasks": options},
        }
        forget_scheduler()
        scheduler = get_scheduler()
        assert isinstance(scheduler, DjangoTasksScheduler)
        return scheduler

    settings.FLOWCONTROL = {"PLUGINS": ["django_tasks", "flowcontrol.testing.probes"]}
    with isolated_plugins(installed_plugins(), None):
        yield choose
    this_process.end()
    forget_scheduler()


def flow(slug: str, *steps: dict[str, Any], **more: Any) -> None:
    import_flow({"flowcontrol": 1, "slug": slug, "name": slug, "steps": list(steps), **more})


def start(slug: str, count: int = 1) -> list[int]:
    return [start_flow(slug).run.pk for _ in range(count)]  # type: ignore[union-attr]


def sent() -> list[dict[str, Any]]:
    """The arguments of messages that nobody took, oldest first; they count as taken from now on. No spare ones."""
    rows = DBTaskResult.objects.filter(status="READY")
    found = list(rows.order_by("enqueued_at").values_list("args_kwargs", flat=True))
    rows.update(status="SUCCESSFUL")
    return [each["kwargs"] for each in found if "spare" not in each["kwargs"]]


def ticks() -> list[Any]:
    """The messages on their way, without spare ones."""
    rows = DBTaskResult.objects.filter(status="READY").order_by("enqueued_at")
    return [row for row in rows if "spare" not in row.args_kwargs["kwargs"]]


def calls() -> list[tuple[str, int]]:
    """Queue and bell of the messages that are no ticks."""
    return [(each["queue"], each["bell"]) for each in sent() if "bell" in each]


def take(**arguments: Any) -> int:
    """What a worker does with such a message."""
    task = import_module("flowcontrol_django_tasks.task").continue_flowruns_task
    executed: int = task.call(**arguments)
    return executed


# -- messages ----------------------------------------------------------------------------------------------------


def test_nothing_is_sent_before_the_commit_and_one_message_for_all_runs_after_it(
    use: Callable[..., Any],
) -> None:
    use()
    flow("a")
    with transaction.atomic():
        start("a", 5)
        assert sent() == []
    assert sent() == [{"queue": "default", "bell": 0}, {"queue": "default", "tick": 1}]
    start("a", 5)
    assert sent() == [], "the message that is on its way stands for these runs, too"
    assert take(queue="default", bell=0) == 10
    start("a")
    assert sent() == [{"queue": "default", "bell": 0}], "whoever took the first one may have looked already"


def test_a_message_that_nobody_took_for_long_is_sent_again(use: Callable[..., Any]) -> None:
    use()
    flow("a")
    start("a")
    Bell.objects.update(rung_at=timezone.now() - timedelta(hours=1))
    sent()
    start("a")
    assert calls() == [("default", 0)]


def test_runs_go_to_the_queue_of_their_flow_and_are_executed_by_whom_it_calls(
    use: Callable[..., Any],
) -> None:
    use(queues={"mail": "slow"}, priority=7)
    flow("a")
    flow("b", queue="mail")
    start("a", 2)
    start("b", 3)
    assert set(DBTaskResult.objects.values_list("queue_name", "priority")) == {("default", 7), ("slow", 7)}
    assert calls() == [("default", 0), ("slow", 0)]
    assert take(queue="slow", bell=0) == 3
    assert set(FlowRun.objects.filter(flow__slug="a").values_list("status", flat=True)) == {"pending"}
    assert take(queue="default", bell=0) == 2
    assert take(queue="slow", bell=0) == 0


def test_as_many_workers_are_called_as_there_is_work_for(use: Callable[..., Any]) -> None:
    use(batch=10, spread=2)
    flow("a")
    start("a", 95)
    sent()
    assert take(queue="default", bell=0) == 95
    assert calls() == [("default", 1), ("default", 2)]
    start("a", 25)
    assert calls() == [("default", 0)]
    take(queue="default", bell=0)
    assert calls() == [], "those that were called before have not come yet"


def test_a_tick_calls_workers_to_other_queues_for_what_was_lost(use: Callable[..., Any]) -> None:
    use(queues={"mail": "slow"})
    flow("b", queue="mail")
    start("b")
    sent()
    Bell.objects.update(rung_at=None)
    assert take(queue="default", tick=1) == 0
    assert ("slow", 0) in calls()


def test_a_task_ends_after_its_slice_and_another_message_goes_on(use: Callable[..., Any]) -> None:
    use(slice_seconds=1e-6)
    flow("a")
    start("a", 3)
    sent()
    assert take(queue="default", bell=0) == 0
    assert calls() == [("default", 0)]
    assert set(FlowRun.objects.values_list("status", flat=True)) == {"pending"}


def test_a_backend_that_is_away_hurts_nobody_and_is_left_alone_for_a_while(
    use: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = use()
    tried = []

    def away(*arguments: Any) -> None:
        tried.append(arguments)
        raise OSError("no connection")

    monkeypatch.setattr(type(scheduler.backend), "enqueue", away)
    flow("a")
    with caplog.at_level(logging.WARNING, "flowcontrol.django_tasks"):
        start("a", 3)
    assert len(tried) == 1, "the second and third were not even tried"
    assert "no connection" in caplog.text
    assert Bell.objects.get().rung_at is None, "so that the next run is told of"


# -- the tick ----------------------------------------------------------------------------------------------------


def test_a_tick_is_followed_by_one_and_a_doubled_or_late_one_by_none(use: Callable[..., Any]) -> None:
    scheduler = use(tick_seconds=50)
    scheduler.start()
    scheduler.start()
    assert sent() == [{"queue": "default", "tick": 1}]
    take(queue="default", tick=1)
    (row,) = ticks()
    assert 45 < (row.run_after - timezone.now()).total_seconds() <= 50
    assert sent() == [{"queue": "default", "tick": 2}]
    take(queue="default", tick=1)
    assert sent() == []


def test_a_tick_that_a_killed_worker_took_with_it_is_made_up_for_by_its_spare_one(
    use: Callable[..., Any],
) -> None:
    use(tick_seconds=50).start()
    (first, spare) = DBTaskResult.objects.filter(status="READY").order_by("enqueued_at")
    assert spare.args_kwargs["kwargs"] == {"queue": "default", "tick": 1, "spare": True}
    assert 5 < (spare.run_after - timezone.now()).total_seconds() <= 10
    first.delete()
    take(**spare.args_kwargs["kwargs"])
    assert {"queue": "default", "tick": 2} in sent()
    take(queue="default", tick=2)
    assert sent() == [{"queue": "default", "tick": 3}]
    take(queue="default", tick=2, spare=True)
    assert sent() == [], "the first one came"


def test_a_tick_that_cannot_be_sent_leaves_the_one_before_it_good(
    use: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler = use(tick_seconds=50)
    scheduler.start()
    with monkeypatch.context() as patched:
        patched.setattr(scheduler, "_send", lambda *_, **__: False)
        take(queue="default", tick=1)
    sent()
    take(queue="default", tick=1, spare=True)
    assert sent() == [{"queue": "default", "tick": 2}]


def test_a_tick_that_was_lost_is_sent_anew_by_whoever_starts_a_run(use: Callable[..., Any]) -> None:
    scheduler = use()
    flow("a")
    start("a")
    sent()
    Tick.objects.update(due_at=timezone.now() - timedelta(seconds=55))
    scheduler.start()
    assert sent() == [], "a worker that has much to do may still take it"
    Tick.objects.update(due_at=timezone.now() - timedelta(seconds=65))
    use()
    start("a")
    assert {"queue": "default", "tick": 2} in sent()


def test_a_deployment_sends_it_and_one_with_another_scheduler_does_not(
    use: Callable[..., Any], settings: Any
) -> None:
    use()
    call_command("migrate", verbosity=0)
    assert sent() == [{"queue": "default", "tick": 1}]
    Tick.objects.all().delete()
    settings.FLOWCONTROL = {**settings.FLOWCONTROL, "SCHEDULER": "polling"}
    forget_scheduler()
    call_command("migrate", verbosity=0)
    assert sent() == []


def test_it_comes_when_the_next_run_is_due_and_not_twice(use: Callable[..., Any]) -> None:
    use(tick_seconds=50)
    flow("pausing", {"id": "pause", "action": "probes.pause", "config": {"seconds": 20}})
    start("pausing", 2)
    sent()
    take(queue="default", tick=1)
    rows = ticks()
    assert [row.args_kwargs["kwargs"]["tick"] for row in rows] == [2, 3]
    assert 15 < (rows[1].run_after - timezone.now()).total_seconds() <= 21
    sent()
    take(queue="default", bell=0)
    assert sent() == []
    take(queue="default", tick=2)
    assert sent() == [], "the one that the third stands in for"


# -- a worker ----------------------------------------------------------------------------------------------------


class Stopping(BaseAction):
    """Tells its own process to stop."""

    name = "test.stopping"

    def run(self, context: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_ends_the_task_after_the_step_at_hand_and_reaches_the_worker_as_well(
    use: Callable[..., Any],
) -> None:
    use()
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    mine = signal.getsignal(signal.SIGTERM)
    try:
        with preserved():
            register_action(Stopping)
            flow("a", {"id": "one", "action": "test.stopping"}, {"id": "two", "action": "test.stopping"})
            start("a", 3)
            sent()
            assert take(queue="default", bell=0) == 1
    finally:
        assert signal.signal(signal.SIGTERM, before) is mine
    assert heard == [signal.SIGTERM]
    assert set(FlowRun.objects.values_list("status", flat=True)) == {"pending"}
    assert calls() == [("default", 0)], "another worker goes on"


def test_a_process_that_executes_tasks_is_among_the_workers_until_it_ends(use: Callable[..., Any]) -> None:
    use()
    take(queue="default", bell=0)
    take(queue="default", bell=0)
    (row,) = Worker.objects.all()
    assert "django_tasks" in row.plugins
    this_process.end()
    assert Worker.objects.count() == 0


def test_a_message_that_was_on_its_way_is_executed_after_a_change_of_the_scheduler(
    use: Callable[..., Any], settings: Any
) -> None:
    use()
    flow("a")
    start("a")
    settings.FLOWCONTROL = {**settings.FLOWCONTROL, "SCHEDULER": "polling"}
    forget_scheduler()
    assert take(queue="default", bell=0) == 1


def test_with_django_s_default_backend_a_run_is_executed_at_once(use: Callable[..., Any]) -> None:
    use(backend="immediate")
    flow("a")
    start("a")
    assert FlowRun.objects.get().status == "completed"
    assert (Worker.objects.count(), Tick.objects.count()) == (0, 0)


# -- options, checks and health ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("backend", "", "it has to be the name of a backend in settings.TASKS"),
        ("queue", 3, "it has to be the name of a queue of that backend"),
        ("queues", {"mail": 3}, "it has to be a mapping of a flow's queue to one of the backend's"),
        ("priority", 101, "it has to be a whole number from -100 to 100"),
        ("batch", 0, "it has to be a whole number, 1 or more"),
        ("spread", -1, "it has to be a whole number, 0 or more"),
        ("threads", 1.5, "it has to be a whole number, 0 or more"),
        ("slice_seconds", 0, "it has to be seconds, more than 0"),
        ("tick_seconds", "5", "it has to be seconds, more than 0"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(option: str, value: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=f'"{option}"') as raised:
        DjangoTasksScheduler(**{option: value})
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ({}, []),
        ({"backend": "absent"}, ["E001"]),
        ({"backend": "few", "queues": {"mail": "slow"}}, ["E002"]),
        ({"backend": "immediate"}, ["W001", "W002"]),
        ({"backend": "dummy"}, ["W001"]),
    ],
)
def test_checks_say_what_is_wrong_with_the_backend(
    use: Callable[..., Any], options: dict[str, Any], ids: list[str]
) -> None:
    use(**options)
    assert found() == ids


def test_a_priority_for_a_backend_that_has_none_is_an_error(
    use: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(use(priority=3).backend), "supports_priority", False)
    assert found() == ["E003"]


def found() -> list[str]:
    ids = [str(each.id) for each in run_checks(tags=["flowcontrol"])]
    return [each.removeprefix("flowcontrol_django_tasks.") for each in ids if "django_tasks" in each]


def test_a_project_with_another_scheduler_hears_nothing(settings: Any) -> None:
    settings.FLOWCONTROL = {"SCHEDULER": "polling"}
    forget_scheduler()
    assert found() == []


def test_without_django_6_and_the_backport_it_is_said_what_to_install(
    use: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(framework, "task_backends", None)
    with pytest.raises(ConfigurationError, match=r"flowcontrol-django-tasks\[backport\]"):
        use().backend  # noqa: B018  looking is what is tested


def test_health_tells_whether_the_tick_was_taken_and_nothing_is_due_for_long(use: Callable[..., Any]) -> None:
    scheduler = use()
    assert "No tick was ever sent" in scheduler.health().summary
    scheduler.start()
    assert scheduler.health().is_well
    flow("a")
    start("a")
    FlowRun.objects.update(due_at=timezone.now() - timedelta(seconds=90))
    health = scheduler.health()
    assert (health.is_well, health.summary) == (False, "Runs are due for 90 s.")
    Tick.objects.update(due_at=timezone.now() - timedelta(seconds=90))
    health = scheduler.health()
    assert "No worker took the tick" in health.summary
    assert health.hint == "Start a worker: manage.py db_worker"
    assert "has no workers" in use(backend="dummy").health().summary
    assert 'has no backend "absent"' in use(backend="absent").health().summary
