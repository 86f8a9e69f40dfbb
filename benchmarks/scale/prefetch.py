"""A simulation of Celery's workers: how long runs wait behind one another, by ids in a message and by prefetching.

Nothing is measured here, and no clock is looked at: runs come at random, their lengths differ widely, messages go round
to processes that may have taken some in advance, as Celery does it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

#: Processes, how much of their time they are busy, and how long a run takes on the average.
PROCESSES, LOAD, MEAN_SECONDS = 8, 0.7, 0.05
#: Lengths are log-normal: most runs are short, one in a hundred takes twenty times the median.
SIGMA = 1.3
#: Runs that become due together.
BURST = 100


@dataclass(frozen=True)
class Waited:
    """How long runs waited for a process, by how many ids go in a message and how many a process takes ahead."""

    batch: int
    prefetch: int
    median_ms: float
    p99_ms: float


def simulate(batches: list[int], prefetches: list[int], runs: int, seed: int = 5) -> list[Waited]:
    return [_simulate(batch, prefetch, runs, seed) for batch in batches for prefetch in prefetches]


def _simulate(batch: int, prefetch: int, runs: int, seed: int) -> Waited:
    dice = random.Random(seed)
    #: Of each process: when what it took ends, of the last so many messages.
    ends: list[list[float]] = [[] for _ in range(PROCESSES)]
    waits: list[float] = []
    for came, lengths in _messages(batch, runs, dice):
        # The broker hands it to whoever has room first, whether that one is at work or not.
        chosen = min(ends, key=lambda each: (_has_room_at(each, prefetch, came), len(each), dice.random()))
        at = max(_has_room_at(chosen, prefetch, came), chosen[-1] if chosen else 0.0)
        for length in lengths:
            waits.append(at - came)
            at += length
        chosen.append(at)
        del chosen[:-prefetch]
    waits.sort()
    return Waited(batch, prefetch, 1_000 * waits[len(waits) // 2], 1_000 * waits[len(waits) * 99 // 100])


def _messages(batch: int, runs: int, dice: random.Random) -> Iterator[tuple[float, list[float]]]:
    """When each comes, and how long its runs take: bursts at random, so that the load is what it should be."""
    now = 0.0
    for _ in range(runs // BURST):
        now += dice.expovariate(LOAD * PROCESSES / (MEAN_SECONDS * BURST))
        lengths = [MEAN_SECONDS * dice.lognormvariate(-(SIGMA**2) / 2, SIGMA) for _ in range(BURST)]
        for start in range(0, BURST, batch):
            yield now, lengths[start : start + batch]


def _has_room_at(ends: list[float], prefetch: int, now: float) -> float:
    """When a process may take one more message: it holds so many, one of them in work."""
    return max(now, ends[-prefetch]) if len(ends) >= prefetch else now
