"""What a scenario plays with: a database, workers, flows, dice, and the figures that it reports."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import invariants
import workers
from django.db import Error, connections
from flowcontrol.documents import import_flow
from flowcontrol.engine import Started, start_flow
from flowcontrol.models import FlowRun

__all__ = ["Game", "LeftOut", "ten_steps"]


class LeftOut(Exception):
    """The scenario cannot be played here; the message says why."""


def ten_steps(slug: str = "ten", pairs: int = 5) -> dict[str, Any]:
    """A flow of steps that write here and steps that call the world, by turns."""
    steps = []
    for number in range(pairs):
        steps.append({"id": f"write{number}", "action": "faults.write"})
        steps.append({"id": f"call{number}", "action": "faults.call"})
    return {"flowcontrol": 1, "slug": slug, "name": slug, "steps": steps}


@dataclass
class Game:
    database: str
    is_full: bool
    seed: int
    folder: Path
    server: Any = None
    figures: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    workers: list[workers.Worker] = field(default_factory=list)
    #: What the scenario says that it could not do.
    notes: list[str] = field(default_factory=list)
    started: int = 0
    kills: int = 0

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.log = self.folder / "workers.log"

    def size(self, ci: int, full: int) -> int:
        return full if self.is_full else ci

    def flow(self, document: dict[str, Any]) -> None:
        import_flow(document)

    def start(self, slug: str, number: int, **arguments: Any) -> list[int]:
        ids = []
        for _ in range(number):
            self.started += 1
            key = f"{self.seed}-{self.started}"
            given = {"state": {"note": invariants.SECRET}, **arguments}
            started = start_flow(slug, key=key, **given)
            assert isinstance(started, Started), started
            ids.append(started.run.pk)
        return ids

    # -- workers -----------------------------------------------------------------------------------------------

    def worker(self, *arguments: str, plan: workers.Plan | None = None) -> workers.Worker:
        worker = workers.fork(self.log, arguments, plan)
        self.workers.append(worker)
        return worker

    def process(self, work: Callable[[], object], plan: workers.Plan | None = None) -> workers.Worker:
        worker = workers.fork(self.log, work, plan)
        self.workers.append(worker)
        return worker

    def spawned(
        self, arguments: Sequence[str] = (), environment: dict[str, str] | None = None
    ) -> workers.Worker:
        worker = workers.spawn(self.log, arguments, environment)
        self.workers.append(worker)
        return worker

    def stop_all(self) -> None:
        """Stop those still alive as an administrator would; it is a problem when one does not leave well."""
        alive = [worker for worker in self.workers if worker.poll() is None]
        for worker in alive:
            worker.signal(signal.SIGTERM)
        for worker in alive:
            status = worker.join()
            if status:
                self.problems.append(f"worker {worker.pid} left with {status} after SIGTERM")
        self.workers = []

    def kill_all(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                os.kill(worker.pid, signal.SIGKILL)
                worker.join()
        self.workers = []

    # -- looking -----------------------------------------------------------------------------------------------

    def live(self) -> int:
        return FlowRun.objects.live().count()

    def held(self) -> int:
        return FlowRun.objects.filter(status="running").count()

    def wait_for_ends(self, seconds: float) -> None:
        """Until no run is live."""
        try:
            workers.await_condition(lambda: not self.survived(self.live), seconds, "the ends of all runs")
        except AssertionError as error:
            self.problems.append(str(error))

    def survived(self, look: Callable[[], int]) -> int:
        """The answer; 1 while the database is away."""
        try:
            return look()
        except Error:
            connections.close_all()
            return 1

    def until(self, condition: Callable[[], object], seconds: float, what: str) -> None:
        workers.await_condition(condition, seconds, what)

    # -- the end -----------------------------------------------------------------------------------------------

    def check(self, *, writes: int | None = None, calls: int | None = None, may_fail: bool = False) -> None:
        """The invariants; and how many database steps were to be applied, and steps to be called outside, in all."""
        self.problems += list(invariants.problems(self.log, may_fail))
        key = connections["default"].ops.quote_name("key")
        applied = invariants.scalar("SELECT count(*) FROM faultapp_audit")
        distinct = invariants.scalar(f"SELECT count(DISTINCT {key}) FROM faultapp_audit")
        called = invariants.scalar("SELECT count(*) FROM faultapp_call")
        keys = invariants.scalar(f"SELECT count(DISTINCT {key}) FROM faultapp_call")
        if writes is not None and (applied, distinct) != (writes, writes):
            self.problems.append(f"I2 {applied} rows of {distinct} steps, wanted {writes}")
        if calls is not None and keys != calls:
            self.problems.append(f"I3 {keys} steps called outside, wanted {calls}")
        self.figures.update(
            runs=invariants.scalar("SELECT count(*) FROM flowcontrol_flowrun"),
            lost=invariants.scalar("SELECT count(*) FROM flowcontrol_flowrun WHERE ended_at IS NULL"),
            doubled=applied - distinct,
            extra_calls=called - keys,
        )
        if self.kills:
            self.figures["kills"] = self.kills

    @property
    def extra_calls(self) -> int:
        return int(self.figures["extra_calls"])

    def bound_extra_calls(self, most: int) -> None:
        if self.extra_calls > most:
            self.problems.append(f"I3 {self.extra_calls} calls too many, allowed {most}")

    def tail(self) -> str:
        if not self.log.exists():
            return ""
        lines = self.log.read_text(errors="replace").splitlines(keepends=True)
        return "".join(line for line in lines if not line.startswith("Worker st"))[-4_000:]
