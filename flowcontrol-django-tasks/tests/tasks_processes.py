"""Workers of django-tasks-db as processes, on the database of the test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection

__all__ = ["Processes", "until"]


def until(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Wait on a condition, with a limit."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, f"never: {what}"
        time.sleep(0.02)


class Processes:
    """What a test starts, and what is left of it at the end is killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.all: list[subprocess.Popen[bytes]] = []
        self._logs: dict[int, Path] = {}

    def worker(self, *arguments: str, flowcontrol: Any = None) -> subprocess.Popen[bytes]:
        """``manage.py db_worker``, which looks for tasks ten times a second."""
        entry = {key: value for key, value in connection.settings_dict.items() if key != "TEST"}
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "DJANGO_SETTINGS_MODULE": "tasks_worker_settings",
            "TASKS_TEST_DATABASE": json.dumps(entry, default=str),
            "TASKS_TEST_FLOWCONTROL": json.dumps(flowcontrol or settings.FLOWCONTROL),
        }
        command = ["db_worker", "--queue-name", "*", "--interval", "0.1", "--no-startup-delay", "--no-reload"]
        path = self.folder / f"worker-{len(self.all)}.log"
        with path.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "django", *command, *arguments],
                cwd=self.folder,
                env=environment,
                stdout=log,
                stderr=log,
            )
        self.all.append(process)
        self._logs[process.pid] = path
        return process

    def ready(self, *workers: subprocess.Popen[bytes]) -> None:
        """Wait until they are at work: before, a signal to stop just ends them."""
        for worker in workers:
            until(lambda worker=worker: self._is_ready(worker), "the worker is ready")

    def stop(self, *processes: subprocess.Popen[bytes], seconds: float = 60) -> list[int]:
        """Tell them to stop, and wait until they have; returns their exit codes."""
        for process in processes:
            process.send_signal(signal.SIGTERM)
        return [self._code(process, seconds) for process in processes]

    def _code(self, process: subprocess.Popen[bytes], seconds: float) -> int:
        code = process.wait(seconds)
        # Between two tasks, db_worker exits from within its signal handler, wherever its connection stands: PyMySQL may
        # be amid a commit, and complains. It was looking for a task, and had none.
        if code == 1 and ", in shutdown\n    sys.exit(0)" in self._logs[process.pid].read_text():
            return 0
        return code

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """kill -9."""
        process.kill()
        process.wait(30)

    def close(self) -> None:
        for process in self.all:
            if process.poll() is None:
                self.kill(process)

    def logs(self) -> str:
        return "\n".join(path.read_text() for path in self._logs.values())

    def _is_ready(self, worker: subprocess.Popen[bytes]) -> bool:
        assert worker.poll() is None, self.logs()
        return "Starting worker" in self._logs[worker.pid].read_text()
