"""Who executes a run: claims in batches, and the leases they are."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import takewhile
from typing import Any, cast

from django.db import connections, router, transaction
from django.db.models import Exists, OuterRef
from django.db.models.sql import UpdateQuery

from .. import conf
from ..models import Flow, FlowRun
from ..models.database import DatabaseNow
from ..models.reading import Reader
from ..models.run import FlowRunQuerySet
from ..registry import actions
from . import faults, transitions
from .clock import Clock

__all__ = ["Chosen", "Claim", "Share", "claim", "claim_time", "database", "lease_length", "renew"]


@dataclass(frozen=True, slots=True)
class Claim:
    """A run that this process may execute and write as long as its lease lasts."""

    run: FlowRun
    token: str
    #: The database's time of the claim, and ``time.monotonic()`` then.
    claimed_at: datetime
    started: float


def database() -> str:
    """Alias of the database that runs are written to."""
    return router.db_for_write(FlowRun)


def lease_length() -> timedelta:
    return timedelta(seconds=conf.get("LEASE_SECONDS"))


def _new_token() -> str:
    """Nobody else's, ever; it begins with the second of the claim, for ``claim_time``."""
    return f"{int(time.time()):08x}{uuid.uuid4().hex[8:]}"


def claim_time(token: str) -> datetime:
    """When the claim with this token was made, by the clock of who made it. For people: nothing is decided by it."""
    return datetime.fromtimestamp(int(token[:8], 16), UTC)


def claim(
    limit: int, clock: Clock, run_ids: Sequence[int] | None = None, *, flow_id: int | None = None
) -> list[Claim]:
    """Take up to ``limit`` due runs (of these ids or of this flow, when given), longest due first."""
    faults.reach("claim.before")
    token = _new_token()
    connection = connections[database()]
    if run_ids is not None and len(run_ids) == 1 and connection.vendor == "postgresql":
        taken = _take_one(run_ids[0], token, clock)
    else:
        due = FlowRun.objects.using(connection.alias).due(clock.now()).needing_only(actions.names())
        if flow_id is not None:
            due = due.filter(flow_id=flow_id)
        if run_ids is not None:
            due = due.filter(pk__in=run_ids)
        if connection.features.has_select_for_update:
            taken = _take_locked(due, limit, token, clock)
        else:
            # SQLite has no row locks: the UPDATE repeats the condition, so that of two workers one gets each run.
            ids = run_ids if run_ids is not None and len(run_ids) == 1 else _pick(due, limit)
            taken = _take_by_update(due, ids, token, clock) if ids else []
    # After the claim, so that the time told from here is never ahead of the database's.
    started = time.monotonic()
    if taken:
        faults.reach("claim.after")
    return [Claim(run, token, clock.at_claim(run.claimed_at), started) for run in taken]


class Chosen:
    """Claims of certain runs only."""

    def __init__(self, run_ids: Sequence[int]) -> None:
        self.run_ids = tuple(run_ids)

    def claim(self, limit: int, clock: Clock) -> list[Claim]:
        """Take up to ``limit`` of them, as far as they are due."""
        return claim(limit, clock, self.run_ids) if self.run_ids else []


class Share:
    """Claims for one worker, so that each flow gets its share when more is due than is taken at once.

    As long as a claim takes everything that is due, the longest due goes first. Once a claim is full, flows take
    turns, those of a higher priority before the others: 100,000 due runs of one flow do not keep another one waiting.
    A worker of certain queues always takes flow by flow.
    """

    def __init__(self, queues: Sequence[str] = ()) -> None:
        self.queues = tuple(queues)
        self._is_crowded = False
        #: The flow whose turn was last.
        self._last = 0

    def claim(self, limit: int, clock: Clock) -> list[Claim]:
        """Take up to ``limit`` due runs."""
        takes_turns = self._is_crowded or self.queues
        taken = self._by_flow(limit, clock) if takes_turns else claim(limit, clock)
        self._is_crowded = len(taken) >= limit
        return taken

    def _by_flow(self, limit: int, clock: Clock) -> list[Claim]:
        taken: list[Claim] = []
        for equals in self._due_flows(clock):
            hungry = equals
            while hungry and len(taken) < limit:
                hungry = self._one_turn_each(hungry, limit, taken, clock)
        return taken

    def _one_turn_each(self, flow_ids: list[int], limit: int, taken: list[Claim], clock: Clock) -> list[int]:
        """Take an even share from each; returns the flows that may have more."""
        share = -(-(limit - len(taken)) // len(flow_ids))
        hungry: list[int] = []
        for flow_id in flow_ids:
            wanted = min(share, limit - len(taken))
            if not wanted:
                break
            got = claim(wanted, clock, flow_id=flow_id)
            taken += got
            self._last = flow_id
            if len(got) == wanted:
                hungry.append(flow_id)
        return hungry

    def _due_flows(self, clock: Clock) -> list[list[int]]:
        """Flows that have due runs: the highest priority first, and among equals those after the last one."""
        runs = FlowRun.objects.using(database()).filter(flow_id=OuterRef("pk"), due_at__lte=clock.now())
        flows = Flow.objects.using(database()).filter(Exists(runs))
        if self.queues:
            flows = flows.filter(queue__in=self.queues)
        by_priority: dict[int, list[int]] = {}
        for pk, priority in flows.order_by("-priority", "pk").values_list("pk", "priority"):
            by_priority.setdefault(priority, []).append(pk)
        return [sorted(ids, key=lambda pk: (pk <= self._last, pk)) for ids in by_priority.values()]


def _take_one(run_id: int, token: str, clock: Clock) -> list[Any]:
    """One run by its id, in one statement.

    Its commit does not wait for the disk: a claim that a crash of the database undoes leaves the run due, and the
    token keeps whoever held it from writing.
    """
    connection = connections[database()]
    # Inside somebody's transaction it would be that one's commit.
    unwaited = "" if connection.in_atomic_block else ", set_config('synchronous_commit', 'off', true)"
    sql, parameters = _update_of_one(connection.alias, clock, lease_length())
    instead: dict[Any, Any] = {_ANY_RUN: run_id, _ANY_TOKEN: token}
    with connection.cursor() as cursor:
        cursor.execute(sql + unwaited, [instead.get(each, each) for each in parameters])
        row = cursor.fetchone()
    if row is None:
        return []
    run: Any = _runs.instance(row, connection.alias)
    run.claimed_at = row[len(_runs.fields)]
    return [run]


_runs = Reader(FlowRun)
#: Stand for the values in the statement that is made once.
_ANY_RUN, _ANY_TOKEN = -1, "any token"


def _update_of_one(alias: str, clock: Clock, lease: timedelta) -> tuple[str, Sequence[Any]]:
    """SQL and parameters; made once for the database's own clock."""
    if type(clock) is Clock:
        return _made_update_of_one(alias, lease)
    return _make_update_of_one(alias, clock, lease)


@cache
def _made_update_of_one(alias: str, lease: timedelta) -> tuple[str, Sequence[Any]]:
    return _make_update_of_one(alias, Clock(), lease)


def _make_update_of_one(alias: str, clock: Clock, lease: timedelta) -> tuple[str, Sequence[Any]]:
    due = FlowRun.objects.using(alias).filter(pk=_ANY_RUN, due_at__lte=clock.now())
    update = cast("UpdateQuery", due.query.chain(UpdateQuery))
    update.add_update_values(transitions.running(_ANY_TOKEN, clock, lease))
    sql, parameters = update.get_compiler(alias).as_sql()
    return f"{sql} RETURNING {_runs.columns}, STATEMENT_TIMESTAMP()", parameters


def _take_locked(due: FlowRunQuerySet, limit: int, token: str, clock: Clock) -> list[Any]:
    features = connections[due.db].features
    with transaction.atomic(using=due.db):
        # Workers poll at once; each must get other runs instead of waiting for the same ones.
        locked = due.select_for_update(skip_locked=features.has_select_for_update_skip_locked)
        runs = _together(list(_dated(locked)[:limit]))
        if runs:
            _held(due, runs).update(**transitions.running(token, clock, lease_length()))
    for run in runs:
        run.claim_count += 1
    return runs


def _pick(due: FlowRunQuerySet, limit: int) -> list[int]:
    return [run.pk for run in _together(list(due.only("pk", "claim_count")[:limit]))]


def _take_by_update(due: FlowRunQuerySet, ids: Sequence[int], token: str, clock: Clock) -> list[Any]:
    if not due.order_by().filter(pk__in=ids).update(**transitions.running(token, clock, lease_length())):
        return []
    held = FlowRun.objects.using(due.db).filter(pk__in=ids, token=token)
    return list(_dated(held.order_by("id")))


def _together(due: list[Any]) -> list[Any]:
    """The runs to claim with one token: those up to the first that was claimed before without a checkpoint.

    Such a run may have killed its worker. It is claimed alone, so that its crashes count against nobody else.
    """
    if due and due[0].claim_count:
        return due[:1]
    return list(takewhile(lambda run: not run.claim_count, due))


def _held(due: FlowRunQuerySet, runs: Sequence[FlowRun]) -> FlowRunQuerySet:
    return FlowRun.objects.using(due.db).filter(pk__in=[run.pk for run in runs])


def _dated(runs: FlowRunQuerySet) -> FlowRunQuerySet:
    return runs.annotate(claimed_at=DatabaseNow())


def renew(token: str, run_ids: Sequence[int]) -> int:
    """Move the end of these leases; returns how many are still held."""
    held = FlowRun.objects.using(database()).filter(pk__in=run_ids, token=token, status="running")
    return held.update(due_at=Clock().after(lease_length()))
