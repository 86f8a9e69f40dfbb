"""What may happen to workers and messages: no run is lost, and none is executed twice."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from django_tasks_db.models import DBTaskResult
from flowcontrol.documents import import_flow
from flowcontrol.engine import start_flow
from flowcontrol.models import FlowRun
from flowcontrol.plugins.entry_points import installed_plugins
from flowcontrol.plugins.loader import isolated_plugins
from flowcontrol.schedulers import forget_scheduler, get_scheduler
from flowcontrol.testing.probes import read_marks
from flowcontrol_django_tasks.models import Tick
from tasks_processes import Processes, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql, pytest.mark.mariadb]

RUNS = 300


@pytest.fixture
def processes(tmp_path: Path, settings: Any) -> Iterator[Processes]:
    settings.FLOWCONTROL = {
        "PLUGINS": ["django_tasks", "flowcontrol.testing.probes"],
        "SCHEDULER": "django_tasks",
        "SCHEDULERS": {"django_tasks": {"tick_seconds": 1}},
        "LEASE_SECONDS": 3,
        "WORKER_HEARTBEAT_SECONDS": 1,
    }
    forget_scheduler()
    with isolated_plugins(installed_plugins(), None):
        mark = {"action": "probes.mark", "config": {"file": str(tmp_path / "marks")}}
        steps = [{"id": f"step{number}", **mark} for number in range(3)]
        import_flow({"flowcontrol": 1, "slug": "three", "name": "Three", "steps": steps})
        made = Processes(tmp_path)
        yield made
        made.close()
    forget_scheduler()


def completed() -> int:
    return FlowRun.objects.filter(status="completed").count()


def start(count: int) -> list[int]:
    with transaction.atomic():
        return [start_flow("three").run.pk for _ in range(count)]  # type: ignore[union-attr]


def test_workers_are_killed_queues_emptied_and_messages_doubled(processes: Processes, tmp_path: Path) -> None:
    dice = random.Random(4)
    workers = [processes.worker() for _ in range(2)]
    processes.ready(*workers)
    runs: list[int] = []
    kills = 0
    while len(runs) < RUNS:
        runs += start(25)
        get_scheduler().runs_ready(runs[-25:])
        deed = dice.randrange(3)
        if deed == 0:
            empty_queues()
        elif deed == 1:
            double_messages()
        else:
            kills += 1
            processes.kill(workers.pop(0))
            workers.append(processes.worker())
        enough = len(runs) - 100
        until(
            lambda enough=enough: completed() >= enough,
            "some are executed, lest all happens to messages alone",
        )
    assert kills
    until(lambda: completed() == RUNS, "all runs are completed", 120)
    times = Counter(read_marks(tmp_path / "marks"))
    assert set(times) == {(run, f"step{number}") for run in runs for number in range(3)}
    # Between the effect and the checkpoint, each killed process had one step under way at most.
    assert sum(count - 1 for count in times.values()) <= kills
    processes.ready(*workers)
    assert set(processes.stop(*workers)) == {0}, processes.logs()


def empty_queues() -> None:
    """All messages are lost, the tick among them; and a while passes, after which somebody starts a run."""
    DBTaskResult.objects.filter(status="READY").delete()
    Tick.objects.update(due_at=timezone.now() - timedelta(minutes=5))
    get_scheduler().start()


def double_messages() -> None:
    kept = ("args_kwargs", "priority", "task_path", "queue_name", "backend_name", "run_after")
    for values in DBTaskResult.objects.filter(status="READY").values(*kept):
        DBTaskResult.objects.create(**values)
