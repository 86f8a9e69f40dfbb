"""Which run this thread of execution is a step of, so that what the step starts or fires is its child."""

from __future__ import annotations

from contextvars import ContextVar

__all__ = ["current_run"]

current_run: ContextVar[int | None] = ContextVar("flowcontrol_current_run", default=None)
