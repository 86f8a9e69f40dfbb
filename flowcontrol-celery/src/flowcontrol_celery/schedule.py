"""What Celery's beat has to send, and the names of our tasks. Imported in settings, so it imports nothing."""

from __future__ import annotations

from typing import Any

__all__ = ["CONTINUE", "EXECUTE", "beat_schedule"]

#: Executes what is due.
CONTINUE = "flowcontrol.tasks.continue_flowruns_task"
#: Executes a batch of runs by their ids.
EXECUTE = "flowcontrol.tasks.execute_runs_task"


def beat_schedule(seconds: float = 5.0, **options: Any) -> dict[str, dict[str, Any]]:
    """The entry that brings waits back: the database is asked every so many ``seconds`` what is due.

        app.conf.beat_schedule = {**beat_schedule(), "something of the project": …}

    or ``CELERY_BEAT_SCHEDULE = beat_schedule()`` in settings. ``options`` are those of Celery's ``apply_async``, such
    as ``queue``. A message that nobody took until the next one is due expires, so that none pile up while no worker
    is there. Raises ``ValueError`` for seconds that are none.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
        raise ValueError(f"seconds is {seconds!r}; it has to be a number above 0.")
    return {
        "flowcontrol": {
            "task": CONTINUE,
            "schedule": float(seconds),
            "options": {"expires": float(seconds), **options},
        }
    }
