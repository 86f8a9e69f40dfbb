"""The worker: how it waits, what it survives, and how it is stopped; and the Celery task that is not there."""

from __future__ import annotations

import logging
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from command_project import Project
from django.db import OperationalError, connections
from flowcontrol.engine import Summary, worker
from flowcontrol.engine.worker import run_worker
from flowcontrol.exceptions import ConfigurationError
from flowcontrol.tasks import continue_flowruns_task

SLOW = """\
flowcontrol: 1
slug: slow
name: Slow
steps:
  - {id: one, action: shop.slow}
  - {id: two, action: shop.slow}
"""


class Waits(threading.Event):
    """Notes how long it was waited for instead of waiting; is set after as many waits."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        self.delays: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.delays.append(timeout)
        if len(self.delays) == self.count:
            self.set()
        return self.is_set()


@pytest.fixture
def executing(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Says what each ``continue_flowruns`` of the worker answers: a number of stretches, or an error."""

    def use(*answers: int | Exception) -> None:
        left = list(answers)

        def continue_flowruns(limit: int, should_stop: Callable[[], bool]) -> Summary:
            answer = left.pop(0) if left else 0
            if isinstance(answer, Exception):
                raise answer
            return Summary(answer)

        monkeypatch.setattr(worker, "continue_flowruns", continue_flowruns)
        monkeypatch.setattr(worker, "prune_events", lambda: 0)

    return use


def test_an_idle_worker_looks_less_and_less_often_and_soon_again_after_work(
    executing: Callable[..., None],
) -> None:
    executing(0, 0, 0, 0, 0, 3, 0)
    stop = Waits(7)
    run_worker(stop, poll_seconds=8.0)

    assert stop.delays == [1.0, 2.0, 4.0, 8.0, 8.0, 1.0, 2.0]


def test_a_worker_with_more_to_do_does_not_wait(executing: Callable[..., None]) -> None:
    executing(1_000, 1_000, 5)
    stop = Waits(1)
    run_worker(stop, poll_seconds=8.0)

    assert stop.delays == [1.0]


def test_a_worker_survives_a_lost_database(
    executing: Callable[..., None], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[bool] = []
    monkeypatch.setattr(connections, "close_all", lambda: closed.append(True))
    executing(*[OperationalError("server closed the connection")] * 7, 0)
    stop = Waits(8)
    with caplog.at_level(logging.WARNING, "flowcontrol.engine"):
        run_worker(stop, poll_seconds=8.0)

    assert stop.delays == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 1.0]
    assert len(closed) == 7
    messages = [record.getMessage() for record in caplog.records]
    assert messages[0] == "database error, retrying in 1 s: server closed the connection"
    assert messages[-1] == "database is back"


def test_a_worker_prunes_old_events_at_its_start_and_once_an_hour(
    executing: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    executing()
    stop = Waits(5)
    pruned: list[int] = []
    monkeypatch.setattr(worker, "prune_events", lambda: pruned.append(len(stop.delays)))
    run_worker(stop, poll_seconds=8.0, monotonic=lambda: len(stop.delays) * 1_800.0)

    assert pruned == [0, 2, 4]


def test_an_error_that_is_not_the_databases_ends_the_worker(executing: Callable[..., None]) -> None:
    executing(ConfigurationError("settings.FLOWCONTROL is wrong"))
    with pytest.raises(ConfigurationError):
        run_worker(Waits(1))


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
    with pytest.raises(
        ConfigurationError, match="Run: pip install flowcontrol-celery. Until then, have cron call"
    ):
        call()
