"""What a run costs: rows, bytes of write-ahead log and of history, commits, and the time of either side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flowcontrol.documents import import_flow
from flowcontrol.engine import continue_flowruns, start_flow
from flowcontrol.engine.due import Rounds
from flowcontrol.models import FlowRun, HistoryChunk
from rows import copies, emptied, settled
from world import Cost, cost, value


@dataclass(frozen=True)
class Profile:
    """A kind of flow, and what one run of it costs on the average of many."""

    name: str
    runs: int
    cost: Cost
    history_bytes: float

    def per_run(self, name: str) -> float:
        return float(getattr(self.cost, name)) / self.runs

    @property
    def workers_per_core(self) -> float:
        """Worker processes that one core of the database keeps busy."""
        database = self.cost.database_seconds
        return self.cost.python_seconds / database if database else 0.0


def _flows() -> dict[str, dict[str, Any]]:
    pure = [
        {"id": f"s{number}", "action": "builtin.update_state", "config": {"state": {f"n{number}": number}}}
        for number in range(10)
    ]
    external = [{"id": f"s{number}", "action": "bench_app.external"} for number in range(10)]
    day = {"id": "day", "action": "builtin.delay", "config": {"seconds": 86_400}}
    return {
        "ten steps in memory": {"steps": pure},
        "the same, history: errors": {"steps": pure, "history": "errors"},
        "the same, history: none": {"steps": pure, "history": "none"},
        "two steps around a wait": {"steps": [pure[0], day, pure[1]]},
        "ten steps that touch the world": {"steps": external},
    }


def measure(count: int, tell: Callable[[str], None]) -> list[Profile]:
    return [_measure(name, keys, count, tell) for name, keys in _flows().items()]


def _measure(name: str, keys: dict[str, Any], count: int, tell: Callable[[str], None]) -> Profile:
    slug = _imported(name, keys)
    if "touch" in name:
        # Each waits for the disk ten times.
        count = max(1, count // 10)
    _ready(slug, 50)
    continue_flowruns()
    _ready(slug, count)
    spent = cost(_drain)
    assert not FlowRun.objects.exclude(status="completed").exists()
    held = value(
        f"SELECT COALESCE(sum(pg_column_size(packed)), 0)::bigint FROM {HistoryChunk._meta.db_table}"
    )
    profile = Profile(name, count, spent, held / count)
    tell(
        f"{name:<32} {count / spent.seconds:>8,.0f} runs/s, {profile.per_run('wal_bytes'):>7,.0f} bytes of WAL a run"
    )
    return profile


def _imported(name: str, keys: dict[str, Any]) -> str:
    slug = name.replace(" ", "-").replace(",", "").replace(":", "")
    import_flow({"flowcontrol": 1, "slug": slug, "name": name, **keys})
    return slug


def _ready(slug: str, count: int) -> None:
    emptied(FlowRun)
    copies(FlowRun, start_flow(slug).run.pk, count - 1)
    settled()


def _drain() -> None:
    continue_flowruns()
    # A day later.
    if FlowRun.objects.filter(status="waiting").update(
        due_at="2020-01-01T00:00:00Z", wait_until="2020-01-01T00:00:00Z"
    ):
        continue_flowruns()


def batches(sizes: list[int], count: int, tell: Callable[[str], None]) -> dict[int, float]:
    """Runs per second of one worker, by the size of its batches."""
    slug = _imported("batches", {"steps": next(iter(_flows().values()))["steps"]})
    found = {}
    for size in sizes:
        _ready(slug, max(50, min(count, 40 * size)))
        runs = FlowRun.objects.count()
        rounds = Rounds(batch=size)
        spent = cost(lambda rounds=rounds: _until_idle(rounds))
        found[size] = runs / spent.seconds
        tell(f"{size:>6} in a batch: {found[size]:>8,.0f} runs/s, {spent.commits / runs:.3f} commits a run")
    return found


def shares(counts: list[int], tell: Callable[[str], None]) -> dict[int, float]:
    """Runs per second of one worker with so many flows that all have more due than it takes at once."""
    found = {}
    made = 0
    steps = next(iter(_flows().values()))["steps"][:1]
    for count in counts:
        while made < count:
            import_flow({"flowcontrol": 1, "slug": f"share-{made}", "name": "Share", "steps": steps})
            made += 1
        emptied(FlowRun)
        for number in range(count):
            copies(FlowRun, start_flow(f"share-{number}").run.pk, max(1, 4_000 // count) - 1)
        settled()
        runs = FlowRun.objects.count()
        spent = cost(continue_flowruns)
        found[count] = runs / spent.seconds
        tell(f"{count:>6} flows: {found[count]:>8,.0f} runs/s")
    return found


def _until_idle(rounds: Rounds) -> None:
    while rounds.round():
        pass
