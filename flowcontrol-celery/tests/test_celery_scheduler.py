"""What the scheduler sends, where to, and what it says about a project's Celery app."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from queue import Empty
from typing import Any

import celery_test_app
import flowcontrol_celery
import pytest
from celery import Celery
from django.core.checks import run_checks
from django.db import transaction
from flowcontrol import tasks as core_tasks
from flowcontrol.documents import import_flow
from flowcontrol.engine import start_flow
from flowcontrol.exceptions import ConfigurationError
from flowcontrol.models import FlowRun, Worker
from flowcontrol.plugins.entry_points import installed_plugins
from flowcontrol.plugins.loader import isolated_plugins
from flowcontrol.schedulers import forget_scheduler, get_scheduler
from flowcontrol_celery import beat_schedule, tasks, worker
from flowcontrol_celery.schedule import CONTINUE, EXECUTE
from flowcontrol_celery.scheduler import CeleryScheduler
from kombu import Connection

pytestmark = pytest.mark.django_db(transaction=True)

#: A broker in this process: messages are real, and nobody takes them.
memory = Celery("memory", broker="memory://", set_as_current=False)
#: Nobody listens there.
away = Celery("away", broker="amqp://guest@127.0.0.1:1//", set_as_current=False)


@pytest.fixture
def use(settings: Any) -> Iterator[Callable[..., CeleryScheduler]]:
    """Make Celery the scheduler, with options; on the broker in memory unless they say otherwise."""

    def choose(**options: Any) -> CeleryScheduler:
        settings.FLOWCONTROL = {
            "PLUGINS": ["celery", "flowcontrol.testing.probes"],
            "SCHEDULER": "celery",
            "SCHEDULERS": {"celery": {"app": f"{__name__}:memory", **options}},
        }
        forget_scheduler()
        scheduler = get_scheduler()
        assert isinstance(scheduler, CeleryScheduler)
        return scheduler

    settings.FLOWCONTROL = {"PLUGINS": ["celery", "flowcontrol.testing.probes"]}
    memory.conf.task_default_queue = f"test-{uuid.uuid4().hex}"
    with isolated_plugins(installed_plugins(), None):
        yield choose
    forget_scheduler()


def sent(queue: str | None = None) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Name, arguments and properties of the messages in a queue, which is empty afterwards."""
    found = []
    with Connection("memory://") as connection:
        box = connection.SimpleQueue(queue or memory.conf.task_default_queue)
        try:
            while True:
                message = box.get(block=False)
                found.append((message.headers["task"], message.payload[1], message.properties))
                message.ack()
        except Empty:
            box.close()
    return found


def flow(slug: str, **more: Any) -> None:
    import_flow({"flowcontrol": 1, "slug": slug, "name": slug, "steps": [], **more})


def start(slug: str, count: int = 1) -> list[int]:
    return [start_flow(slug).run.pk for _ in range(count)]  # type: ignore[union-attr]


# -- messages ----------------------------------------------------------------------------------------------------


def test_a_run_is_sent_by_its_id_after_the_commit_and_nothing_else_is_in_the_message(
    use: Callable[..., Any],
) -> None:
    use()
    flow("a")
    with transaction.atomic():
        (run,) = start("a")
        assert sent() == []
    ((name, arguments, _),) = sent()
    assert (name, arguments) == (EXECUTE, {"run_ids": [run]})


def test_runs_are_sent_in_batches_to_the_queue_of_their_flow_urgent_ones_first(
    use: Callable[..., Any],
) -> None:
    scheduler = use(batch=2, queues={"mail": "mailers"})
    flow("a")
    flow("b", queue="mail", priority=3)
    with transaction.atomic():
        plain, mail = start("a", 5), start("b", 1)
    sent()
    sent("mailers")
    scheduler.runs_ready([*plain, *mail])
    assert [arguments["run_ids"] for _, arguments, _ in sent()] == [plain[:2], plain[2:4], plain[4:]]
    ((_, arguments, properties),) = sent("mailers")
    assert arguments["run_ids"] == mail
    assert properties["priority"] == 3


def test_more_messages_than_allowed_are_left_to_the_tick(use: Callable[..., Any]) -> None:
    use(messages_per_second=2)
    flow("a")
    start("a", 10)
    assert 2 <= len(sent()) < 10


def test_a_broker_that_is_away_hurts_nobody_and_is_left_alone_for_a_while(
    use: Callable[..., Any], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler = use(app=f"{__name__}:away")
    flow("a")
    with caplog.at_level(logging.WARNING, "flowcontrol.celery"):
        start("a", 3)
    assert [record.message for record in caplog.records if "message not sent" in record.message] == [
        caplog.records[0].message
    ], "the second and third were not even tried"
    assert FlowRun.objects.filter(status="pending").count() == 3
    health = scheduler.health()
    assert not health.is_well
    assert "broker does not answer" in health.summary
    assert health.facts["broker"] is False


# -- the tasks ---------------------------------------------------------------------------------------------------


def test_the_tick_executes_what_is_due_and_calls_for_as_many_workers_as_there_is_work_for(
    use: Callable[..., Any],
) -> None:
    use(batch=10, spread=3, messages_per_second=0.001)
    flow("a")
    start("a", 35)
    sent()
    assert memory.tasks[CONTINUE]() == 35
    messages = sent()
    assert [name for name, _, _ in messages] == [CONTINUE] * 3
    assert {str(arguments) for _, arguments, _ in messages} == {"{'queues': [], 'spread': False}"}
    assert FlowRun.objects.filter(status="completed").count() == 35
    assert memory.tasks[CONTINUE]() == 0
    assert sent() == [], "nobody is called for when nothing is due"


def test_the_tick_leaves_queues_that_have_workers_of_their_own_to_these(use: Callable[..., Any]) -> None:
    use(queues={"mail": "mailers"}, messages_per_second=0.001)
    flow("a")
    flow("b", queue="mail")
    start("a", 2)
    start("b", 2)
    sent()
    sent("mailers")
    assert memory.tasks[CONTINUE]() == 2
    ((name, arguments, _),) = sent("mailers")
    assert (name, arguments) == (CONTINUE, {"queues": ["mail"], "spread": False})
    assert set(FlowRun.objects.filter(flow__slug="b").values_list("status", flat=True)) == {"pending"}
    assert memory.tasks[CONTINUE](**arguments) == 2


def test_runs_that_are_not_there_or_not_due_are_no_error(use: Callable[..., Any]) -> None:
    use()
    flow("a")
    (run,) = start("a")
    assert memory.tasks[EXECUTE]([run, run + 1]) == 1
    assert memory.tasks[EXECUTE]([run, run + 1]) == 0


def test_a_task_ends_after_its_slice_and_hands_back_the_rest(use: Callable[..., Any]) -> None:
    use(slice_seconds=1e-6)
    flow("a")
    start("a", 3)
    assert memory.tasks[CONTINUE]() == 0
    assert set(FlowRun.objects.values_list("status", flat=True)) == {"pending"}


def test_a_worker_that_was_told_to_stop_begins_nothing(use: Callable[..., Any]) -> None:
    use()
    flow("a")
    start("a")
    worker._on_shutting_down()
    try:
        assert memory.tasks[CONTINUE]() == 0
    finally:
        worker._on_init()
    assert memory.tasks[CONTINUE]() == 1


def test_a_process_of_a_worker_is_among_the_workers(use: Callable[..., Any]) -> None:
    use()
    worker._on_process_init()
    try:
        (row,) = Worker.objects.all()
        assert "celery" in row.plugins
    finally:
        worker._on_end()
    assert Worker.objects.count() == 0


def test_messages_that_were_on_their_way_are_executed_after_a_change_of_the_scheduler(
    use: Callable[..., Any], settings: Any
) -> None:
    use()
    flow("a")
    (run,) = start("a")
    settings.FLOWCONTROL = {**settings.FLOWCONTROL, "SCHEDULER": "polling"}
    forget_scheduler()
    assert memory.tasks[EXECUTE]([run]) == 1


def test_the_task_is_where_the_core_says(use: Callable[..., Any]) -> None:
    use()
    assert core_tasks.continue_flowruns_task.name == CONTINUE == tasks.continue_flowruns_task.name
    flow("a")
    start("a")
    assert core_tasks.continue_flowruns_task() == 1


@pytest.mark.parametrize("name", [CONTINUE, EXECUTE])
def test_a_message_is_acknowledged_late_and_comes_back_when_its_worker_dies(name: str) -> None:
    task = memory.tasks[name]
    assert (task.acks_late, task.reject_on_worker_lost, task.ignore_result) == (True, True, True)


# -- options and checks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("batch", 0, "it has to be a whole number, 1 or more"),
        ("spread", -1, "it has to be a whole number, 0 or more"),
        ("threads", 1.5, "it has to be a whole number, 0 or more"),
        ("slice_seconds", 0, "it has to be seconds, more than 0"),
        ("messages_per_second", "many", "it has to be a number above 0"),
        ("queues", {"mail": 3}, "it has to be a mapping of a flow's queue to one of Celery's"),
        ("app", 3, 'it has to be the path of a Celery app, "shop.celery:app"'),
    ],
)
def test_an_option_that_cannot_be_used_is_named(option: str, value: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=f'"{option}"') as raised:
        CeleryScheduler(**{option: value})
    assert says in str(raised.value)


def found(prefix: str = "flowcontrol_celery") -> dict[str, str]:
    return {
        str(each.id).removeprefix(f"{prefix}."): each.msg
        for each in run_checks()
        if str(each.id).startswith(f"{prefix}.")
    }


@pytest.mark.parametrize("app", ["nothing.of.this:name", "flowcontrol:plugins"])
def test_an_app_that_is_none_is_an_error_of_the_check(use: Callable[..., Any], app: str) -> None:
    use(app=app)
    (message,) = found().values()
    assert f'["app"] is "{app}"' in message


def test_an_app_without_a_beat_entry_is_warned_of(use: Callable[..., Any]) -> None:
    use()
    assert list(found()) == ["W002"]
    use(app="celery_test_app:rabbitmq")
    assert found() == {}


def test_eager_tasks_forgetful_brokers_and_short_limits_are_warned_of(
    use: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    use(app="celery_test_app:redis")
    assert found() == {}
    conf = celery_test_app.redis.conf
    monkeypatch.setitem(conf, "broker_transport_options", {})
    monkeypatch.setitem(conf, "task_always_eager", True)
    monkeypatch.setitem(conf, "task_time_limit", 10)
    monkeypatch.setitem(conf, "broker_url", "redis://127.0.0.1:6379/0")
    assert sorted(found()) == ["W001", "W003", "W004"]


def test_a_project_without_a_celery_app_is_told_how_to_get_one() -> None:
    code = (
        "import django; django.setup(); from django.core.checks import run_checks;"
        "print(*sorted({str(each.id) for each in run_checks() if 'celery' in str(each.id)}))"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "DJANGO_SETTINGS_MODULE": "celery_test_settings",
        "CELERY_TEST_DATABASE": json.dumps({"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}),
        "CELERY_TEST_FLOWCONTROL": json.dumps({"SCHEDULER": "celery"}),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["flowcontrol_celery.E002", "flowcontrol_celery.W002"], done.stderr


def test_a_project_with_another_scheduler_hears_nothing(settings: Any) -> None:
    settings.FLOWCONTROL = {"SCHEDULER": "polling"}
    forget_scheduler()
    assert found() == {}


# -- settings ----------------------------------------------------------------------------------------------------


def test_the_beat_entry_has_the_task_and_expires_when_the_next_one_comes() -> None:
    (entry,) = beat_schedule(2, queue="ticks").values()
    assert entry == {"task": CONTINUE, "schedule": 2.0, "options": {"expires": 2.0, "queue": "ticks"}}


@pytest.mark.parametrize("seconds", [0, -1, "5", True, None])
def test_a_beat_that_never_comes_is_refused(seconds: Any) -> None:
    with pytest.raises(ValueError, match="it has to be a number above 0"):
        beat_schedule(seconds)


def test_settings_that_read_the_schedule_import_neither_celery_nor_models() -> None:
    code = (
        "import sys, flowcontrol_celery; flowcontrol_celery.beat_schedule(); "
        "print({name.partition('.')[0] for name in sys.modules} & {'celery', 'django', 'flowcontrol'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("set()\n", "")
    assert flowcontrol_celery.__all__ == ["beat_schedule"]
