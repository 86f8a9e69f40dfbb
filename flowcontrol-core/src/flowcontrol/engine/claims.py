"""Who executes a run: claims in batches, and the leases they are."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connections, router
from django.db.models import Exists, OuterRef

from .. import conf
from ..models import Flow, FlowRun
from ..models.run import FlowRunQuerySet
from ..registry import actions
from . import faults, taking
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
    connection = connections[database()]
    if run_ids is not None and len(run_ids) == 1 and connection.vendor == "postgresql":
        one = run_ids[0]
        return _claimed(
            clock, lambda token: taking.one_at_once(one, token, clock, connection, lease_length())
        )
    due = _due(clock)
    if flow_id is not None:
        due = due.filter(flow_id=flow_id)
    if run_ids is not None:
        due = due.filter(pk__in=run_ids)
    return _claimed(clock, lambda token: taking.take(due, limit, token, clock, lease_length(), run_ids))


def _due(clock: Clock) -> FlowRunQuerySet:
    return FlowRun.objects.using(database()).due(clock.now()).needing_only(actions.names())


def _claimed(clock: Clock, take: Callable[[str], list[Any]]) -> list[Claim]:
    """What is taken under a new token."""
    faults.reach("claim.before")
    token = _new_token()
    taken = take(token)
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
        took = _in_one if taking.can_take_turns(database()) else _one_by_one
        got = took(flow_ids, share, limit - len(taken), clock)
        taken += got
        counts = Counter(each.run.flow_id for each in got)
        if got:
            self._last = got[-1].run.flow_id
        return [flow_id for flow_id in flow_ids if counts[flow_id] == share]

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


def _in_one(flow_ids: list[int], share: int, limit: int, clock: Clock) -> list[Claim]:
    due, place = _due(clock), {flow_id: place for place, flow_id in enumerate(flow_ids)}

    def take(token: str) -> list[Any]:
        taken = taking.in_turns(due, flow_ids, share, limit, token, clock, lease_length())
        return sorted(taken, key=lambda run: place[run.flow_id])

    return _claimed(clock, take)


def _one_by_one(flow_ids: list[int], share: int, limit: int, clock: Clock) -> list[Claim]:
    got: list[Claim] = []
    for flow_id in flow_ids:
        if len(got) >= limit:
            break
        got += claim(min(share, limit - len(got)), clock, flow_id=flow_id)
    return got


def renew(token: str, run_ids: Sequence[int]) -> int:
    """Move the end of these leases; returns how many are still held."""
    held = FlowRun.objects.using(database()).filter(pk__in=run_ids, token=token, status="running")
    return held.update(due_at=Clock().after(lease_length()))
