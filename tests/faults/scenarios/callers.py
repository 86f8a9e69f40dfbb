"""R24: what a user's transaction does to triggers and starts, and what these never do to it."""

from __future__ import annotations

import contextlib

from django.db import IntegrityError, connection, transaction
from faultapp.models import Subject
from flowcontrol.engine import fire_trigger, start_flow
from flowcontrol.models import FlowRun
from game import Game


class Undone(Exception):
    """The user's own error."""


def play(game: Game) -> None:
    steps = [{"id": "write", "action": "faults.write"}]
    broken = [{"on": "faults.ping", "condition": "object.nothing_of_this_name > 3"}]
    game.flow({"flowcontrol": 1, "slug": "broken", "name": "Broken", "triggers": broken, "steps": steps})
    game.flow(
        {
            "flowcontrol": 1,
            "slug": "sound",
            "name": "Sound",
            "triggers": [{"on": "faults.ping"}],
            "steps": steps,
        }
    )
    game.worker()
    deeds = (
        plain,
        committed,
        rolled_back,
        inner_rolled_back,
        broken_inside,
        broken_before,
        started_and_undone,
    )
    rounds = game.size(50, 500)
    wanted = saved = 0
    for number in range(rounds):
        kept, runs = deeds[number % len(deeds)](f"subject {number}")
        saved += kept
        wanted += runs
    game.wait_for_ends(60)
    game.stop_all()
    game.check(writes=wanted)
    if Subject.objects.count() != saved:
        game.problems.append(f"R24 {Subject.objects.count()} of the user's objects, wanted {saved}")
    if FlowRun.objects.count() != wanted:
        game.problems.append(f"R24 {FlowRun.objects.count()} runs, wanted {wanted}")
    game.figures["rounds"] = rounds


# Each answers how many objects of the user's are there afterwards, and how many runs.


def plain(name: str) -> tuple[int, int]:
    fire_trigger("faults.ping", Subject.objects.create(name=name))
    return 1, 1


def committed(name: str) -> tuple[int, int]:
    with transaction.atomic():
        subject = Subject.objects.create(name=name)
        fire_trigger("faults.ping", subject)
        # After what failed in there, the transaction is as good as before.
        subject.save()
    return 1, 1


def rolled_back(name: str) -> tuple[int, int]:
    with contextlib.suppress(Undone), transaction.atomic():
        fire_trigger("faults.ping", Subject.objects.create(name=name))
        raise Undone
    return 0, 0


def inner_rolled_back(name: str) -> tuple[int, int]:
    with transaction.atomic():
        subject = Subject.objects.create(name=name)
        with contextlib.suppress(Undone), transaction.atomic():
            fire_trigger("faults.ping", subject)
            raise Undone
        fire_trigger("faults.ping", subject)
    return 1, 1


def broken_inside(name: str) -> tuple[int, int]:
    """The user's error comes after the trigger, and is the user's to deal with."""
    with transaction.atomic():
        subject = Subject.objects.create(name=name)
        fire_trigger("faults.ping", subject)
        with contextlib.suppress(IntegrityError), transaction.atomic():
            Subject(pk=subject.pk, name="another").save(force_insert=True)
    return 1, 1


def broken_before(name: str) -> tuple[int, int]:
    """The transaction is broken already: the trigger is ignored, and says nothing."""
    with transaction.atomic():
        subject = Subject.objects.create(name=name)
        with contextlib.suppress(IntegrityError), transaction.atomic(savepoint=False):
            Subject(pk=subject.pk, name="another").save(force_insert=True)
        fire_trigger("faults.ping", subject)
        if not connection.needs_rollback:
            raise AssertionError("the broken transaction was mended")
    return 0, 0


def started_and_undone(name: str) -> tuple[int, int]:
    with contextlib.suppress(Undone), transaction.atomic():
        start_flow("sound", Subject.objects.create(name=name))
        raise Undone
    return 0, 0
