"""Worker processes under one parent: started, started again when they die, and stopped together."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from .. import conf

__all__ = ["CHILD_VARIABLE", "Supervisor", "command_again", "on_end_of_input"]

#: Tells a process that it is a child: its standard input is the parent's hold on it.
CHILD_VARIABLE = "FLOWCONTROL_WORKER_CHILD"

_LOOK_SECONDS = 0.2
#: Over the grace period that the children keep to themselves.
_MARGIN_SECONDS = 2.0
#: A child that lived this long was well; its successor starts at once.
_WELL_SECONDS = 60.0
_FIRST_RESTART_SECONDS = 1.0
_LAST_RESTART_SECONDS = 60.0


def command_again(*more: str) -> list[str]:
    """The command line of this process, with arguments added."""
    if "worker" not in sys.argv[1:]:
        raise CommandError(
            "Several processes can be started from a command line only: manage.py flowcontrol worker."
        )
    return [sys.executable, *sys.orig_argv[1:], *more]


def on_end_of_input(stop: Callable[[], None]) -> None:
    """In a child: stop when the parent lets go, or is gone.

    A pipe and no signal: a terminal and most process managers signal children beside their parent, and a second
    signal ends a worker at once.
    """

    def watch() -> None:
        while os.read(0, 1):
            pass
        stop()

    threading.Thread(target=watch, name="flowcontrol-parent", daemon=True).start()


class _Child:
    """One place for a process; another one takes it when the process dies."""

    def __init__(self, command: Sequence[str], health_file: Path) -> None:
        self.command = command
        self.health_file = health_file
        self.started_at = 0.0
        self.restart_at = 0.0
        self.delay = 0.0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.started_at = time.monotonic()
        # A group of its own: Ctrl+C in a terminal is for the parent alone.
        self.process = subprocess.Popen(  # noqa: S603  our own command line
            [*self.command, "--health-file", str(self.health_file)],
            stdin=subprocess.PIPE,
            env={**os.environ, CHILD_VARIABLE: "1"},
            start_new_session=True,
        )

    @property
    def code(self) -> int | None:
        """The exit code; None while it runs."""
        return None if self.process is None else self.process.poll()

    @property
    def is_well(self) -> bool:
        """Whether it made a round lately. What has just been started is given the time that a round may take."""
        longest = conf.settings.HEALTH_SECONDS
        if self.code is not None:
            return False
        with suppress(OSError):
            return time.time() - self.health_file.stat().st_mtime <= longest
        return time.monotonic() - self.started_at <= longest

    def schedule(self) -> float:
        """It died: when to start the next one, ever later as long as they die young."""
        is_young = time.monotonic() - self.started_at < _WELL_SECONDS
        self.delay = min(self.delay * 2 or _FIRST_RESTART_SECONDS, _LAST_RESTART_SECONDS) if is_young else 0.0
        self.restart_at = time.monotonic() + self.delay
        return self.delay

    def let_go(self) -> None:
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()

    def kill(self) -> None:
        if self.process is not None:
            self.let_go()
            self.process.kill()
            self.process.wait()


class Supervisor:
    """``count`` processes of one command, until ``stop`` is called."""

    def __init__(
        self,
        command: Sequence[str],
        count: int,
        grace_seconds: float,
        note: Callable[[str], None],
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self.grace_seconds = grace_seconds
        self.note = note
        self.beat = beat
        self._stop = threading.Event()
        self._folder = tempfile.TemporaryDirectory(prefix="flowcontrol-worker-")
        folder = Path(self._folder.name)
        self.children = [_Child(command, folder / str(number)) for number in range(1, count + 1)]

    def stop(self) -> None:
        """From any thread: have the children finish their steps, and end."""
        self._stop.set()

    def told(self) -> tuple[bool, Mapping[str, Any]]:
        """Whether all children are well, and the facts."""
        well = sum(child.is_well for child in self.children)
        is_well = well == len(self.children)
        return is_well, {
            "is_well": is_well,
            "processes": len(self.children),
            "well": well,
            "is_stopping": self._stop.is_set(),
        }

    def run(self) -> int:
        """The exit code: 0 when all children ended as they were asked to."""
        try:
            for child in self.children:
                child.start()
            while not self._stop.wait(_LOOK_SECONDS):
                self._replace_the_dead()
                if self.told()[0]:
                    self.beat()
            return self._end()
        finally:
            for child in self.children:
                child.kill()
            self._folder.cleanup()

    def _replace_the_dead(self) -> None:
        for number, child in enumerate(self.children, 1):
            if child.process is not None and child.code is not None:
                delay = child.schedule()
                self.note(
                    f"Worker process {number} ended with exit code {child.code}; another one starts in {delay:g} s."
                )
                child.let_go()
                child.process = None
            if child.process is None and time.monotonic() >= child.restart_at:
                child.start()

    def _end(self) -> int:
        for child in self.children:
            child.let_go()
        until = time.monotonic() + self.grace_seconds + _MARGIN_SECONDS
        for child in self.children:
            if child.process is None:
                continue
            try:
                child.process.wait(max(until - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                self.note(
                    f"Worker process {child.process.pid} did not end within the grace period, and was killed."
                )
                child.process.kill()
                child.process.wait()
        return 1 if any(child.code for child in self.children) else 0
