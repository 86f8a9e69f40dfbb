"""Brokers of a test's own, which it may kill and start again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from celery_processes import until

__all__ = ["OwnBroker", "RabbitMQ", "Redis"]


class OwnBroker:
    """A program that listens on a free port of this machine."""

    program = ""
    #: Further places to look at, where the one in PATH is for an administrator.
    folders: tuple[str, ...] = ()

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = _free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        raise NotImplementedError

    def command(self) -> list[str]:
        return [self.found()]

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    def found(self) -> str:
        path = shutil.which(self.program, path=os.pathsep.join([*self.folders, os.environ.get("PATH", "")]))
        if path is None and os.environ.get("FLOWCONTROL_REQUIRE_SERVICES") == "1":
            pytest.fail(f"There is no program {self.program}: install it with apt-get.")
        if path is None:
            pytest.skip(f"needs the program {self.program}")
        return path

    def start(self) -> None:
        with (self.folder / "broker.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                env=self.environment(),
                stdout=log,
                stderr=log,
                cwd=self.folder,
                # It starts programs of its own, which have to go with it.
                start_new_session=True,
            )
        until(self.answers, f"{self.program} answers")

    def answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        until(lambda: not self.answers(), f"{self.program} is gone")


class Redis(OwnBroker):
    """All messages are gone with it."""

    program = "redis-server"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        return [self.found(), "--port", str(self.port), "--save", "", "--dir", str(self.folder)]


class RabbitMQ(OwnBroker):
    """It comes back with its messages."""

    program = "rabbitmq-server"
    #: The one in PATH may change to a user of its own, who cannot write here.
    folders = ("/usr/lib/rabbitmq/bin",)

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "HOME": str(self.folder),
            "RABBITMQ_NODENAME": f"flowcontrol{self.port}@localhost",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "none"),
        }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._dist_port = _free_port()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port
