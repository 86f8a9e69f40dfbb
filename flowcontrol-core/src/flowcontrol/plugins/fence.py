"""The fence around a plugin's own code at start-up: what it raises ends its loading, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .report import Problem

__all__ = ["LoadError", "fence"]


class LoadError(Exception):
    """Ends the loading of one plugin."""

    def __init__(self, phase: str, reason: str, *, problem: Problem = Problem.BROKEN, hint: str = "") -> None:
        super().__init__(reason)
        self.phase = phase
        self.reason = reason
        self.problem = problem
        self.hint = hint


@contextmanager
def fence(phase: str, doing: str) -> Iterator[None]:
    """The one place where a plugin's own code runs at start-up."""
    try:
        yield
    except LoadError:
        raise
    except (Exception, SystemExit) as error:
        raise LoadError(phase, f"{doing} raised {type(error).__name__}: {error}") from error
