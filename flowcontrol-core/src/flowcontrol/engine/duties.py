"""What has to be seen to beside due runs, by a worker between its rounds or by a scheduler now and then."""

from __future__ import annotations

import time

from .awaiting import wake_missed
from .capabilities import set_aside, wake_blocked
from .clock import Clock
from .retention import prune_everything

__all__ = ["sweep", "tidy"]


def sweep() -> None:
    """Wake what others had to wake and did not live to; see to runs that nobody here can take. Once a minute."""
    wake_missed(Clock())
    wake_blocked()
    set_aside(Clock())


def tidy(seconds: float = 60.0) -> int:
    """Sweep, and prune what the settings say is too old, for about so long; returns how many rows were deleted.

    For schedulers whose workers are not ``manage.py flowcontrol worker``, which does this by itself: call it about
    once a minute, in one process.
    """
    sweep()
    end = time.monotonic() + seconds
    deleted = 0
    for count in prune_everything():
        deleted += count
        if time.monotonic() >= end:
            break
    return deleted
