"""The scheduler, held to the contract for schedulers, on real brokers; and the plugin to that for packs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
from celery_processes import Processes
from flowcontrol.testing import PackConformance, SchedulerConformance
from flowcontrol_tests.databases import chosen

MANY = 1_000 if chosen().name == "sqlite" else 10_000


class OnCelery(SchedulerConformance):
    scheduler = "celery"
    many = MANY
    processes: Processes

    @pytest.fixture(autouse=True)
    def _processes(self, tmp_path: Path, _prepared: None) -> Iterator[None]:
        self.processes = Processes(tmp_path, self.options["app"].partition(":")[2])
        self.processes.purge()
        yield
        self.processes.close()

    @contextmanager
    def working(self, count: int = 1) -> Iterator[None]:
        # The first one has beat in it: it starts sooner than two programs do.
        beats = [["-B", "--schedule", str(self.processes.folder / "beat")], *([[]] * (count - 1))]
        workers = [self.processes.worker(*beat, concurrency=2, wait=False) for beat in beats]
        self.processes.ready(*workers)
        try:
            yield
        finally:
            codes = self.processes.stop(*workers)
        assert codes == [0] * count


@pytest.mark.rabbitmq
class TestOnRabbitMQ(OnCelery):
    options: ClassVar[dict[str, Any]] = {"app": "celery_test_app:rabbitmq"}


@pytest.mark.redis
@pytest.mark.postgresql
@pytest.mark.mariadb
class TestOnRedis(OnCelery):
    options: ClassVar[dict[str, Any]] = {"app": "celery_test_app:redis"}


class TestPack(PackConformance):
    pack = "celery"
    expected_failures: ClassVar[dict[str, str]] = {"P5": "the project has no public address yet"}
