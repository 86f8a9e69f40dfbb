"""How much work one evaluation may be: counted in units and not in time, so that it ends alike on every machine."""

from __future__ import annotations

from ..exceptions import EvaluationError

__all__ = ["MAX_WORK", "TooMuchWork", "Work"]

#: Units of work of one evaluation, of an expression or of a whole template. A unit is about ten nanoseconds of the
#: machine that the costs were measured on: a few characters of a text, a tenth of comparing two numbers in a list.
MAX_WORK = 4_000_000


class TooMuchWork(EvaluationError):
    """An expression, or a template with all that is in it, was given up because its values are too large for it."""

    def __init__(self, message: str = "") -> None:
        super().__init__(
            message
            or "it is too much work for one evaluation, with values of this size. Do a part of it in an earlier step, "
            "keep the result in the state, and look in shorter lists and texts."
        )


class Work:
    """What is left to one evaluation."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_WORK

    def spend(self, units: int) -> None:
        """Count work before it is done. Raises ``TooMuchWork``."""
        self.left -= units
        if self.left < 0:
            raise TooMuchWork
