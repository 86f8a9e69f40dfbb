"""Workers and beats as processes, on the database of the test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import celery_test_app
from celery import Celery
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

    def __init__(self, folder: Path, app: str, *, broker: str = "") -> None:
        self.folder = folder
        self.app = app
        self.broker = broker
        self.all: list[subprocess.Popen[bytes]] = []
        self.logs: dict[int, Path] = {}

    @property
    def celery(self) -> Celery:
        app: Celery = getattr(celery_test_app, self.app)
        return app

    def worker(
        self, *arguments: str, concurrency: int = 1, flowcontrol: Any = None, wait: bool = True
    ) -> Any:
        """A worker with this many prefork processes; returns when it is ready."""
        name = f"w{len(self.all)}-{os.getpid()}@test"
        command = [
            "worker",
            "-n",
            name,
            "--concurrency",
            str(concurrency),
            "--without-gossip",
            "--without-mingle",
        ]
        process = self._start([*command, "--loglevel", "INFO", *arguments], flowcontrol)
        if wait:
            self.ready(process)
        return process

    def ready(self, *workers: subprocess.Popen[bytes]) -> None:
        for worker in workers:
            until(lambda worker=worker: self._is_ready(worker), "the worker is ready")

    def beat(self, *arguments: str) -> Any:
        file = self.folder / f"beat-{len(self.all)}"
        return self._start(["beat", "--schedule", str(file), "--pidfile", "", *arguments])

    def poller(self) -> Any:
        """``manage.py flowcontrol worker``."""
        return self._run(["django", "flowcontrol", "worker"])

    def stop(self, *processes: subprocess.Popen[bytes], seconds: float = 60) -> list[int]:
        """Tell them to stop, and wait until they have; returns their exit codes."""
        for process in processes:
            process.send_signal(signal.SIGTERM)
        return [process.wait(seconds) for process in processes]

    def kill_children(self, worker: subprocess.Popen[bytes]) -> None:
        """kill -9 of what executes tasks."""
        for pid in _children(worker.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """kill -9 of all of it."""
        for pid in [process.pid, *_children(process.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(30)

    def close(self) -> None:
        for process in self.all:
            if process.poll() is None:
                self.kill(process)

    def log(self, process: subprocess.Popen[bytes]) -> str:
        return self.logs[process.pid].read_text()

    def tails(self) -> str:
        """What each said last."""
        return "\n".join(f"-- {pid}\n{log.read_text()[-3_000:]}" for pid, log in self.logs.items())

    def purge(self) -> None:
        self.celery.control.purge()

    def _is_ready(self, worker: subprocess.Popen[bytes]) -> bool:
        assert worker.poll() is None, self.log(worker)
        return " ready." in self.log(worker)

    def _start(self, arguments: Sequence[str], flowcontrol: Any = None) -> subprocess.Popen[bytes]:
        return self._run(["celery", "-A", f"celery_test_app:{self.app}", *arguments], flowcontrol)

    def _run(self, module: Sequence[str], flowcontrol: Any = None) -> subprocess.Popen[bytes]:
        log = self.folder / f"celery-{len(self.all)}.log"
        entry = {key: value for key, value in connection.settings_dict.items() if key != "TEST"}
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "DJANGO_SETTINGS_MODULE": "celery_test_settings",
            "CELERY_TEST_DATABASE": json.dumps(entry, default=str),
            "CELERY_TEST_FLOWCONTROL": json.dumps(flowcontrol or settings.FLOWCONTROL),
            "CELERY_TEST_BROKER": self.broker,
        }
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", *module],
                cwd=self.folder,
                env=environment,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self.all.append(process)
        self.logs[process.pid] = log
        return process


def _children(pid: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(child) for child in found.stdout.split()]
