"""The contenders: environments of their own, and processes that are asked for figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from dev import Environment  # noqa: E402  the path comes first

SCRIPTS = ROOT / "benchmarks" / "contenders"

#: What is installed for a contender; one that is not named here uses this environment, which has flowcontrol.
REQUIREMENTS = {"peer": ["django-flowcontrol==0.0.21", "celery[redis]"], "dbos_": ["dbos==3.4.0"]}

#: Of these, all have the same version as flowcontrol's environment: they are not what is compared.
SHARED = {"django", "psycopg", "psycopg-binary", "psycopg-c", "celery", "kombu", "redis"}


class ContenderFailed(Exception):
    """It raised, or died; the message is what it said."""


def python(script: str) -> str:
    """The interpreter for a contender; its environment is made the first time."""
    if script not in REQUIREMENTS:
        return sys.executable
    environment = Environment(ROOT / ".venvs" / f"bench-{script.rstrip('_')}")
    environment.install_once([*REQUIREMENTS[script], *_shared(script)], [])
    return str(environment.python)


def _shared(script: str) -> list[str]:
    found = {each.metadata["Name"].lower(): each.version for each in distributions()}
    wanted = SHARED if script == "peer" else {"psycopg", "psycopg-binary", "psycopg-c"}
    return [f"{name}=={found[name]}" for name in sorted(wanted & found.keys())]


class Contender:
    """A contender's process, on a database of its own."""

    def __init__(self, script: str, entry: dict[str, Any], *, is_new: bool) -> None:
        self.script = script
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("FLOWCONTROL")
        }
        self.process = subprocess.Popen(
            [python(script), str(SCRIPTS / f"{script}.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**environment, "BENCH_DATABASE": json.dumps(entry)},
        )
        if is_new:
            self.ask("setup")
        self.ask("begin")

    def ask(self, task: str, **keys: Any) -> dict[str, Any]:
        """Its answer; ``ContenderFailed`` when it has none."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps({"task": task, **keys}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise ContenderFailed(f"{self.script} ended at {task} with exit code {self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ContenderFailed(f"{self.script} failed at {task}:\n{answer['error']}")
        return answer

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
