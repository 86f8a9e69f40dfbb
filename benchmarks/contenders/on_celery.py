"""Celery, for the contenders that run on it: an app on Redis, a worker with two prefork processes, messages counted.

``BENCH_BROKER`` says where Redis is. Messages are counted by the server: each is one LPUSH.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import redis
from celery import Celery
from protocol import Figures, measured

__all__ = ["QUEUE_VARIABLE", "drained", "make_app"]

#: Set in the process of a worker: the queue of the contender that started it.
QUEUE_VARIABLE = "BENCH_QUEUE"
_BROKER = os.environ.get("BENCH_BROKER", "redis://127.0.0.1:6379/0")
_START_SECONDS = 60
_DRAIN_SECONDS = 300


def make_app(queue: str, tasks: str = "") -> Celery:
    """``tasks`` is the module with the contender's tasks, for its workers."""
    app = Celery("bench", broker=_BROKER)
    app.conf.update(
        task_default_queue=queue, worker_prefetch_multiplier=1, broker_connection_retry_on_startup=True
    )
    app.conf.imports = [tasks] if tasks else []
    return app


def drained(script: str, tick: str, is_done: Callable[[], bool], runs: int) -> Figures:
    """Figures of two prefork processes that execute what is due, from the message of the beat on."""
    queue = f"bench-{os.getpid()}-{time.monotonic_ns()}"
    app = make_app(queue)
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        f"{script}:app",
        "worker",
        "-P",
        "prefork",
        "-c",
        "2",
        "-l",
        "INFO",
    ]
    with tempfile.TemporaryFile("w+") as log:
        worker = subprocess.Popen(
            command,
            cwd=Path(__file__).parent,
            env={**os.environ, QUEUE_VARIABLE: queue},
            stdout=log,
            stderr=log,
        )
        try:
            _await(lambda: " ready." in _text(log), _START_SECONDS)
            before = _messages()
            figures = measured(lambda: _tick(app, tick, is_done), runs)
            figures["messages"] = _messages() - before
        except TimeoutError as error:
            raise RuntimeError(f"{error}\n{_text(log)[-3000:]}") from error
        finally:
            worker.terminate()
            worker.wait(60)
    return figures


def _tick(app: Celery, name: str, is_done: Callable[[], bool]) -> None:
    app.send_task(name)
    _await(is_done, _DRAIN_SECONDS)


def _messages() -> int:
    calls = redis.Redis.from_url(_BROKER).info("commandstats").get("cmdstat_lpush", {}).get("calls", 0)
    return int(calls)


def _await(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds} s")
        time.sleep(0.02)


def _text(log: object) -> str:
    log.seek(0)  # type: ignore[attr-defined]
    return str(log.read())  # type: ignore[attr-defined]
