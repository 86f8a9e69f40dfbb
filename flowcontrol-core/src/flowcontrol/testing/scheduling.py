"""What every scheduler has to hold, as tests: a class to inherit."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import pytest
from django.conf import settings as django_settings
from django.db import connection, transaction
from django.test import override_settings
from django.utils import timezone

from .. import conf
from ..documents import import_flow
from ..engine import Started, cancel_runs, pause_runs, resume_runs, start_flow
from ..exceptions import ConfigurationError
from ..models import FlowRun, RunStatus
from ..plugins.entry_points import installed_plugins
from ..plugins.loader import isolated_plugins
from ..schedulers import SchedulerHealth, forget_scheduler, get_scheduler, make_scheduler
from .probes import read_marks

__all__ = ["SchedulerConformance"]

_PROBES = "flowcontrol.testing.probes"
_LOOK_SECONDS = 0.02


class SchedulerConformance:
    """Inherit it, name the scheduler, and pytest holds it to the contract, on the tests' database.

        class TestAcme(SchedulerConformance):
            scheduler = "acme"

    Runs are started in this process. Who executes them is up to ``working``: instances of the scheduler that are
    started here (the one in use among them), unless it is overridden for workers that are processes of their own. These
    need the same database, and ``"flowcontrol.testing.probes"`` in their list of plugins.

    The database has to be one that several threads and processes can open: no SQLite in memory. A test that does not
    hold yet stands in ``expected_failures`` with the reason; it fails again once it does hold.
    """

    #: The name under which it is registered.
    scheduler: ClassVar[str]
    #: Its options, as in ``FLOWCONTROL["SCHEDULERS"]``.
    options: ClassVar[Mapping[str, Any]] = {}
    #: How much later than it is due a run may be executed, on a machine that has nothing else to do.
    tolerance_seconds: ClassVar[float] = 10.0
    #: How long a test waits for everything it started.
    patience_seconds: ClassVar[float] = 120.0
    #: How many runs are drained.
    many: ClassVar[int] = 10_000
    #: Tests that do not hold yet, by name, with the reason.
    expected_failures: ClassVar[Mapping[str, str]] = {}

    file: Path

    # -- for those who inherit ---------------------------------------------------------------------------------

    @contextmanager
    def working(self, count: int = 1) -> Iterator[None]:
        """Inside, so many workers are at work; afterwards they have finished their steps and handed back the rest."""
        schedulers = [get_scheduler(), *(make_scheduler(self.scheduler) for _ in range(count - 1))]
        try:
            for each in schedulers:
                each.start()
            yield
        finally:
            stopped = [each.stop(self.patience_seconds) for each in schedulers]
            assert all(stopped), "stop() was not done in time"

    def tick(self) -> None:
        """Called again and again while something is waited for: what cron would do for a scheduler that needs it."""

    # -- the contract ------------------------------------------------------------------------------------------

    def test_a_runnable_run_is_executed_once(self) -> None:
        with self.working():
            run = self._start("one")
            self._until(lambda: self._count(RunStatus.COMPLETED) == 1, "the run to be completed")
        assert read_marks(self.file) == [(run, "mark")]

    def test_a_transaction_that_is_rolled_back_executes_nothing(self) -> None:
        with self.working():
            with transaction.atomic():
                undone = self._start("one")
                transaction.set_rollback(True)
            run = self._start("one")
            self._until(lambda: self._count(RunStatus.COMPLETED) == 1, "the other run to be completed")
        # The id of the one may be given to the other.
        assert read_marks(self.file) == [(run, "mark")], f"run {undone} never was"

    def test_a_run_started_in_a_transaction_is_executed_after_its_commit(self) -> None:
        with self.working():
            with transaction.atomic():
                run = self._start("one")
                assert read_marks(self.file) == []
            self._until(lambda: self._count(RunStatus.COMPLETED) == 1, "the run to be completed")
        assert read_marks(self.file) == [(run, "mark")]

    def test_a_wait_ends_when_it_is_over_and_not_before(self) -> None:
        with self.working():
            run = self._start("pausing")
            self._until(lambda: self._count(RunStatus.COMPLETED) == 1, "the run to be completed")
        assert read_marks(self.file) == [(run, "before"), (run, "after")]
        history = FlowRun.objects.get(pk=run).history()
        waited, went_on = (record for record in history if record.step == "pause")
        late = (went_on.started_at - waited.started_at - timedelta(seconds=1)).total_seconds()
        assert 0 <= late <= self.tolerance_seconds, f"it went on {late} s after it was due"

    def test_two_at_work_execute_nothing_twice(self) -> None:
        with self.working(2):
            runs = [self._start("three") for _ in range(100)]
            self._until(lambda: self._count(RunStatus.COMPLETED) == 100, "100 runs to be completed")
        self._assert_marked_once(runs, 3)

    def test_lost_messages_lose_no_run(self) -> None:
        with self.working():
            with self._deaf():
                runs = [self._start("one") for _ in range(5)]
            self._until(
                lambda: self._count(RunStatus.COMPLETED) == 5, "runs that nobody was told of to be completed"
            )
        self._assert_marked_once(runs, 1)

    def test_messages_that_are_doubled_late_and_in_another_order_do_no_harm(self) -> None:
        with self.working(2):
            runs = [self._start("three") for _ in range(20)]
            for _ in range(2):
                get_scheduler().runs_ready(list(reversed(runs)))
            self._until(lambda: self._count(RunStatus.COMPLETED) == 20, "20 runs to be completed")
            get_scheduler().runs_ready([*runs, *runs, max(runs) + 1_000_000])
            last = self._start("one")
            self._until(lambda: self._count(RunStatus.COMPLETED) == 21, "the last run to be completed")
        self._assert_marked_once(runs, 3, besides=[last])

    def test_what_is_due_while_nobody_works_is_executed_later(self) -> None:
        runs = [self._start("three") for _ in range(20)]
        with self.working():
            self._until(lambda: self._count(RunStatus.COMPLETED) == 20, "runs of before to be completed")
        self._assert_marked_once(runs, 3)

    def test_a_stop_finishes_the_step_at_hand_and_loses_nothing(self) -> None:
        with self.working():
            runs = [self._start("slow") for _ in range(3)]
            self._until(lambda: len(read_marks(self.file)) >= 1, "the first step to be done")
        assert self._count(RunStatus.RUNNING) == 0, "a run that nobody works at still says that somebody does"
        with self.working():
            self._until(
                lambda: self._count(RunStatus.COMPLETED) == 3, "the runs to be completed after a restart"
            )
        self._assert_marked_once(runs, 3)

    def test_paused_and_cancelled_runs_are_left_alone(self) -> None:
        paused, cancelled, waiting = (
            self._start_unheard("one"),
            self._start_unheard("one"),
            self._start("pausing"),
        )
        assert pause_runs(paused).done == (paused,)
        assert cancel_runs(cancelled).done == (cancelled,)
        with self.working():
            get_scheduler().runs_ready([paused, cancelled])
            self._until(lambda: self._count(RunStatus.COMPLETED) == 1, "the third run to be completed")
            assert {run for run, _ in read_marks(self.file)} == {waiting}
            resume_runs(paused)
            self._until(lambda: self._count(RunStatus.COMPLETED) == 2, "the paused run to be completed")
        assert FlowRun.objects.get(pk=cancelled).status == RunStatus.CANCELLED

    def test_many_runs_are_drained(self) -> None:
        with self.working():
            with transaction.atomic():
                for _ in range(self.many):
                    self._start("pure")
            self._until(
                lambda: self._count(RunStatus.COMPLETED) == self.many, f"{self.many} runs to be completed"
            )

    @pytest.mark.parametrize("days", [-1, 1], ids=["slow", "fast"])
    def test_a_clock_that_is_wrong_by_a_day_neither_ends_waits_nor_keeps_runs(self, days: int) -> None:
        """The clock of this process, that is; that of workers elsewhere is theirs."""
        with _wrong_clock(timedelta(days=days)), self.working():
            waiting = self._start("pausing an hour")
            run = self._start("one")
            self._until(lambda: self._count(RunStatus.COMPLETED) == 1, "the run to be completed")
            self._until(lambda: self._count(RunStatus.WAITING) == 1, "the other run to wait")
            self.tick()
        assert {run for run, _ in read_marks(self.file)} == {run}
        assert FlowRun.objects.get(pk=waiting).status == RunStatus.WAITING

    def test_its_health_says_whether_somebody_works(self) -> None:
        told: list[SchedulerHealth] = [get_scheduler().health()]
        with self.working():
            self._until(lambda: get_scheduler().health().is_well, "the scheduler to be well")
            told.append(get_scheduler().health())
        for health in told:
            assert health.summary
            assert health.is_well or health.hint, f"{health.summary} - and what is to be done?"

    # -- what they are made of ---------------------------------------------------------------------------------

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        tests = {name for name in vars(SchedulerConformance) if name.startswith("test_")}
        overridden = sorted(tests & set(vars(cls)))
        if overridden:
            raise ConfigurationError(
                f"{cls.__qualname__} overrides {', '.join(overridden)}. The contract is the same for all schedulers; "
                "name a test that does not hold yet in expected_failures, with the reason."
            )
        wrong = sorted(set(cls.expected_failures) - tests)
        wrong += [name for name, reason in cls.expected_failures.items() if not str(reason).strip()]
        if wrong:
            raise ConfigurationError(
                f"{cls.__qualname__}.expected_failures: every test needs a reason, and has to be one of "
                f"{', '.join(sorted(tests))}: see {', '.join(wrong)}."
            )

    @pytest.fixture(autouse=True)
    def _prepared(
        self, request: pytest.FixtureRequest, transactional_db: None, tmp_path: Path
    ) -> Iterator[None]:
        if connection.vendor == "sqlite" and "memory" in str(connection.settings_dict["NAME"]):
            pytest.fail(
                "The tests' database is SQLite in memory, which the threads of a scheduler cannot open. Give it a "
                'file: DATABASES = {"default": {…, "TEST": {"NAME": "test.sqlite3"}}}.',
                pytrace=False,
            )
        reason = self.expected_failures.get(request.function.__name__)
        if reason:
            request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
        self.file = tmp_path / "marks"
        written = getattr(django_settings, conf.NAME, {})
        wanted = {
            **written,
            "PLUGINS": [*written.get("PLUGINS", ["*"]), _PROBES],
            "SCHEDULER": self.scheduler,
            "SCHEDULERS": {**written.get("SCHEDULERS", {}), self.scheduler: dict(self.options)},
        }
        with ExitStack() as stack:
            stack.enter_context(override_settings(**{conf.NAME: wanted}))
            stack.enter_context(isolated_plugins(installed_plugins(), None))
            forget_scheduler()
            stack.callback(forget_scheduler)
            self._import_flows()
            yield

    def _import_flows(self) -> None:
        def mark(step: str, seconds: float = 0) -> dict[str, Any]:
            return {
                "id": step,
                "action": "probes.mark",
                "config": {"file": str(self.file), "seconds": seconds},
            }

        def pause(seconds: float) -> dict[str, Any]:
            return {"id": "pause", "action": "probes.pause", "config": {"seconds": seconds}}

        flows: dict[str, Sequence[Mapping[str, Any]]] = {
            "one": [mark("mark")],
            "three": [mark("first"), mark("second"), mark("third")],
            "slow": [mark("first", 0.2), mark("second", 0.2), mark("third", 0.2)],
            "pausing": [mark("before"), pause(1), mark("after")],
            "pausing an hour": [pause(3_600), mark("after")],
            "pure": [{"id": "nothing", "action": "probes.nothing"}],
        }
        for name, steps in flows.items():
            import_flow(
                {
                    "flowcontrol": 1,
                    "slug": _slug(name),
                    "name": name.title(),
                    "history": "full",
                    "steps": steps,
                }
            )

    def _start(self, flow: str) -> int:
        started = start_flow(_slug(flow))
        assert isinstance(started, Started), started
        return int(started.run.pk)

    def _start_unheard(self, flow: str) -> int:
        with self._deaf():
            return self._start(flow)

    @contextmanager
    def _deaf(self) -> Iterator[None]:
        """Inside, messages to the scheduler are lost."""
        with mock.patch.object(type(get_scheduler()), "runs_ready"):
            yield

    def _count(self, status: RunStatus) -> int:
        return FlowRun.objects.filter(status=status).count()

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + self.patience_seconds
        while not condition():
            if time.monotonic() > end:
                runs = FlowRun.objects.values_list("pk", "flow__slug", "status", "step", "reason")[:20]
                pytest.fail(
                    f"Waited {self.patience_seconds:g} s for {what}. The runs: "
                    + "; ".join(" ".join(map(str, run)) for run in runs)
                )
            self.tick()
            time.sleep(_LOOK_SECONDS)

    def _assert_marked_once(self, runs: Sequence[int], steps: int, *, besides: Sequence[int] = ()) -> None:
        times = Counter(mark for mark in read_marks(self.file) if mark[0] not in besides)
        twice = {f"run {run}, step {step}": count for (run, step), count in times.items() if count > 1}
        assert not twice, f"executed more than once: {twice}"
        assert len(times) == steps * len(runs)
        assert {run for run, _ in times} == set(runs)


@contextmanager
def _wrong_clock(by: timedelta) -> Iterator[None]:
    real_now, real_time = timezone.now, time.time

    def now() -> datetime:
        return real_now() + by

    def seconds() -> float:
        return real_time() + by.total_seconds()

    with mock.patch.object(timezone, "now", now), mock.patch.object(time, "time", seconds):
        yield


def _slug(name: str) -> str:
    return "probe-" + name.replace(" ", "-")
