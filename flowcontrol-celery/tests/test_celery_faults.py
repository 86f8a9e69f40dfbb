"""What may happen to workers, beats, brokers and messages: no run is lost, and none is executed twice."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import celery_test_app
import pytest
from celery_processes import Processes, until
from django.db import connections, transaction
from flowcontrol.documents import import_flow
from flowcontrol.engine import continue_flowruns, start_flow
from flowcontrol.engine.polling import PollingScheduler
from flowcontrol.models import FlowRun, Worker
from flowcontrol.plugins.entry_points import installed_plugins
from flowcontrol.plugins.loader import isolated_plugins
from flowcontrol.schedulers import forget_scheduler, get_scheduler
from flowcontrol.testing.probes import read_marks
from flowcontrol_celery.schedule import CONTINUE
from own_brokers import OwnBroker, RabbitMQ, Redis

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.postgresql,
    pytest.mark.mariadb,
]

BROKERS = [
    pytest.param("rabbitmq", marks=pytest.mark.rabbitmq),
    pytest.param("redis", marks=pytest.mark.redis),
]

#: ``FLOWCONTROL_FULL_SIZE=1`` for what takes minutes.
IS_FULL = os.environ.get("FLOWCONTROL_FULL_SIZE") == "1"
RUNS = 5_000 if IS_FULL else 500
OUTAGES = 20 if IS_FULL else 2
#: Schedulers beside Celery's workers, half of them in the tests' process as callers of the engine.
CROWDS = [2, 4, 8] if IS_FULL else [4]


class World:
    """Flows, runs, and who executes them."""

    def __init__(self, folder: Path, settings: Any, broker: str, *, url: str = "") -> None:
        self.settings = settings
        self.marks = folder / "marks"
        self.processes = Processes(folder, broker, broker=url)
        self.choose("celery", {"app": f"celery_test_app:{broker}"})
        mark = {"action": "probes.mark", "config": {"file": str(self.marks)}}
        self.flow("three", [{"id": f"step{number}", **mark} for number in range(3)])
        slow = {"action": "probes.mark", "config": {"file": str(self.marks), "seconds": 0.05}}
        self.flow("slow", [{"id": f"step{number}", **slow} for number in range(3)])

    def choose(self, scheduler: str, options: dict[str, Any], lease: int = 3) -> None:
        self.settings.FLOWCONTROL = {
            "PLUGINS": ["celery", "flowcontrol.testing.probes"],
            "SCHEDULER": scheduler,
            "SCHEDULERS": {scheduler: options},
            "LEASE_SECONDS": lease,
            "WORKER_HEARTBEAT_SECONDS": 1,
            "BLOCKED_RECHECK_SECONDS": 1,
        }
        forget_scheduler()

    def flow(self, slug: str, steps: list[dict[str, Any]]) -> None:
        import_flow({"flowcontrol": 1, "slug": slug, "name": slug, "steps": steps})

    def start(self, slug: str, count: int) -> list[int]:
        with transaction.atomic():
            return [start_flow(slug).run.pk for _ in range(count)]  # type: ignore[union-attr]

    def completed(self) -> int:
        return FlowRun.objects.filter(status="completed").count()

    def await_completed(
        self,
        count: int,
        seconds: float = 900 if IS_FULL else 120,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> None:
        def is_done() -> bool:
            meanwhile()
            return self.completed() == count

        try:
            until(is_done, f"{count} runs completed", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.completed()} are\n{self.processes.tails()}") from error

    def extras(self, runs: list[int]) -> int:
        """How often a step was executed once more than once; fails when one never was."""
        times = Counter(read_marks(self.marks))
        missing = {(run, f"step{number}") for run in runs for number in range(3)} - set(times)
        assert not missing
        return sum(count - 1 for count in times.values())


@pytest.fixture
def world(tmp_path: Path, settings: Any, request: pytest.FixtureRequest) -> Iterator[World]:
    settings.FLOWCONTROL = {"PLUGINS": ["celery", "flowcontrol.testing.probes"]}
    with isolated_plugins(installed_plugins(), None):
        made = World(tmp_path, settings, request.param)
        made.processes.purge()
        yield made
        made.processes.close()
    forget_scheduler()


def each_broker(test: Callable[..., None]) -> Callable[..., None]:
    return pytest.mark.parametrize("world", BROKERS, indirect=True)(test)


@each_broker
def test_workers_are_killed_queues_purged_and_messages_doubled_under_two_beats(world: World) -> None:
    dice = random.Random(9)
    processes = world.processes
    workers = [processes.worker(concurrency=2, wait=False) for _ in range(2)]
    for _ in range(2):
        processes.beat()
    processes.ready(*workers)
    runs: list[int] = []
    kills = 0
    while len(runs) < RUNS:
        new = world.start("three", 50)
        runs += new
        get_scheduler().runs_ready(list(reversed(new)))
        deed = dice.randrange(4)
        if deed == 0:
            processes.purge()
        elif deed == 1:
            kills += 2
            processes.kill_children(dice.choice(workers))
        elif deed == 2:
            kills += 2
            gone = workers.pop(0)
            processes.kill(gone)
            workers.append(processes.worker(concurrency=2))
    assert kills
    world.await_completed(RUNS)
    # Between the effect and the checkpoint, each killed process had one step under way at most.
    assert world.extras(runs) <= kills
    assert set(processes.stop(*workers)) == {0}
    assert not FlowRun.objects.filter(status="running").exists()


@pytest.mark.parametrize("crowd", CROWDS)
@each_broker
def test_celery_pollers_and_callers_at_once_execute_nothing_twice(world: World, crowd: int) -> None:
    # Nobody dies here, and a lease that passes on a machine that is too busy to renew it is no second claim.
    world.choose("celery", world.settings.FLOWCONTROL["SCHEDULERS"]["celery"], lease=60)
    processes = world.processes
    workers = [processes.worker("-B", "--schedule", str(processes.folder / "b"), concurrency=2, wait=False)]
    workers.append(processes.worker(concurrency=2, wait=False))
    pollers = [PollingScheduler(poll_seconds=0.05) for _ in range(crowd // 2)]
    is_over = threading.Event()
    callers = [threading.Thread(target=call_until, args=[is_over]) for _ in range(crowd // 2)]
    for each in (*pollers, *callers):
        each.start()
    try:
        runs = [run for _ in range(RUNS // 50) for run in world.start("three", 50)]
        world.await_completed(RUNS)
    finally:
        is_over.set()
        stopped = [poller.stop(30) for poller in pollers]
        for caller in callers:
            caller.join(30)
    assert all(stopped)
    assert world.extras(runs) == 0
    assert set(processes.stop(*workers)) == {0}


def call_until(is_over: threading.Event) -> None:
    """What a view or a cron job of the project's may do, again and again."""
    while not is_over.wait(0.05):
        continue_flowruns(should_stop=is_over.is_set)
    connections.close_all()


@each_broker
def test_switching_the_scheduler_with_runs_in_flight_loses_none(world: World) -> None:
    """From Celery to ``manage.py flowcontrol worker`` and back; each is told to stop in the middle."""
    celery = dict(world.settings.FLOWCONTROL["SCHEDULERS"]["celery"])
    first = world.start("slow", 40)
    worker = world.processes.worker("-B", "--schedule", str(world.processes.folder / "b"), concurrency=2)
    until(world.completed, "Celery has completed some")
    assert world.processes.stop(worker) == [0]
    left = 40 - world.completed()
    world.choose("polling", {"poll_seconds": 0.05})
    second = world.start("slow", 20)
    poller = world.processes.poller()
    until(lambda: world.completed() > 40 - left, "the poller has completed some")
    assert world.processes.stop(poller) == [0]
    world.choose("celery", celery)
    third = world.start("slow", 20)
    world.processes.worker("-B", "--schedule", str(world.processes.folder / "b"), concurrency=2)
    world.await_completed(80)
    assert world.extras([*first, *second, *third]) == 0


@each_broker
def test_an_old_worker_during_a_deploy_leaves_what_it_cannot_run_to_the_new_one(world: World) -> None:
    old = {**world.settings.FLOWCONTROL, "PLUGINS": ["celery"]}
    world.processes.worker(concurrency=1, flowcontrol=old)
    world.processes.beat()
    runs = world.start("three", RUNS // 2)
    until(
        lambda: FlowRun.objects.filter(status="blocked").exists(),
        "the old worker found that it lacks an action",
    )
    world.processes.worker(concurrency=1)
    runs += world.start("three", RUNS // 2)
    world.await_completed(RUNS)
    assert world.extras(runs) == 0


@each_broker
def test_health_and_rows_tell_who_is_at_work(world: World) -> None:
    scheduler = get_scheduler()
    assert "No worker answers" in scheduler.health().summary
    worker = world.processes.worker(concurrency=2)
    until(lambda: Worker.objects.count() == 2, "a row for each process")
    health = scheduler.health()
    assert health.is_well
    assert len(health.facts["workers"]) == 1
    assert world.processes.stop(worker) == [0]
    assert Worker.objects.count() == 0


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(RabbitMQ, marks=[pytest.mark.rabbitmq, pytest.mark.slow], id="rabbitmq"),
        pytest.param(Redis, marks=pytest.mark.redis, id="redis"),
    ],
)
def test_a_broker_that_is_killed_and_comes_back_loses_no_run_and_hurts_no_caller(
    tmp_path: Path, settings: Any, kind: type[OwnBroker], monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = kind(tmp_path)
    broker.start()
    monkeypatch.setattr(celery_test_app, "own", celery_test_app.make(broker.url), raising=False)
    settings.FLOWCONTROL = {"PLUGINS": ["celery", "flowcontrol.testing.probes"]}
    with isolated_plugins(installed_plugins(), None):
        world = World(tmp_path, settings, "redis", url=broker.url)
        world.choose("celery", {"app": "celery_test_app:own"})
        # In the workers, each app has the server's address.
        flowcontrol = {**settings.FLOWCONTROL, "SCHEDULERS": {"celery": {"app": "celery_test_app:redis"}}}

        def working() -> Any:
            return world.processes.worker(
                "-B", "--schedule", str(tmp_path / "b"), concurrency=2, flowcontrol=flowcontrol
            )

        def keep_alive() -> None:
            # Kombu ends a worker whose broker dies amid an acknowledgement, by an AttributeError of its own
            # ("Unrecoverable error"). Whatever keeps services alive starts it again.
            if workers[-1].poll() is not None:
                workers.append(working())

        try:
            workers = [working()]
            runs: list[int] = []
            for _ in range(OUTAGES):
                runs += world.start("three", 125)
                broker.kill()
                began = time.monotonic()
                runs += world.start("three", 125)
                assert time.monotonic() - began < 10, "whoever starts runs does not wait for the broker"
                assert "does not answer" in get_scheduler().health().summary
                broker.start()
                world.await_completed(len(runs), meanwhile=keep_alive)
            assert world.extras(runs) == 0
        finally:
            world.processes.close()
            broker.kill()
    forget_scheduler()


@pytest.mark.rabbitmq
def test_django_celery_beat_takes_the_entry(tmp_path: Path) -> None:
    """It keeps entries in the database, and sends what they say."""
    pytest.importorskip(
        "django_celery_beat", reason="no django-celery-beat: see requirements-slow-to-follow.txt"
    )
    file = tmp_path / "beat.sqlite3"
    (tmp_path / "beat_settings.py").write_text(
        "from flowcontrol_tests.settings import *\n"
        f"DATABASES = {{'default': {{'ENGINE': 'django.db.backends.sqlite3', 'NAME': {str(file)!r}}}}}\n"
        "INSTALLED_APPS += ['django_celery_beat']\n"
    )
    queue = f"flowcontrol-beat-{os.getpid()}"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
        "DJANGO_SETTINGS_MODULE": "beat_settings",
        "CELERY_TEST_QUEUE": queue,
    }
    migrate = [sys.executable, "-m", "django", "migrate", "--verbosity", "0"]
    subprocess.run(migrate, env=environment, cwd=tmp_path, check=True)
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "celery_test_app:rabbitmq",
        "beat",
        "-S",
        "django",
    ]
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=log) as beat,
        celery_test_app.rabbitmq.connection_for_read() as connection,
    ):
        try:
            box = connection.SimpleQueue(queue)
            message = box.get(timeout=60)
            message.ack()
            box.queue.delete()
            assert message.headers["task"] == CONTINUE
        finally:
            beat.send_signal(signal.SIGTERM)
    with sqlite3.connect(file) as database:
        query = "SELECT task FROM django_celery_beat_periodictask WHERE name = 'flowcontrol'"
        assert database.execute(query).fetchall() == [(CONTINUE,)]
    database.close()
