"""Workers as processes: several under one parent, how they are woken, watched and stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from command_project import Project
from django.db import connection
from django.utils import timezone
from flowcontrol.engine import notify, start_flow
from flowcontrol.models import FlowRun, Worker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.every_database]

ACTIONS = '''
import os, pathlib, time
from flowcontrol.base import BaseAction, Effect
from flowcontrol.registry import register_action

FOLDER = pathlib.Path(os.environ["TEST_FOLDER"])

@register_action
class Note(BaseAction):
    """Notes which process it ran in, and goes on when it is told to."""

    name = "shop.note"
    effect = Effect.EXTERNAL

    def run(self, context):
        (FOLDER / f"ran-{context.run_id}").write_text(str(os.getpid()))
        while not (FOLDER / "go_on").exists():
            time.sleep(0.01)
'''

FLOW = """\
flowcontrol: 1
slug: note
name: Note
steps:
  - {id: one, action: shop.note}
"""

#: PyMySQL stands in for mysqlclient, as in the settings of the tests.
MORE = """
import pymysql
pymysql.version_info = (2, 2, 7, "final", 1)
pymysql.install_as_MySQLdb()
"""


def until(condition: Callable[[], object], what: str, seconds: float = 30) -> None:
    """Wait on a condition, with a limit."""
    limit = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < limit, f"never: {what}"
        pause.wait(0.02)


def runs(status: str) -> int:
    return FlowRun.objects.filter(status=status).count()


class Shop:
    """A project on the database of the tests, and its worker."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        database = {
            key: connection.settings_dict[key]
            for key in ("ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT", "OPTIONS")
        }
        settings = {"PLUGINS": [], "LEASE_SECONDS": 2, "WORKER_HEARTBEAT_SECONDS": 1, "HEALTH_SECONDS": 2}
        self.project = Project(folder, database=database, flowcontrol=settings, actions=ACTIONS, more=MORE)
        done = self.project.manage("flowcontrol", "import", "-", given=FLOW)
        assert done.returncode == 0, done.stderr
        self.processes: list[subprocess.Popen[str]] = []

    def worker(self, *arguments: str) -> subprocess.Popen[str]:
        process = self.project.open("flowcontrol", "worker", *arguments)
        self.processes.append(process)
        return process

    def start(self, count: int = 1, **arguments: Any) -> list[int]:
        return [start_flow("note", **arguments).run.pk for _ in range(count)]  # type: ignore[union-attr]

    def go_on(self) -> None:
        (self.folder / "go_on").touch()

    def pids(self) -> set[int]:
        """Of the processes that took a step."""
        return {int(text) for path in self.folder.glob("ran-*") if (text := path.read_text())}

    def end(self, process: subprocess.Popen[str], number: int = signal.SIGTERM) -> tuple[int, str]:
        """Signal a worker; its exit code, and what it said."""
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        return process.returncode, err


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path)
    yield shop
    shop.go_on()
    for process in shop.processes:
        process.kill()
        process.communicate()
    # Children end when their parent is gone.
    until(lambda: not any(is_there(worker.pid) for worker in Worker.objects.all()), "the workers end")


def is_there(pid: int) -> bool:
    """Whether the process is alive, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def workers() -> list[Worker]:
    return list(Worker.objects.order_by("pid"))


def test_several_processes_work_and_end_together(shop: Shop) -> None:
    shop.start(2)
    parent = shop.worker("--processes", "2", "--batch", "1", "--poll-seconds", "0.1")
    until(lambda: len(shop.pids()) == 2, "two processes took a step")
    assert {worker.pid for worker in workers()} == shop.pids()
    parent.send_signal(signal.SIGTERM)
    until(lambda: all(worker.is_stopping for worker in workers()), "they say that they stop")
    shop.go_on()
    code, err = shop.end(parent, 0)

    assert (code, runs("completed")) == (0, 2)
    assert err == (
        "2 workers started; Ctrl+C or SIGTERM stops them after the step at hand.\nWorkers stopped.\n"
    )
    assert not workers(), "a worker that stopped leaves no row"


def test_calls_of_the_world_overlap_and_a_signal_waits_for_those_under_way(shop: Shop) -> None:
    shop.start(3)
    process = shop.worker("--threads", "2", "--poll-seconds", "0.1")
    until(lambda: len(list(shop.folder.glob("ran-*"))) == 2, "two calls are under way")
    assert shop.pids() == {process.pid}
    process.send_signal(signal.SIGTERM)
    until(lambda: all(worker.is_stopping for worker in workers()), "it says that it stops")
    shop.go_on()
    code, _ = shop.end(process, 0)

    assert code == 0
    assert runs("completed") >= 2
    # One that was claimed and had no thread yet is finished, too, or handed back.
    assert runs("completed") + FlowRun.objects.filter(status="pending", token="").count() == 3


def test_a_process_that_dies_is_replaced_and_its_runs_go_on(shop: Shop) -> None:
    shop.start()
    parent = shop.worker("--processes", "2", "--poll-seconds", "0.1")
    until(shop.pids, "a process took a step")
    until(lambda: len(workers()) == 2, "both are there")
    (doomed,) = shop.pids()
    os.kill(doomed, signal.SIGKILL)
    shop.go_on()
    until(lambda: runs("completed") == 1, "the run goes on when its lease has passed")
    until(lambda: len(workers()) == 3, "a third process is there, and the row of the first")
    code, err = shop.end(parent)

    assert code == 0
    assert "ended with exit code -9; another one starts in 1 s." in err
    assert [worker.pid for worker in workers()] == [doomed], "the row of a dead one is left for people to see"


def test_children_end_when_their_parent_is_killed(shop: Shop) -> None:
    parent = shop.worker("--processes", "2")
    until(lambda: len(workers()) == 2, "both are there")
    children = [worker.pid for worker in workers()]
    assert parent.pid not in children
    parent.kill()
    until(lambda: not workers(), "both are gone")


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_step_that_takes_longer_than_the_grace_period_is_left(shop: Shop, processes: str) -> None:
    shop.start()
    process = shop.worker("--processes", processes, "--grace", "0.5", "--poll-seconds", "0.1")
    until(shop.pids, "a process took a step")
    code, err = shop.end(process)

    assert code == 1
    assert "worker left after the grace period of 0.5 s: its leases pass" in err
    assert runs("running") == 1
    # Nothing is lost: the next worker goes on with it.
    shop.go_on()
    successor = shop.worker("--poll-seconds", "0.1")
    until(lambda: runs("completed") == 1, "the run goes on")
    assert shop.end(successor)[0] == 0


def test_a_worker_sleeps_until_the_next_due_date(shop: Shop) -> None:
    shop.go_on()
    shop.start(at=timezone.now() + timedelta(seconds=4))
    process = shop.worker("--poll-seconds", "3600")
    until(lambda: runs("completed") == 1, "the run is executed when it is due")
    assert shop.end(process)[0] == 0


@pytest.mark.postgresql
def test_a_notification_wakes_a_worker(shop: Shop) -> None:
    shop.go_on()
    process = shop.worker("--poll-seconds", "3600")
    until(lambda: listeners() == 1, "the worker listens")
    for count in range(1, 4):
        shop.start()
        notify.send("default")
        until(lambda count=count: runs("completed") == count, "the run is executed")  # type: ignore[misc]
    assert shop.end(process)[0] == 0


@pytest.mark.postgresql
def test_a_worker_survives_that_all_its_connections_are_cut(shop: Shop) -> None:
    shop.go_on()
    process = shop.worker("--poll-seconds", "0.1")
    until(lambda: listeners() == 1, "the worker listens")
    for count in range(1, 4):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        shop.start()
        until(lambda count=count: runs("completed") == count, "the run is executed")  # type: ignore[misc]
    until(lambda: listeners() == 1, "the worker listens again")
    code, err = shop.end(process)

    assert code == 0
    assert "not listening, trying again in 1 s" in err
    assert not workers()


def listeners() -> int:
    """Connections that wait for notifications, and do nothing else."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND query = 'LISTEN flowcontrol' AND state = 'idle'"
        )
        return int(cursor.fetchone()[0])


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def asked(port: int) -> tuple[int, dict[str, Any]]:
    """Status and body of the health check; 0 while nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
    except OSError:
        return 0, {}


@pytest.mark.parametrize("processes", ["1", "2"])
def test_health_is_well_while_the_loop_goes_round_and_not_while_a_step_takes_too_long(
    shop: Shop, tmp_path: Path, processes: str
) -> None:
    port, file = free_port(), tmp_path / "health"
    process = shop.worker(
        "--processes", processes, "--health-port", str(port), "--health-file", str(file), "--poll-seconds", "0.1"
    )  # fmt: skip
    until(lambda: asked(port)[0] == 200, "the worker is well")
    until(lambda: len(workers()) == int(processes), "all are there")
    until(file.exists, "the file is touched")
    assert asked(port)[1]["is_well"] is True
    shop.start()
    until(lambda: asked(port)[0] == 503, "the step takes longer than HEALTH_SECONDS")
    shop.go_on()
    until(lambda: asked(port)[0] == 200, "the worker is well again")
    assert shop.end(process)[0] == 0
    assert not file.exists(), "who stopped is not ill"


def test_a_port_that_is_taken_is_told_at_once(shop: Shop) -> None:
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = shop.project.manage("flowcontrol", "worker", "--health-port", port)
    assert done.returncode == 1
    assert f"The port {port} for the health check cannot be used" in done.stderr
