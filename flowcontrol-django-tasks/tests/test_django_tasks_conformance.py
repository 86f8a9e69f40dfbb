"""The scheduler, held to the contract for schedulers, with real workers; and the plugin to that for packs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
from flowcontrol.schedulers import get_scheduler
from flowcontrol.testing import PackConformance, SchedulerConformance
from flowcontrol_tests.databases import chosen
from tasks_processes import Processes


@pytest.mark.every_database
class TestOnDjangoTasks(SchedulerConformance):
    scheduler = "django_tasks"
    options: ClassVar[dict[str, Any]] = {"tick_seconds": 2}
    many = 1_000 if chosen().name == "sqlite" else 10_000
    processes: Processes

    @pytest.fixture(autouse=True)
    def _processes(self, tmp_path: Path, _prepared: None) -> Iterator[None]:
        self.processes = Processes(tmp_path)
        yield
        self.processes.close()

    @contextmanager
    def working(self, count: int = 1) -> Iterator[None]:
        # What a deployment does, too.
        get_scheduler().start()
        workers = [self.processes.worker() for _ in range(count)]
        self.processes.ready(*workers)
        try:
            yield
        finally:
            codes = self.processes.stop(*workers)
        assert set(codes) <= {0}, self.processes.logs()

    def tick(self) -> None:
        assert all(worker.poll() in {None, 0} for worker in self.processes.all), self.processes.logs()


class TestPack(PackConformance):
    pack = "django_tasks"
    expected_failures: ClassVar[dict[str, str]] = {"P5": "the project has no public address yet"}
