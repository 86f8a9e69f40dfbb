"""Who works, and what it has: the row that a worker writes about itself. Leases decide who executes a run."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db import Error, connections

from .. import __version__, conf, plugins
from ..models import Worker
from ..models.database import DatabaseNow
from .capabilities import own_actions, seen_for
from .claims import database
from .clock import Clock

__all__ = ["Presence", "active_plugins", "difference", "differing_workers"]

logger = logging.getLogger("flowcontrol.engine")

#: How long the end of a worker waits for the thread, which may wait for a database that is away.
_CLOSE_SECONDS = 5.0


def active_plugins() -> dict[str, str]:
    """``{plugin: version}`` of this process, the core among them as ``flowcontrol``."""
    return {"flowcontrol": __version__} | {
        report.name: report.version for report in plugins.reports() if report.is_active
    }


def difference(theirs: Mapping[str, str], mine: Mapping[str, str]) -> str:
    """How the plugins of a worker differ from those here, in words; empty when they are the same."""
    told = [f"it lacks {name} {version}" for name, version in mine.items() if name not in theirs]
    told += [f"it has {name} {version} as well" for name, version in theirs.items() if name not in mine]
    told += [
        f"it has {name} {theirs[name]}, and here is {version}"
        for name, version in mine.items()
        if name in theirs and theirs[name] != version
    ]
    return "; ".join(told)


def differing_workers() -> dict[str, str]:
    """By name: workers at work whose plugins are others than those of this process, and how. One query."""
    mine = active_plugins()
    seen = Worker.objects.using(database()).seen_since(Clock().after(-seen_for())).only("name", "plugins")
    found = {worker.name: difference(worker.plugins, mine) for worker in seen}
    return {name: told for name, told in found.items() if told}


class Presence:
    """This worker's row, and the thread that renews it: a step may keep the worker's own thread for long.

    ``executed`` tells how many stretches the worker has executed so far.
    """

    def __init__(self, queues: Sequence[str], executed: Callable[[], int]) -> None:
        host = socket.gethostname()
        self.name = f"{host[:150]}:{os.getpid()}:{secrets.token_hex(4)}"
        self.executed = executed
        self.queues = ",".join(queues)[:500]
        self._is_stopping = False
        self._is_over = False
        self._changed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="flowcontrol-presence", daemon=True)

    def start(self) -> None:
        """Write the row, and go on renewing it. A database that is away is no reason not to work."""
        self._beat()
        self._thread.start()

    def stopping(self) -> None:
        """From any thread: the worker was asked to stop."""
        self._is_stopping = True
        self._changed.set()

    def remove(self) -> None:
        """The worker is done."""
        self._is_over = True
        self._changed.set()
        self._thread.join(_CLOSE_SECONDS)
        try:
            Worker.objects.using(database()).filter(name=self.name).delete()
        except Error as error:
            logger.warning("presence not removed worker=%s: %s", self.name, str(error).strip())

    def _work(self) -> None:
        while not self._is_over:
            self._changed.wait(conf.get("WORKER_HEARTBEAT_SECONDS"))
            self._changed.clear()
            if not self._is_over:
                self._beat()
                connections[database()].close()

    def _beat(self) -> None:
        try:
            self._write()
        except Error as error:
            logger.warning("presence not written worker=%s: %s", self.name, str(error).strip())
            connections[database()].close()

    def _write(self) -> None:
        workers = Worker.objects.using(database())
        said: dict[str, Any] = {
            "executed": self.executed(),
            "is_stopping": self._is_stopping,
            "seen_at": DatabaseNow(),
        }
        facts: dict[str, Any] = {
            "queues": self.queues,
            "plugins": active_plugins(),
            "actions": list(own_actions()),
        }
        # Not there yet, or no more: the database may have been restored from a backup.
        if not workers.filter(name=self.name).update(**said):
            host, pid, _ = self.name.rsplit(":", 2)
            workers.create(
                name=self.name,
                host=host,
                pid=int(pid),
                started_at=DatabaseNow(),
                **facts,
                **said,
            )
