"""Django signals about runs, for the project's own code; plugins implement the hooks of the same names.

Both are sent after the transaction that wrote the change, with ``run``: a ``RunInfo``. The sender is the
class ``RunInfo``. A receiver that raises changes nothing for the run: the error is logged.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.dispatch import Signal

__all__ = ["RunInfo", "run_finished", "run_started"]


@dataclass(frozen=True)
class RunInfo:
    """What is told about a run. New fields may come; none is removed within an API version."""

    id: int
    #: Slug of its flow.
    flow: str
    #: As in the database: ``running``, ``completed``, ``stopped``, ``failed``, ``cancelled``, ``discarded`` …
    status: str
    #: "app.model" of the object it is about and the object's key as text; both empty without one.
    object_model: str = ""
    object_pk: str = ""
    #: Why it ended, in words; empty for a plain completion.
    reason: str = ""
    #: When it was made, took its first step and ended; None where that is not known, or not yet.
    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    #: The queue of its flow.
    queue: str = ""
    #: The run that started it.
    parent: int | None = None
    #: How many steps it has taken.
    steps: int = 0


#: A worker took a run up for the first time.
run_started = Signal()

#: A run reached an end; ``run.status`` says which.
run_finished = Signal()
