"""What happens at the shop's counter. None of it knows of flows: saving and firing is all they need."""

from __future__ import annotations

from .models import Repair
from .triggers import quote_answered

__all__ = ["answer_quote", "hand_over"]


def answer_quote(repair: Repair, answer: str) -> None:
    """The customer says "yes" or "no" to the quote: runs that wait for it go on."""
    quote_answered(repair, {"answer": answer})


def hand_over(repair: Repair) -> None:
    """The customer has the bike back."""
    repair.status = Repair.Status.COLLECTED
    repair.save(update_fields=["status"])
