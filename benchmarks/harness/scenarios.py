"""What is measured: scenarios, who takes part in them with which size, and what the results have to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One line of the table: a contender at a task."""

    label: str
    script: str
    task: str
    size: int
    keys: dict[str, Any] = field(default_factory=dict)
    #: Which of the contender's databases.
    database: str = "main"
    #: A task that has to be done once before, and its keywords.
    before: tuple[str, dict[str, Any]] | None = None


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    entries: list[Entry]
    #: "runs/s", or "ms" for each of what was counted.
    unit: str = "runs/s"


@dataclass(frozen=True)
class Demand:
    """``left`` (scenario, label, figure) against ``right`` or a number; ``at_least`` or ``at_most``."""

    text: str
    left: tuple[str, str, str]
    right: tuple[str, str, str] | None = None
    at_least: float | None = None
    at_most: float | None = None


PEER_ROWS = {"rows": 200_000}


def scenarios() -> list[Scenario]:
    return [
        Scenario(
            "one-by-one",
            "10 pure steps, start_flow and execute_run for each",
            [
                Entry("flowcontrol", "flowcontrol_", "one_by_one", 400),
                Entry("peer", "peer", "one_by_one", 60),
                Entry("driver", "driver", "one_by_one", 400),
            ],
        ),
        Scenario(
            "worker",
            "10 pure steps, started before, executed by the worker in batches",
            [
                Entry("flowcontrol", "flowcontrol_", "worker", 5_000),
                Entry("flowcontrol errors-only", "flowcontrol_", "worker", 5_000, {"slug": "pure-errors"}),
                Entry("peer", "peer", "worker", 60),
                Entry("driver", "driver", "batches", 5_000),
                Entry("driver errors-only", "driver", "batches", 5_000, {"history": False}),
            ],
        ),
        Scenario(
            "checkpoints",
            "10 external steps, a checkpoint each",
            [
                Entry("flowcontrol", "flowcontrol_", "one_by_one", 60, {"slug": "external"}),
                Entry("flowcontrol worker", "flowcontrol_", "worker", 60, {"slug": "external"}),
                Entry(
                    "flowcontrol 16 threads",
                    "flowcontrol_",
                    "worker",
                    300,
                    {"slug": "external", "threads": 16},
                ),
                Entry("peer", "peer", "one_by_one", 60, {"slug": "external"}),
                Entry("dbos", "dbos_", "one_by_one", 30),
                Entry("driver", "driver", "checkpoints", 60),
            ],
        ),
        Scenario(
            "loop",
            "a loop of 900 rounds with one step",
            [Entry("flowcontrol", "flowcontrol_", "loop", 40), Entry("peer", "peer", "loop", 1)],
            "rounds/s",
        ),
        Scenario(
            "drain",
            "due runs among 200,000 that wait: the wait is over, one more step, ended",
            [
                Entry("flowcontrol", "flowcontrol_", "drain", 10_000, before=("waiting", PEER_ROWS)),
                Entry("peer", "peer", "drain", 1_000, before=("waiting", PEER_ROWS)),
                Entry("driver", "driver", "drain", 10_000, before=("waiting", PEER_ROWS)),
            ],
        ),
        *(_trigger(flows) for flows in (1, 10, 100)),
        Scenario(
            "wake",
            "an event wakes 1,000 runs that wait for it",
            [Entry("flowcontrol", "flowcontrol_", "wake", 1_000), Entry("peer", "peer", "wake", 1_000)],
        ),
        Scenario(
            "workers",
            "10 pure steps, executed by worker processes",
            # Fewer are over in less than a second, in which the first batch of each process and the last of all count.
            [
                Entry(f"flowcontrol x{count}", "flowcontrol_", "workers", 40_000, {"processes": count})
                for count in (1, 2, 4)
            ],
        ),
        Scenario(
            "celery",
            "10 pure steps, due, executed by Celery on Redis with 2 prefork processes",
            [
                Entry("flowcontrol", "flowcontrol_", "celery", 8_000),
                Entry("peer", "peer", "celery", 300),
            ],
        ),
        _rows("choose", "looking for due runs where none is, among so many that wait", 50),
        _rows("start", "starting a run of a limited flow that has so many ended runs", 20),
    ]


def _trigger(flows: int) -> Scenario:
    before = ("listening", {"flows": flows})
    return Scenario(
        f"trigger-{flows}",
        f"an event starts {flows} flow{'s' if flows > 1 else ''}",
        [
            Entry(script.rstrip("_"), script, "trigger", 10, {"flows": flows}, f"trigger{flows}", before)
            for script in ("flowcontrol_", "peer")
        ],
        "ms",
    )


def _rows(task: str, title: str, size: int) -> Scenario:
    return Scenario(
        task,
        title,
        [
            Entry(
                f"{script.rstrip('_')} {rows:,}",
                script,
                task,
                size,
                database=f"rows{rows}",
                before=("many", {"rows": rows}),
            )
            for script in ("flowcontrol_", "peer")
            for rows in (10_000, 1_000_000)
        ],
        "ms",
    )


def demands() -> list[Demand]:
    """What the issue asks of PostgreSQL, in its words."""

    def rate(scenario: str, label: str = "flowcontrol") -> tuple[str, str, str]:
        return scenario, label, "rate"

    def ms(scenario: str, label: str) -> tuple[str, str, str]:
        return scenario, label, "ms"

    worker, errors = rate("worker"), rate("worker", "flowcontrol errors-only")
    return [
        Demand("one by one: times the peer", rate("one-by-one"), rate("one-by-one", "peer"), at_least=15),
        Demand("worker, history full: times the peer", worker, rate("worker", "peer"), at_least=40),
        Demand("worker, errors only: times the peer", errors, rate("worker", "peer"), at_least=100),
        Demand("worker: driver's runs/s by ours", rate("worker", "driver"), worker, at_most=2),
        Demand(
            "checkpoints, one by one: times the peer",
            rate("checkpoints"),
            rate("checkpoints", "peer"),
            at_least=4,
        ),
        Demand(
            "checkpoints, one by one: times DBOS",
            rate("checkpoints"),
            rate("checkpoints", "dbos"),
            at_least=4,
        ),
        *(
            Demand(
                f"checkpoints, worker with 16 threads: times {whose}",
                rate("checkpoints", "flowcontrol 16 threads"),
                rate("checkpoints", label),
                at_least=4,
            )
            for whose, label in (("the peer", "peer"), ("DBOS", "dbos"))
        ),
        Demand(
            "checkpoints, one by one: driver's runs/s by ours",
            rate("checkpoints", "driver"),
            rate("checkpoints"),
            at_most=1.8,
        ),
        Demand("loop: times the peer", rate("loop"), rate("loop", "peer"), at_least=300),
        Demand("drain: times the peer", rate("drain"), rate("drain", "peer"), at_least=60),
        Demand("drain: statements per run", ("drain", "flowcontrol", "statements"), at_most=0.3),
        Demand("drain: MB over start", ("drain", "flowcontrol", "peak_mb"), at_most=50),
        Demand("trigger, 100 flows: statements", ("trigger-100", "flowcontrol", "statements"), at_most=12),
        Demand("wake of 1,000: statements", ("wake", "flowcontrol", "all_statements"), at_most=12),
        Demand("Celery, 2 processes: times the peer", rate("celery"), rate("celery", "peer"), at_least=15),
        Demand("Celery: messages per run", ("celery", "flowcontrol", "messages"), at_most=0.1),
        *(
            Demand(
                f"{task}: 1,000,000 rows by 10,000",
                ms(task, "flowcontrol 1,000,000"),
                ms(task, "flowcontrol 10,000"),
                at_most=1.3,
            )
            for task in ("choose", "start")
        ),
        # Falling by less than the noise of a round is not falling.
        *(
            Demand(
                f"{more} workers by {fewer}",
                rate("workers", f"flowcontrol x{more}"),
                rate("workers", f"flowcontrol x{fewer}"),
                at_least=0.97,
            )
            for fewer, more in ((1, 2), (2, 4))
        ),
    ]
