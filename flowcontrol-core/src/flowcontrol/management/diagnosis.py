"""What is wrong with a project, from its settings to its runs, and what to do about each: for ``flowcontrol doctor``.

Every part is looked at for itself, so that what is broken hides nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connections
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from .. import conf, plugins, registry, vault
from ..documents import flows_by_credential
from ..engine import programs
from ..engine.claims import claim_time, database, lease_length
from ..engine.clock import Clock
from ..engine.presence import active_plugins, difference
from ..engine.statistics import Statistics, statistics
from ..exceptions import ConfigurationError, FlowcontrolError
from ..models import Credential, Flow, FlowRun, RunStatus, Trigger
from ..models.database import DatabaseNow
from ..registry import MissingAction
from ..schedulers import SchedulerHealth, get_scheduler
from ..sentences import duration
from ..vault.seals import is_under_first_key

__all__ = ["AREAS", "Finding", "Level", "about_plugins", "diagnose"]

#: Clocks that differ by more are worth a word: dates that Python writes are then ahead of the database's or behind.
_SKEW_SECONDS = 2.0
#: A stretch of steps that takes longer is worth a word; so many are told.
_LONG_HELD, _MOST_HELD = timedelta(hours=1), 20


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: how it is, and what to do about it."""

    area: str
    level: Level
    text: str
    advice: str = ""


def diagnose() -> Iterator[Finding]:
    """Every area's findings, or that it is well, or why it cannot be looked at."""
    advice = "See to the database."
    for area, look in AREAS.items():
        try:
            found = list(look())
        except DatabaseError as error:
            yield Finding(area, Level.ERROR, f"Cannot be looked at: {str(error).strip()}", advice)
        except Exception as error:  # noqa: BLE001  whatever is broken there, the other areas are to be looked at
            told = str(error) if isinstance(error, FlowcontrolError) else f"{type(error).__name__}: {error}"
            yield Finding(area, Level.ERROR, f"Cannot be looked at: {told}")
        else:
            yield from found or [Finding(area, Level.OK, "fine")]
            if found and area == "database":
                advice = f"First: {found[0].advice}"


def _settings() -> Iterator[Finding]:
    for sentence in conf.find_wrong():
        yield Finding("settings", Level.ERROR, sentence, "Correct settings.FLOWCONTROL.")
    for sentence in conf.find_unknown():
        yield Finding("settings", Level.WARNING, sentence, "Correct settings.FLOWCONTROL.")
    if not settings.USE_TZ:
        yield Finding(
            "settings",
            Level.WARNING,
            "USE_TZ is off, so dates are ambiguous twice a year.",
            "Set it to True.",
        )
    if not settings.is_overridden("TIME_ZONE"):  # type: ignore[misc]  # documented, and not in the stubs
        yield Finding(
            "settings",
            Level.WARNING,
            f"TIME_ZONE is not set, so that a wait until 9:00 means 9:00 in {settings.TIME_ZONE}.",
            "Set it to where the people are about whom the flows are.",
        )


def about_plugins() -> Iterator[Finding]:
    """Plugins that cannot be used, or look odd, and actions whose class cannot be imported; imports all of them."""
    loaded = plugins.current()
    for sentence in loaded.malformed:
        yield Finding("plugins", Level.ERROR, sentence, 'Correct FLOWCONTROL["PLUGINS"].')
    for report in loaded.problems:
        yield Finding("plugins", Level.ERROR, f"The {report.title}: {report.reason}", report.hint)
    for report in loaded.reports:
        for sentence in report.warnings:
            yield Finding("plugins", Level.WARNING, f"The {report.title}: {sentence}", "Tell its author.")
        failures = loaded.failures[report.name]
        if failures:
            yield Finding(
                "plugins",
                Level.WARNING,
                f"The {report.title}: {failures} of its notifications failed.",
                "See the log.",
            )
    for name in registry.actions.names():
        action = registry.actions.resolve(name)
        if isinstance(action, MissingAction):
            yield Finding("plugins", Level.ERROR, f'The action "{name}": {action.reason}', action.hint)


def _database() -> Iterator[Finding]:
    connection = connections[database()]
    connection.ensure_connection()
    executor = MigrationExecutor(connection)
    waiting = [str(migration) for migration, _ in executor.migration_plan(executor.loader.graph.leaf_nodes())]
    if waiting:
        yield Finding(
            "database",
            Level.ERROR,
            f"Migrations are not applied: {', '.join(waiting[:5])}",
            "manage.py migrate",
        )


def _clock() -> Iterator[Finding]:
    skew = abs((timezone.now() - _database_time()).total_seconds())
    if skew > _SKEW_SECONDS:
        yield Finding(
            "clock",
            Level.WARNING,
            f"This machine's clock and the database's differ by {skew:.1f} s.",
            "Leases and waits go by the database's clock. Have both set by NTP.",
        )


def _database_time() -> datetime:
    """Asked with a row of the one table that has some as soon as there are any tables."""
    connection = connections[database()]
    recorded = MigrationRecorder(connection).migration_qs.values_list(DatabaseNow(), flat=True)
    told: datetime | None = recorded.first()
    if told is None:
        raise FlowcontrolError("The clock cannot be asked for before the first migration.")
    return told


def _scheduler() -> Iterator[Finding]:
    try:
        name = conf.settings.SCHEDULER
    except ConfigurationError as error:
        yield Finding("scheduler", Level.ERROR, str(error))
        return
    if name not in registry.schedulers:
        yield Finding(
            "scheduler",
            Level.ERROR,
            f'FLOWCONTROL["SCHEDULER"] is "{name}", which no loaded plugin provides.',
            f"There are: {', '.join(registry.schedulers.names())}.",
        )
        return
    yield from _workers(statistics(), get_scheduler().health())


def _workers(told: Statistics, health: SchedulerHealth) -> Iterator[Finding]:
    alive = [worker for worker in told.workers if worker.is_alive]
    overdue = sum(flow.overdue for flow in told.flows)
    lag = max((flow.lag_seconds for flow in told.flows), default=0.0)
    if overdue:
        yield Finding(
            "scheduler",
            Level.WARNING if health.is_well else Level.ERROR,
            f"{overdue} runs are due for more than a minute, the first of them for {lag:.0f} s.",
            "Start more workers, or see whether a step holds them."
            if health.is_well
            else f"{health.summary} {health.hint}".rstrip(),
        )
    elif not health.is_well:
        yield Finding("scheduler", Level.WARNING, health.summary, health.hint)
    mine = active_plugins()
    for worker in alive:
        if worker.plugins != mine:
            yield Finding(
                "scheduler",
                Level.WARNING,
                f"The worker {worker.name} has other plugins than this process: {difference(worker.plugins, mine)}.",
                "Install the same everywhere and restart, unless that is what you mean.",
            )


def _runs() -> Iterator[Finding]:
    yield from _held()
    told = statistics()
    for blocked in told.blocked:
        yield Finding(
            "runs",
            Level.WARNING,
            f'{blocked.count} runs of "{blocked.flow}" are blocked: {blocked.reason}',
            "They go on by themselves when a worker has what is missing.",
        )
    for flow in told.flows:
        if flow.failed:
            yield Finding(
                "runs",
                Level.WARNING,
                f'{flow.failed} runs of "{flow.flow}" failed within 24 hours.',
                f"manage.py flowcontrol runs --flow {flow.flow} --status failed, then restart them.",
            )


def _held() -> Iterator[Finding]:
    """Runs that one worker has had in its hands for long: its heartbeat goes on while a step of theirs hangs."""
    clock = Clock()
    # Between now and the end of the longest lease: by an index, however many runs wait.
    leased = FlowRun.objects.using(database()).filter(
        status=RunStatus.RUNNING, due_at__gt=clock.now(), due_at__lte=clock.after(lease_length())
    )
    for token, flow, step in leased.order_by("token").values_list("token", "flow__slug", "step")[:_MOST_HELD]:
        length = timezone.now() - claim_time(token)
        if length > _LONG_HELD:
            at = f' at step "{step}"' if step else ""
            yield Finding(
                "runs",
                Level.WARNING,
                f'A run of "{flow}" has been executed for {duration(length)} on end; its last checkpoint was{at}.',
                "Look what its worker does (py-spy dump), and give the step a timeout. Once the worker is killed, "
                "another one goes on with the run.",
            )


def _flows() -> Iterator[Finding]:
    for flow in Flow.objects.using(database()).active().with_published():
        assert flow.published is not None, "active() is about published ones"
        for node in programs.for_version(flow.published).nodes:
            if isinstance(node.action, MissingAction):
                yield Finding(
                    "flows",
                    Level.WARNING,
                    f'Step "{node.id}" of "{flow.slug}" uses {node.action.name}. {node.action.reason}',
                    node.action.hint,
                )
    known = set(registry.triggers.names())
    for on, slug in Trigger.objects.using(database()).values_list("on", "flow__slug"):
        if on not in known:
            yield Finding(
                "flows",
                Level.WARNING,
                f'A trigger of "{slug}" waits for {on}, which nothing registers.',
                "Install the plugin that fires it, or delete the trigger.",
            )


def _credentials() -> Iterator[Finding]:
    names = list(Credential.objects.values_list("name", flat=True))
    used = {*flows_by_credential(names), *vault.rows_by_credential(names)}
    for row in Credential.objects.order_by("name"):
        if problem := vault.problem_of(row):
            yield Finding(
                "credentials",
                Level.ERROR if row.name in used else Level.WARNING,
                problem,
                "" if row.name in used else "Nothing uses it.",
            )
    keys = conf.credential_keys()
    if len(keys) > 1:
        behind = sum(not is_under_first_key(row.sealed) for row in Credential.objects.sealed())
        yield Finding(
            "credentials",
            Level.WARNING,
            f"There are {len(keys)} keys, and {behind} credentials are not encrypted under the first.",
            "manage.py flowcontrol credentials rotate, then take the others away."
            if behind
            else "Take the others away.",
        )


#: What is looked at, in this order.
AREAS: Mapping[str, Callable[[], Iterator[Finding]]] = {
    "settings": _settings,
    "plugins": about_plugins,
    "database": _database,
    "clock": _clock,
    "scheduler": _scheduler,
    "runs": _runs,
    "flows": _flows,
    "credentials": _credentials,
}
