"""The web server and the worker: started, watched, and stopped for certain."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from socket import AF_INET, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET, socket

__all__ = ["MANAGE", "POLL_SECONDS", "Child", "ChildDied", "answers", "free_port", "until"]

MANAGE = Path(__file__).resolve().parent.parent / "manage.py"
STOP_SECONDS = 10
POLL_SECONDS = 0.1
_LAST_LINES = 12


class ChildDied(Exception):
    """A process ended that should not have; tells its last words."""


class Child:
    """``manage.py`` with a subcommand, as a process of its own that writes to a log file.

    ``environment`` is what it has beside ours; ``program`` what is run instead of ``manage.py``.
    """

    def __init__(
        self,
        name: str,
        arguments: list[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
        program: Sequence[str] = (str(MANAGE),),
    ) -> None:
        self.name = name
        self.log = log
        with log.open("wb") as output:
            # In a session of its own: Ctrl-C is for us alone, and we stop it in order.
            self.process = subprocess.Popen(
                [sys.executable, *program, *arguments],
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def check(self) -> None:
        """Raises ``ChildDied`` when the process is no more."""
        code = self.process.poll()
        if code is None:
            return
        lines = self.log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        told = "\n".join(f"    {line}" for line in lines) or "    (it wrote nothing)"
        raise ChildDied(f"The {self.name} ended with exit code {code}. The end of {self.log}:\n{told}")

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def until(condition: Callable[[], object], seconds: float) -> bool:
    """Look again and again until the condition is true; false when it was not in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(POLL_SECONDS)
    return True


def free_port(wanted: int) -> int:
    """The wanted port of this machine, or another one when it is taken."""
    for port in (wanted, 0):
        with socket(AF_INET, SOCK_STREAM) as listener:
            listener.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(listener.getsockname()[1])
    raise ChildDied("This machine has no free port.")


def answers(url: str) -> bool:
    """Whether a page is there: status 200."""
    # Past any proxy: the page is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False
