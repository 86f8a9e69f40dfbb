"""R12: many senders, and runs that wait for what they send: before, during and after, and as the time runs out.

Some senders keep the transaction open in which they fire, as a user's request does: events are not committed in the
order in which they are numbered.
"""

from __future__ import annotations

import random
import threading
import time
from typing import Any

from django.db import OperationalError, connection, transaction
from faultapp.models import Audit, Subject
from flowcontrol.engine import continue_flowruns, fire_trigger
from flowcontrol.models import FlowRun
from flowcontrol.models.database import DatabaseNow
from game import Game

SENDERS = 8


def waits(number: int) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = []
    for each in range(number):
        config = {"trigger": "faults.ping", "save_as": "ping"}
        steps.append({"id": f"wait{each}", "action": "builtin.wait_for_trigger", "config": config})
        steps.append({"id": f"note{each}", "action": "faults.note"})
    return steps


def timed() -> list[dict[str, Any]]:
    config = {"trigger": "faults.ping", "save_as": "ping", "timeout_seconds": 1}
    late = [{"id": "late", "action": "faults.write"}]
    return [
        {"id": "wait", "action": "builtin.wait_for_trigger", "config": config, "branches": {"timeout": late}},
        {"id": "note", "action": "faults.note"},
    ]


def play(game: Game) -> None:
    each = 10
    subjects = [Subject.objects.create(name=str(number)) for number in range(game.size(50, 5_000))]
    game.flow({"flowcontrol": 1, "slug": "collect", "name": "Collect", "steps": waits(each)})
    runs = {}
    for subject in subjects:
        (runs[subject.pk],) = game.start("collect", 1, obj=subject)
    for _ in range(4):
        game.worker("--batch", "20")
    events = [(subject, number) for subject in subjects for number in range(each)]
    # All senders are at the events of one subject at about the same time: that is where order matters.
    events.sort(key=lambda event: (event[0].pk // 3, game.dice.random()))
    senders = []
    for number in range(SENDERS):
        share, seed = events[number::SENDERS], game.seed * SENDERS + number
        senders.append(game.process(lambda share=share, seed=seed: send(share, seed)))  # type: ignore[misc]
    for sender in senders:
        if sender.join(game.size(120, 3_600)):
            game.problems.append(f"R12 a sender left with {sender.status}")
    wait_for_ends(game)
    taken = Audit.objects.filter(step__startswith="note").values_list("run", "note")
    game.figures.update(events=len(events), taken=len(taken))
    if sorted(taken) != sorted((runs[subject.pk], str(number)) for subject, number in events):
        kept = set(taken)
        lost = [(runs[s.pk], n) for s, n in events if (runs[s.pk], str(n)) not in kept]
        game.problems.append(
            f"R12 {len(lost)} events lost, {len(taken) - len(kept)} taken twice; first {lost[:5]}"
        )
    times_out(game, subjects)
    out_of_order(game)
    game.stop_all()
    game.check()


def wait_for_ends(game: Game) -> None:
    """Until all runs have ended, or nothing moves any more."""
    before, since = -1, time.monotonic()

    def done() -> bool:
        nonlocal before, since
        moved = Audit.objects.count()
        if moved != before:
            before, since = moved, time.monotonic()
        return not game.live() or time.monotonic() - since > 5

    game.until(done, game.size(120, 3_600), "the ends of all runs")
    stuck = game.live()
    if stuck:
        game.problems.append(f"R12 {stuck} runs wait for events that were all sent")
        FlowRun.objects.live().delete()


def times_out(game: Game, subjects: list[Subject]) -> None:
    """An event that comes as the time runs out: taken, or too late, and never both."""
    game.flow({"flowcontrol": 1, "slug": "timed", "name": "Timed", "steps": timed()})
    number = game.size(40, 1_000)
    ids = [game.start("timed", 1, obj=subject)[0] for subject in subjects[:number]]
    number = len(ids)
    left = {run_id: game.dice.uniform(-0.1, 0.05) for run_id in ids}
    of = dict(zip(ids, subjects, strict=False))
    while left:
        waiting = FlowRun.objects.filter(pk__in=left).annotate(now=DatabaseNow())
        for run in waiting:
            if run.is_ended or (run.wait_until and (run.now - run.wait_until).total_seconds() > left[run.pk]):
                del left[run.pk]
                fire_trigger("faults.ping", of[run.pk], {"n": 1})
    game.wait_for_ends(30)
    late = set(Audit.objects.filter(run__in=ids, step="late").values_list("run", flat=True))
    came = set(Audit.objects.filter(run__in=ids, step="note", note="1").values_list("run", flat=True))
    game.figures["late"] = len(late)
    if late & came or len(late) + len(came) != number:
        game.problems.append(
            f"R12 of {number} runs {len(came)} took the event, {len(late)} were late, both {late & came}"
        )


def out_of_order(game: Game) -> None:
    """An event that is committed after a later one was taken is taken next, and not passed over."""
    subject = Subject.objects.create(name="late")
    game.flow({"flowcontrol": 1, "slug": "two", "name": "Two", "steps": waits(2)})
    game.stop_all()
    (run_id,) = game.start("two", 1, obj=subject)
    with transaction.atomic():
        fire_trigger("faults.ping", subject, {"n": 0})
        second = threading.Thread(target=fire_now, args=(subject,))
        second.start()
        second.join()
        # Taken while the first, whose number is lower, is not committed yet.
        worker = threading.Thread(target=continue_now)
        worker.start()
        worker.join()
        taken = list(Audit.objects.filter(run=run_id).values_list("note", flat=True))
    game.worker()
    try:
        game.until(lambda: not game.live(), 10, "the event that was committed last")
    except AssertionError:
        FlowRun.objects.live().delete()
        game.problems.append(
            f"R12 after event {taken} an event with a lower number was committed, and never taken"
        )
    game.figures["out_of_order"] = len(taken)


def fire_now(subject: Subject) -> None:
    fire_trigger("faults.ping", subject, {"n": 1})
    connection.close()


def continue_now() -> None:
    continue_flowruns()
    connection.close()


def send(events: list[tuple[Subject, int]], seed: int) -> None:
    dice = random.Random(seed)
    left = list(events)
    while left:
        if dice.random() < 0.5:
            subject, number = left.pop()
            fire_trigger("faults.ping", subject, {"n": number})
            continue
        together = [left.pop() for _ in range(min(dice.randint(1, 3), len(left)))]
        try:
            fire_together(together, dice)
        except OperationalError:
            # The database has undone the transaction; whoever sends hears of it, and sends again.
            left += together


def fire_together(events: list[tuple[Subject, int]], dice: random.Random) -> None:
    with transaction.atomic():
        for subject, number in events:
            fire_trigger("faults.ping", subject, {"n": number})
            # What else a request does before its transaction is over.
            time.sleep(dice.uniform(0, 0.02))
