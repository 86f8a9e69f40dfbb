"""The outside world: a file that everybody appends to, which neither a crash nor a rollback takes anything from."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

VARIABLE = "FAULTAPP_OUTSIDE"


def receive(run: int, step: str, key: str, attempt: int, seconds: float = 0.0) -> None:
    """A call arrives, and is answered so much later. It is written down when it arrives."""
    began = time.monotonic()
    row = {"run": run, "step": step, "key": key, "attempt": attempt, "worker": os.getpid(), "began": began}
    # The time for which the world works, and no wait for anything.
    row["ended"] = began + seconds
    _append(row)
    if seconds:
        time.sleep(seconds)


def _append(row: dict[str, Any]) -> None:
    # One write of less than a page to a file opened for appending: lines of several processes never mix.
    file = os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, json.dumps(row).encode() + b"\n")
    finally:
        os.close(file)


def received() -> Iterator[dict[str, Any]]:
    path = Path(os.environ[VARIABLE])
    if path.exists():
        yield from map(json.loads, path.read_text().splitlines())
