"""Deadlocks are nobody's fault, and over once one side has been undone: that one tries again."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from django.db import OperationalError, connections

from ..models.database import is_deadlock
from .claims import database

__all__ = ["repeated"]

logger = logging.getLogger("flowcontrol.engine")

_TRIES = 5

_T = TypeVar("_T")


def repeated(work: Callable[[], _T]) -> _T:
    """Do it, again after a deadlock. Inside somebody's transaction once only: what was undone there is not ours."""
    for left in reversed(range(_TRIES)):
        try:
            return work()
        except OperationalError as error:
            if not left or connections[database()].in_atomic_block or not is_deadlock(error):
                raise
            logger.info("deadlock, trying again: %s", error)
    raise AssertionError("the last try returns or raises")
