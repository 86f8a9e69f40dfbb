"""The worker: how it waits, what it survives, and how it is stopped; and the Celery task that is not there."""

from __future__ import annotations

import logging
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command_project import Project
from django.db import OperationalError, connections
from django.test import override_settings
from flowcontrol.engine import worker
from flowcontrol.engine.notify import QUIET_SECONDS
from flowcontrol.engine.worker import WorkerLoop, WorkerOptions
from flowcontrol.exceptions import ConfigurationError
from flowcontrol.management.commands.flowcontrol import Command
from flowcontrol.management.subcommands.working import _worker_options
from flowcontrol.plugins.loader import isolated_plugins
from flowcontrol.tasks import continue_flowruns_task

SLOW = """\
flowcontrol: 1
slug: slow
name: Slow
steps:
  - {id: one, action: shop.slow}
  - {id: two, action: shop.slow}
"""

Make = Callable[..., WorkerLoop]


class Bell(threading.Event):
    """Notes how long the worker would sleep, instead of sleeping; stops it after as many sleeps."""

    def __init__(self, loop: WorkerLoop, count: int, *rung: int) -> None:
        super().__init__()
        self.loop = loop
        self.count = count
        #: Numbers of the sleeps that end because it rings.
        self.rung = rung
        self.sleeps: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.sleeps.append(timeout)
        if len(self.sleeps) == self.count:
            self.loop.stop()
        return self.is_set() or len(self.sleeps) in self.rung


class Stop(threading.Event):
    """Notes how long the worker would wait for the database."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waits.append(timeout)
        return self.is_set()


class Nobody:
    """In place of what needs a database."""

    def __init__(self, *arguments: object) -> None:
        self.is_listening = True

    def __getattr__(self, name: str) -> Callable[[], None]:
        return lambda: None


@pytest.fixture
def working(monkeypatch: pytest.MonkeyPatch) -> Callable[..., WorkerLoop]:
    """A worker, and what each of its rounds answers: a number of stretches, or an error."""

    def make(
        *answers: int | Exception,
        sleeps: int = 1,
        rung: tuple[int, ...] = (),
        until_due: tuple[float | None, ...] = (),
        listens: bool = False,
        pruning: Callable[[], Iterator[int]] = lambda: iter(()),
        **options: Any,
    ) -> WorkerLoop:
        left, dues = list(answers), list(until_due)

        class Rounds:
            is_idle = True

            def __init__(self, **arguments: object) -> None:
                pass

            def round(self) -> int:
                answer = left.pop(0) if left else 0
                if isinstance(answer, Exception):
                    raise answer
                return answer

            def close(self) -> None:
                pass

        monkeypatch.setattr(worker, "Rounds", Rounds)
        monkeypatch.setattr(worker, "Presence", Nobody)
        monkeypatch.setattr(worker, "Listener", Nobody)
        monkeypatch.setattr(worker, "can_listen", lambda alias: listens)
        monkeypatch.setattr(worker, "seconds_until_due", lambda queues: dues.pop(0) if dues else None)
        monkeypatch.setattr(worker, "prune_everything", pruning)
        monkeypatch.setattr(worker, "sweep", lambda: None)
        loop = WorkerLoop(WorkerOptions(poll_seconds=8.0), **options)
        loop._bell = Bell(loop, sleeps, *rung)
        loop._stop = Stop()
        return loop

    return make


def slept(loop: WorkerLoop) -> list[float]:
    loop.run()
    assert isinstance(loop._bell, Bell)
    return loop._bell.sleeps


def test_an_idle_worker_looks_less_and_less_often_and_soon_again_after_work(working: Make) -> None:
    loop = working(0, 0, 0, 0, 0, 3, 0, 0, sleeps=7)
    assert slept(loop) == [1.0, 2.0, 4.0, 8.0, 8.0, 1.0, 2.0]
    assert loop.executed == 3


def test_a_worker_with_more_to_do_does_not_wait(working: Make) -> None:
    assert slept(working(100, 100, 5)) == [1.0]


def test_a_worker_sleeps_no_longer_than_until_the_next_due_date(working: Make) -> None:
    loop = working(sleeps=4, until_due=(20.0, 0.5, 20.0, 0.2))
    assert slept(loop) == [1.0, 0.5, 1.0, 0.2]


def test_what_is_due_and_cannot_be_claimed_is_looked_for_less_and_less_often(working: Make) -> None:
    loop = working(sleeps=5, until_due=(-1.0,) * 5)
    assert slept(loop) == [1.0, 2.0, 4.0, 8.0, 8.0]


def test_a_worker_that_is_notified_sleeps_until_it_is_woken_and_looks_once_more_after_each_time(
    working: Make,
) -> None:
    # The second look finds what became due within the time in which a process does not notify again.
    loop = working(0, 0, 0, 0, 0, 1, sleeps=7, rung=(3, 4), listens=True, until_due=(None, None, 12.0))
    assert slept(loop) == [QUIET_SECONDS, 20.0, 12.0, QUIET_SECONDS, QUIET_SECONDS, QUIET_SECONDS, 20.0]


def test_a_worker_survives_a_lost_database(
    working: Make, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[bool] = []
    monkeypatch.setattr(connections, "close_all", lambda: closed.append(True))
    loop = working(*[OperationalError("server closed the connection")] * 7, 0)
    with caplog.at_level(logging.WARNING, "flowcontrol.engine"):
        assert slept(loop) == [1.0]

    assert isinstance(loop._stop, Stop)
    assert loop._stop.waits == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert len(closed) == 7
    messages = [record.getMessage() for record in caplog.records]
    assert messages[0] == "database error, retrying in 1 s: server closed the connection"
    assert messages[-1] == "database is back"


def test_a_worker_prunes_at_its_start_and_once_an_hour_a_chunk_each_round(working: Make) -> None:
    sleeps: list[float] = []
    pruned: list[int] = []

    def pruning() -> Iterator[int]:
        for _ in range(2):
            pruned.append(len(sleeps))
            yield 1_000

    loop = working(sleeps=5, pruning=pruning, monotonic=lambda: len(sleeps) * 1_800.0)
    loop._bell.sleeps = sleeps  # type: ignore[attr-defined]
    loop.run()

    assert pruned == [0, 0, 2, 2, 4, 4]


def test_an_error_that_is_not_the_databases_ends_the_worker(working: Make) -> None:
    with pytest.raises(ConfigurationError):
        working(ConfigurationError("settings.FLOWCONTROL is wrong")).run()


def wait_for(path: Path, seconds: float = 30.0) -> None:
    """Until another process made the file."""
    pause = threading.Event()
    for _ in range(int(seconds * 100)):
        if path.exists():
            return
        pause.wait(0.01)
    pytest.fail(f"{path.name} did not appear")


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with two runs of the slow flow to execute."""
    project = Project(tmp_path_factory.mktemp("two_runs"))
    assert project.manage("migrate", "--verbosity", "0").returncode == 0
    assert project.manage("flowcontrol", "import", "-", given=SLOW).returncode == 0
    for _ in range(2):
        assert project.manage("flowcontrol", "start", "slow").returncode == 0
    return project.folder / "db.sqlite3"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_worker_after_the_step_at_hand_with_exit_code_0(
    tmp_path: Path, two_runs: Path, number: signal.Signals
) -> None:
    project = Project(tmp_path)
    shutil.copy(two_runs, tmp_path)
    process = project.open("flowcontrol", "worker", "--poll-seconds", "0.1")
    try:
        wait_for(tmp_path / "began")
        process.send_signal(number)
        (tmp_path / "go_on").touch()
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()

    assert (process.returncode, out) == (0, "")
    assert err == "Worker started; Ctrl+C or SIGTERM stops it after the step at hand.\nWorker stopped.\n"
    listed = project.manage("flowcontrol", "runs").stdout.splitlines()
    assert [line.split("pending")[1].strip() for line in listed[1:]] == [
        "-       Is to start with the next free worker.",
        "-       Is to go on at step “two” with the next free worker.",
    ]


def test_a_tick_whose_plugin_is_broken_works_on_without_it(tmp_path: Path, two_runs: Path) -> None:
    project = Project(tmp_path, flowcontrol={"PLUGINS": ["acme"]})
    project.plugin("acme", "1 / 0")
    shutil.copy(two_runs, tmp_path)
    (tmp_path / "go_on").touch()
    done = project.manage("flowcontrol", "tick")

    assert (done.returncode, done.stdout.count("Run ")) == (0, 2)
    assert "plugin not used plugin=acme" in done.stderr


@pytest.mark.parametrize(
    "call", [continue_flowruns_task, continue_flowruns_task.delay, continue_flowruns_task.apply_async]
)
def test_the_celery_task_says_what_to_install(call: Callable[[], object]) -> None:
    says = "Run: pip install flowcontrol-celery. Until then, have cron call"
    with isolated_plugins(entries=[]), pytest.raises(ConfigurationError, match=says):
        call()


@override_settings(
    FLOWCONTROL={"SCHEDULERS": {"polling": {"threads": 8, "queues": ["mail"], "poll_seconds": 3}}}
)
def test_a_worker_has_the_options_of_the_settings_where_nothing_else_is_typed() -> None:
    parser = Command().create_parser("manage.py", "flowcontrol")
    typed = parser.parse_args(["worker", "--threads", "0", "--batch", "5"])
    assert _worker_options(typed) == WorkerOptions(poll_seconds=3.0, queues=("mail",), threads=0, batch=5)
