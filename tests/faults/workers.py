"""Worker processes: forked from the harness, or started anew where a process has to begin with something else."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from django.core.management import call_command
from django.db import connections
from flowcontrol.engine import faults

__all__ = ["Plan", "Worker", "at", "await_condition", "fork", "spawn"]

#: Called with the name of each point that a worker reaches.
Plan = Callable[[str], None]

HERE = Path(__file__).resolve().parent
ARGUMENTS = ("--poll-seconds", "0.1", "--grace", "30")


class Worker:
    """One process, by its id. It is ours, so that only we reap it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.status: int | None = None
        #: Memory at its highest, in bytes; known once it has ended.
        self.peak = 0

    def poll(self) -> int | None:
        """Its exit status as ``Popen`` tells it, negative for a signal; None while it lives."""
        if self.status is None:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
                self.peak = usage.ru_maxrss * 1_024
        return self.status

    def signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.join(10)

    def join(self, seconds: float = 40) -> int:
        """Wait until it has ended."""
        await_condition(lambda: self.poll() is not None, seconds, f"worker {self.pid} to end")
        assert self.status is not None
        return self.status

    def stop(self) -> int:
        """As an administrator does; its exit status."""
        self.signal(signal.SIGTERM)
        return self.join()

    @property
    def is_stopped(self) -> bool:
        """Whether SIGSTOP holds it."""
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
        except FileNotFoundError:
            return False


def await_condition(condition: Callable[[], object], seconds: float, what: str) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            raise AssertionError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(0.02)


def at(point: str, number: int, deed: Callable[[], None] | int) -> Plan:
    """A plan: the process does this, or sends itself this signal, when it reaches the point for the so-manieth time."""
    left = [number]

    def plan(reached: str) -> None:
        if reached != point:
            return
        left[0] -= 1
        if left[0] == 0:
            if callable(deed):
                deed()
            else:
                os.kill(os.getpid(), deed)

    return plan


def fork(log: Path, work: Callable[[], object] | Sequence[str] = (), plan: Plan | None = None) -> Worker:
    """A process that does this work, or is a worker with these further arguments. All is imported already."""
    # A connection that two processes share would be closed twice.
    connections.close_all()
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return Worker(pid)
    code = 1
    try:
        file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(file, 1)
        os.dup2(file, 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        faults.arm(plan)
        if callable(work):
            work()
        else:
            call_command("flowcontrol", "worker", *ARGUMENTS, *work)
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def spawn(
    log: Path,
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Worker:
    """A worker that begins with an interpreter of its own."""
    command = [sys.executable, "-m", "django", "flowcontrol", "worker", *ARGUMENTS, *arguments]
    path = os.pathsep.join([str(HERE), str(HERE.parent)])
    with log.open("ab") as file:
        process = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": path, **(environment or {})},
            stdout=file,
            stderr=file,
        )
    # Reaped by Worker; Popen must not complain that nobody asked it.
    process.returncode = 0
    return Worker(process.pid)
