"""What an expression reads and cannot have, and how to say so."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from ..exceptions import EvaluationError, UnknownName
from ..suggestions import did_you_mean
from .budget import TooMuchWork

__all__ = ["Missing", "NotReadable", "told"]

#: How many names, and how long ones, are looked through for what may have been meant.
_MAX_CHOICES = 500
_MAX_NAME = 80


class Missing(UnknownName):
    """A name that is not there. ``|default:`` may stand in for it: then nobody pays for the hint."""

    def __init__(
        self, message: str, name: str = "", choices: Iterable[object] = (), advice: str = ""
    ) -> None:
        super().__init__(message)
        self.name = name
        self.choices = choices
        self.advice = advice

    def __str__(self) -> str:
        known = [name for name in islice(self.choices, _MAX_CHOICES) if isinstance(name, str)]
        hint = did_you_mean(self.name[:_MAX_NAME], [name for name in known if len(name) <= _MAX_NAME])
        return " ".join(part for part in (str(self.args[0]), hint, self.advice) if part)


class NotReadable(UnknownName):
    """A name that is there and may not be read. No ``|default:`` hides it: that would be a silent false."""


def told(error: EvaluationError, source: str) -> EvaluationError:
    """The error as one of the public classes, with the expression before the message."""
    kind = next(each for each in (UnknownName, TooMuchWork, EvaluationError) if isinstance(error, each))
    return kind(f"{source if len(source) <= 200 else source[:199] + '…'}: {error}")
