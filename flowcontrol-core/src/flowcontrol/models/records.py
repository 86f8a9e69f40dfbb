"""Step records, and the compact text in which those of a stretch are kept. No tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

__all__ = ["RecordRows", "StepRecord", "unpack"]


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One visit of one step.

    ``path`` tells the rounds of the loops around it (``each:2`` for the third round of step "each", joined by
    ``/``); ``phase`` is what it was asked for: ``run`` (it was reached), ``branch`` (a branch of it ended), ``event``
    (what it waited for came), ``time`` (its wait was up) or ``failure``; ``decision`` what it answered, in the words
    of the decision classes; ``changes`` the state's changed top-level keys (None:
    removed); ``duration`` the time spent in the action.
    """

    number: int
    step: str
    path: str
    phase: str
    attempt: int
    started_at: datetime
    duration: timedelta
    decision: str
    changes: dict[str, Any] | None = None
    error: str = ""


class RecordRows:
    """Records on their way into the text of one ``HistoryChunk``, which ``unpack`` reads::

        [origin, number of the first, [[step, phase, attempt, decision], …],
         [[index of these, path, offset, duration, changes, error, number], …]]

    The last three are there as far as they are needed: a number where it is not one more than the last. Step, phase
    and so on are few however many rounds a loop has, and are told once. Text as soon as a record is known: an object
    for each round would cost more than the round, and so would looking through it for what has to be escaped.
    """

    __slots__ = ("_first", "_next", "_rows", "_shapes", "last_step", "origin")

    def __init__(self, origin: datetime) -> None:
        #: The time from which the records' own times are counted.
        self.origin = origin
        #: Id of the step that the last one is about.
        self.last_step = ""
        self.clear()

    def __bool__(self) -> bool:
        return bool(self._rows)

    def add(
        self,
        number: int,
        step: str,
        path: str,
        phase: str,
        attempt: int,
        offset: int,
        duration: int,
        decision: str,
        changes: str = "",
        error: str = "",
    ) -> None:
        """One more record, with the fields of ``StepRecord`` in their order.

        Ids, and paths that are made of them, are what ``documents.schema`` allows, in which nothing has to be escaped.
        ``offset`` is when it started, in microseconds since ``origin``, and ``duration`` in microseconds, too;
        ``changes`` is JSON.
        """
        rows, shape = self._rows, (step, phase, attempt, decision)
        index = self._shapes.get(shape)
        if index is None:
            index = self._shapes[shape] = len(self._shapes)
        if not rows:
            self._first = self._next = number
        if error or number != self._next:
            row = f'[{index},"{path}",{offset},{duration},{changes or "null"},{json.dumps(error)}'
            rows.append(row if number == self._next else f"{row},{number}")
        elif changes:
            rows.append(f'[{index},"{path}",{offset},{duration},{changes}')
        else:
            rows.append(f'[{index},"{path}",{offset},{duration}')
        self._next = number + 1
        self.last_step = step

    def text(self) -> str:
        """All of them as text; empty for none."""
        if not self._rows:
            return ""
        shapes = json.dumps(list(self._shapes), separators=(",", ":"))
        return f'["{self.origin.isoformat()}",{self._first},{shapes},[{"],".join(self._rows)}]]]'

    def clear(self) -> None:
        self._rows: list[str] = []
        self._shapes: dict[tuple[str, str, int, str], int] = {}
        self._first = self._next = 0


def _filled(
    changes: dict[str, Any] | None = None, error: str = "", number: int | None = None
) -> tuple[dict[str, Any] | None, str, int | None]:
    """The end of a row, as far as it is there."""
    return changes, error, number


def unpack(text: str) -> Iterator[StepRecord]:
    """The records of a chunk, in their order."""
    origin, number, shapes, rows = json.loads(text)
    started = datetime.fromisoformat(origin)
    for index, path, offset, duration, *more in rows:
        changes, error, told = _filled(*more)
        number = number if told is None else told
        step, phase, attempt, decision = shapes[index]
        yield StepRecord(
            number,
            step,
            path,
            phase,
            attempt,
            started + timedelta(microseconds=offset),
            timedelta(microseconds=duration),
            decision,
            changes,
            error,
        )
        number += 1
