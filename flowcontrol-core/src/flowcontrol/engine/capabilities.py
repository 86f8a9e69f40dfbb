"""Which runs this process can execute: a run that needs an action waits for a worker that has it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from .. import conf, plugins
from ..models import FlowRun, RunStatus, Worker
from ..models.run import FlowRunQuerySet
from ..plugins.versions import satisfies
from ..registry import actions
from .claims import database
from .clock import Clock
from .limits import recheck

__all__ = ["SOON", "another_has", "own_actions", "seen_for", "set_aside", "wake_blocked"]

#: When another worker has what is missing here, it has this long to finish what it is at.
SOON = timedelta(seconds=1)
#: A blocked run that is due for so long is one that no worker at work can take.
_OVERDUE = timedelta(seconds=10)
#: Runs written in one statement.
_CHUNK = 1_000


def own_actions() -> Sequence[str]:
    """Names of the actions that this process has."""
    return actions.names()


def seen_for() -> timedelta:
    """A worker that said nothing for so long counts as dead."""
    return timedelta(seconds=3 * conf.get("WORKER_HEARTBEAT_SECONDS"))


def another_has(action: str) -> bool:
    """Whether a worker at work says that it has an action which is missing here. One query.

    One that is declared here as well, and cannot be imported or knows no such configuration, is to be had where its
    plugin is newer, as during a deployment; elsewhere it is most likely missing, too.
    """
    seen = Worker.objects.using(database()).seen_since(Clock().after(-seen_for()))
    having = [worker for worker in seen.only("actions", "plugins") if action in worker.actions]
    if action not in actions:
        return bool(having)
    plugin = next((report for report in plugins.reports() if action in report.actions), None)
    if plugin is None:
        return False
    return any(satisfies(worker.plugins.get(plugin.name, ""), (f">{plugin.version}",)) for worker in having)


def wake_blocked() -> int:
    """Runs that are blocked on what this process has are due at once; returns how many."""
    clock = Clock()
    # None is due later than that, and the date is what there is an index on.
    blocked = _blocked().filter(due_at__lte=clock.after(recheck()), needs__in=own_actions())
    return _postpone(blocked, clock.now())


def set_aside(clock: Clock) -> int:
    """Look later at blocked runs that nobody takes, so that those which somebody can are not behind them."""
    overdue = _blocked().filter(due_at__lte=clock.after(-_OVERDUE)).exclude(needs__in=own_actions())
    return _postpone(overdue, clock.after(recheck()))


def _postpone(blocked: FlowRunQuerySet, to: Any) -> int:
    """Have these runs be due then; returns how many.

    Found first and written by their keys: an UPDATE along the dates would lock those of healthy runs as well, and
    deadlock with whoever executes them.
    """
    count = last = 0
    while ids := list(blocked.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:_CHUNK]):
        last = ids[-1]
        count += _blocked().filter(pk__in=ids).update(due_at=to)
    return count


def _blocked() -> FlowRunQuerySet:
    return FlowRun.objects.using(database()).filter(status=RunStatus.BLOCKED)
