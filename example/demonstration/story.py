"""What people do, and what comes of it, told while it happens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from django.utils import timezone
from flowcontrol.models import FlowRun
from workshop.counter import answer_quote, hand_over
from workshop.models import Letter, Repair
from workshop.seed import book_bikes

__all__ = ["Act", "News", "Story"]

#: A run that is due later than this is left waiting.
SOON = timedelta(minutes=5)


@dataclass(frozen=True)
class Act:
    """What a customer does as soon as the run of a flow about the customer's repair waits."""

    text: str
    flow: str
    customer: str
    do: Callable[[Repair], None]

    def repair(self) -> Repair | None:
        """The repair, once the time for the act has come."""
        repair = Repair.objects.get(customer__name=self.customer)
        waits = FlowRun.objects.about(repair).filter(flow__slug=self.flow, status="waiting").exists()
        return repair if waits else None


ACTS = (
    Act("Grace says yes to the quote.", "quote", "Grace", lambda repair: answer_quote(repair, "yes")),
    Act("Ada comes and collects her bike.", "pick-up", "Ada", hand_over),
)


class Story:
    """The bikes are booked, and then each act is played when its time has come."""

    def __init__(self) -> None:
        self.to_come = list(ACTS)

    def begin(self) -> str:
        repairs = book_bikes()
        names = [repair.customer.name for repair in repairs]
        return f"{', '.join(names[:-1])} and {names[-1]} bring their bikes; saving each fires a trigger."

    def due(self) -> list[tuple[Act, Repair]]:
        """The acts whose time has come."""
        found = [(act, act.repair()) for act in self.to_come]
        return [(act, repair) for act, repair in found if repair is not None]

    def play(self, act: Act, repair: Repair) -> str:
        """Play an act; tells it."""
        self.to_come.remove(act)
        act.do(repair)
        return act.text

    def is_over(self) -> bool:
        """Nothing is left to be done soon."""
        busy = FlowRun.objects.live().filter(status__in=["pending", "running", "waiting"])
        return not busy.filter(due_at__lte=timezone.now() + SOON).exists()


@dataclass
class News:
    """What happened since the last look: letters sent, and runs that ended."""

    begun: float = field(default_factory=time.monotonic)
    last_letter: int = 0
    told: set[int] = field(default_factory=set)

    def seconds(self) -> float:
        return time.monotonic() - self.begun

    def fresh(self) -> Iterator[tuple[str, str, str]]:
        """(kind, who or what, text) of each."""
        items = [*self._letters(), *self._runs()]
        for _, *item in sorted(items, key=lambda item: item[0]):
            yield item[0], item[1], item[2]

    def _letters(self) -> Iterator[tuple[object, str, str, str]]:
        for letter in Letter.objects.filter(pk__gt=self.last_letter).select_related("repair__customer"):
            self.last_letter = letter.pk
            yield letter.sent_at, "mail", f"to {letter.repair.customer.name}", letter.subject

    def _runs(self) -> Iterator[tuple[object, str, str, str]]:
        ended = FlowRun.objects.exclude(ended_at=None).exclude(pk__in=self.told).select_related("flow")
        repairs = {str(repair.pk): str(repair) for repair in Repair.objects.select_related("customer")}
        for run in ended:
            self.told.add(run.pk)
            about = repairs.get(run.object_id, "")
            yield run.ended_at, "run", f"{run.pk} {run.flow.slug}", f"{run.status}  ({about})"
