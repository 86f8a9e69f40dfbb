"""flowcontrol, used as its documentation says."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from on_celery import QUEUE_VARIABLE, drained, make_app
from protocol import Figures, Statements, database, measured, serve

#: In a worker of Celery's, the queue that it serves.
QUEUE = os.environ.get(QUEUE_VARIABLE, "")

settings.configure(
    SECRET_KEY="benchmark",  # noqa: S106  no secret
    USE_TZ=True,
    DATABASES={"default": database()},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "flowcontrol", "bench_app"]
    + (["flowcontrol_celery.apps.FlowcontrolCeleryConfig"] if QUEUE else []),
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    FLOWCONTROL={"PLUGINS": ["builtin", "celery"], "SCHEDULER": "celery"}
    if QUEUE
    else {"PLUGINS": ["builtin"]},
)
django.setup()
app = make_app(QUEUE, "flowcontrol_celery.tasks") if QUEUE else None

from django.core.management import call_command  # noqa: E402  settings come first
from flowcontrol.documents import import_flow  # noqa: E402  settings come first
from flowcontrol.engine import continue_flowruns, execute_run, fire_trigger, start_flow  # noqa: E402  settings come first
from flowcontrol.engine.claims import Share  # noqa: E402  settings come first
from flowcontrol.engine.clock import Clock  # noqa: E402  settings come first
from flowcontrol.models import Event, Flow, FlowRun, HistoryChunk, RunStatus  # noqa: E402  settings come first
from rows import copies, emptied, settled  # noqa: E402  settings come first

PAST = datetime(2020, 1, 1, tzinfo=UTC)


def pure(count: int = 10) -> list[dict[str, Any]]:
    return [
        {"id": f"s{number}", "action": "builtin.update_state", "config": {"state": {f"n{number}": number}}}
        for number in range(count)
    ]


def flow(slug: str, steps: list[dict[str, Any]], **keys: Any) -> Flow:
    return import_flow({"flowcontrol": 1, "slug": slug, "name": slug, "steps": steps, **keys})


class Flowcontrol:
    def __init__(self) -> None:
        self.statements: Statements | None = None

    def setup(self) -> None:
        """Tables, and the flows of all scenarios."""
        call_command("migrate", verbosity=0)
        for history in ("full", "errors", "none"):
            flow(f"pure-{history}", pure(), history=history)
        flow("external", [{"id": f"s{number}", "action": "bench_app.external"} for number in range(10)])
        inside = {"id": "inside", "action": "builtin.update_state", "config": {"state": {"a": 1}}}
        flow("loop", [{"id": "for", "action": "builtin.for", "config": {"end": "900"}, "steps": [inside]}])
        later = {"id": "later", "action": "builtin.delay", "config": {"seconds": 86_400 * 365}}
        flow("delayed", [later, *pure(1)])
        wait = {
            "id": "wait",
            "action": "builtin.wait_for_trigger",
            "config": {"trigger": "bench_app.fired", "match_object": False},
        }
        flow("awaiting", [wait, *pure(1)])
        flow("limited", pure(1), limits={"concurrent": 100, "when_reached": "skip"})

    def begin(self) -> None:
        """Once in each process, which may find rows that it has to leave alone."""
        self.statements = Statements()

    def one_by_one(self, size: int, slug: str = "pure-full") -> Figures:
        _empty()
        figures = measured(lambda: [execute_run(_started(slug)) for _ in range(size)], size, self.statements)
        _all_completed(size)
        return figures

    def worker(self, size: int, slug: str = "pure-full", threads: int = 0) -> Figures:
        _empty()
        first = _started(slug)
        copies(FlowRun, first, size - 1)
        settled()
        figures = measured(lambda: continue_flowruns(threads=threads), size, self.statements)
        _all_completed(size)
        return figures

    def celery(self, size: int) -> Figures:
        _empty()
        copies(FlowRun, _started("pure-full"), size - 1)
        settled()
        completed = FlowRun.objects.filter(status=RunStatus.COMPLETED)
        tick = "flowcontrol.tasks.continue_flowruns_task"
        return drained("flowcontrol_", tick, lambda: completed.count() == size, size)

    def loop(self, size: int) -> Figures:
        figures = self.one_by_one(size, "loop")
        return {**figures, "runs": size * 900}

    def waiting(self, rows: int) -> None:
        """Runs that wait for another year."""
        _empty()
        copies(FlowRun, execute_run(_started("delayed")).pk, rows - 1)
        settled()

    def drain(self, size: int) -> Figures:
        waiting = FlowRun.objects.filter(status=RunStatus.WAITING).count()
        template = FlowRun.objects.filter(status=RunStatus.WAITING).first()
        assert template is not None
        copies(FlowRun, template.pk, size, {"due_at": PAST, "wait_until": PAST})
        settled()
        figures = measured(self._drained, size, self.statements)
        _all_completed(size)
        assert FlowRun.objects.filter(status=RunStatus.WAITING).count() == waiting
        HistoryChunk.objects.filter(run__status=RunStatus.COMPLETED).delete()
        FlowRun.objects.filter(status=RunStatus.COMPLETED).delete()
        return figures

    def _drained(self) -> None:
        continue_flowruns()

    def listening(self, flows: int) -> None:
        """So many flows that start at the trigger."""
        _empty()
        for number in range(flows):
            flow(f"listens-{number}", pure(1), triggers=[{"on": "bench_app.fired"}])
        fire_trigger("bench_app.fired")

    def trigger(self, size: int, flows: int) -> Figures:
        """``size`` times the event; ``runs`` are events here."""
        _empty()
        figures = measured(lambda: _fire(size), size, self.statements)
        assert FlowRun.objects.count() == size * flows
        return figures

    def wake(self, size: int) -> Figures:
        _empty()
        copies(FlowRun, execute_run(_started("awaiting")).pk, size - 1)
        settled()
        figures = measured(lambda: fire_trigger("bench_app.fired"), size, self.statements)
        assert FlowRun.objects.due().count() == size
        return figures

    def workers(self, size: int, processes: int) -> Figures:
        """``runs`` that so many processes execute together; each exactly once."""
        _empty()
        copies(FlowRun, _started("pure-full"), size - 1)
        settled()
        children = [_worker() for _ in range(processes)]
        executed: list[int] = []

        def go() -> None:
            for child in children:
                _say(child, "go")
            executed.extend(int(_hear(child)) for child in children)

        figures = measured(go, size)
        for child in children:
            child.communicate()
        _all_completed(size)
        if sum(executed) != size or HistoryChunk.objects.count() != size:
            raise AssertionError(
                f"{size} runs, executed {executed}, {HistoryChunk.objects.count()} histories"
            )
        return {**figures, "executed": executed}

    def many(self, rows: int) -> None:
        """So many waiting runs, and so many ended ones of the flow with a limit."""
        _empty()
        copies(FlowRun, execute_run(_started("delayed")).pk, rows - 1)
        copies(FlowRun, execute_run(_started("limited")).pk, rows - 1)
        HistoryChunk.objects.all().delete()
        settled()

    def choose(self, size: int) -> Figures:
        """``size`` times: claim what is due, which is nothing."""
        share = Share()
        return measured(lambda: [share.claim(100, Clock()) for _ in range(size)], size, self.statements)

    def start(self, size: int) -> Figures:
        """``size`` starts of the flow with a limit."""
        pks: list[int] = []
        figures = measured(
            lambda: pks.extend(_started("limited") for _ in range(size)), size, self.statements
        )
        FlowRun.objects.filter(pk__in=pks).delete()
        return figures


def _started(slug: str) -> int:
    return start_flow(slug).run.pk  # type: ignore[union-attr]


def _fire(times: int) -> None:
    for _ in range(times):
        fire_trigger("bench_app.fired")


def _empty() -> None:
    emptied(HistoryChunk, FlowRun, Event)


def _all_completed(count: int) -> None:
    completed = FlowRun.objects.filter(status=RunStatus.COMPLETED).count()
    if completed != count:
        raise AssertionError(f"{completed} of {count} runs were completed")


def _worker() -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, str(Path(__file__).resolve()), "--worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert _hear(child) == "ready"
    return child


def _say(child: subprocess.Popen[str], text: str) -> None:
    assert child.stdin is not None
    child.stdin.write(text + "\n")
    child.stdin.flush()


def _hear(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def work() -> None:
    """A worker process: everything that is due, as soon as it is told to."""
    continue_flowruns(now=PAST)  # connects, and finds nothing
    print("ready", flush=True)
    sys.stdin.readline()
    executed = continue_flowruns().executed
    print(executed, flush=True)


if __name__ == "__main__":
    work() if "--worker" in sys.argv else serve(Flowcontrol())
