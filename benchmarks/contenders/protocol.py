"""What every contender speaks: a JSON line with a task on its input, a JSON line with figures on its output.

A task is ``{"task": name, "size": n, …}``: the method of that name is called with the rest. Its answer has ``seconds``
and ``runs``, and where they are known ``statements`` and ``peak_mb``. A method may refuse by raising ``Refused``.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

Figures = dict[str, Any]


class Refused(Exception):
    """This contender cannot do that; the message says why."""


def database() -> dict[str, Any]:
    """The entry of ``settings.DATABASES`` that the harness gave this process."""
    entry: dict[str, Any] = json.loads(os.environ["BENCH_DATABASE"])
    return entry


def serve(contender: object) -> None:
    """Answer tasks until the input ends."""
    global _AT_START  # noqa: PLW0603  set once
    _AT_START = _peak()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # Whatever else is printed must not get between the answers.
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(contender, request.pop("task"))(**request) or {}
        except Refused as refused:
            answer = {"refused": str(refused)}
        except Exception:  # noqa: BLE001  told to the harness, which stops
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)


class Statements:
    """How many SQL statements go through Django's connections, those of other threads included."""

    def __init__(self) -> None:
        from django.db import connection  # noqa: PLC0415  settings come first
        from django.db.backends.signals import connection_created  # noqa: PLC0415  settings come first

        self.count = 0
        connection.ensure_connection()
        connection.execute_wrappers.append(self)
        connection_created.connect(self._join)

    def _join(self, connection: Any, **_: Any) -> None:
        if self not in connection.execute_wrappers:
            connection.execute_wrappers.append(self)

    def __call__(self, execute: Callable[..., Any], *arguments: Any) -> Any:
        self.count += 1
        return execute(*arguments)


def measured(work: Callable[[], Any], runs: int, statements: Statements | None = None) -> Figures:
    """Figures of this work. Memory is its peak over what the process had at its start, and known on Linux only."""
    gc.collect()
    _forget_peak()
    counted = statements.count if statements else 0
    began = time.perf_counter()
    work()
    seconds = time.perf_counter() - began
    figures: Figures = {"seconds": seconds, "runs": runs, "peak_mb": round((_peak() - _AT_START) / 1024, 1)}
    if statements:
        figures["statements"] = statements.count - counted
    return figures


def _forget_peak() -> None:
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")


def _peak() -> int:
    """The most resident kilobytes since the peak was forgotten."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    lines = (line.split() for line in status.read_text().splitlines())
    return next(int(words[1]) for words in lines if words[0] == "VmHWM:")


_AT_START = 0
