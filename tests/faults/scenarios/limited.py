"""R13: thirty-two threads start runs of limited flows while workers execute them; and all with the same keys."""

from __future__ import annotations

import threading
from collections.abc import Callable

import invariants
from django.db import connections
from faultapp.models import Call, Subject
from flowcontrol.engine import start_flow
from flowcontrol.models import FlowRun
from game import Game

PROCESSES, THREADS = 8, 4


def play(game: Game) -> None:
    steps = [{"id": "call", "action": "faults.call", "config": {"seconds": 0.01}}]
    for slug, limits in (
        ("one", {"concurrent": 1}),
        ("five", {"concurrent": 5}),
        ("object", {"concurrent_per_object": 1}),
    ):
        document = {"flowcontrol": 1, "slug": slug, "name": slug, "steps": steps}
        game.flow({**document, "limits": {**limits, "when_reached": "queue"}})
    game.flow({"flowcontrol": 1, "slug": "keyed", "name": "Keyed", "steps": steps})
    subjects = [Subject.objects.create(name=str(number)) for number in range(10)]
    each = game.size(2, 80)
    for _ in range(3):
        game.worker("--threads", "4", "--batch", "10")
    starters = [game.process(lambda: in_threads(lambda: start(each, subjects))) for _ in range(PROCESSES)]
    for starter in starters:
        if starter.join(game.size(90, 900)):
            game.problems.append(f"R13 a starter left with {starter.status}")
    game.wait_for_ends(game.size(120, 900))
    game.stop_all()
    total = PROCESSES * THREADS * each
    game.check(calls=3 * total + each)
    game.bound_extra_calls(0)
    counts = {
        slug: FlowRun.objects.filter(flow__slug=slug).count() for slug in ("one", "five", "object", "keyed")
    }
    if counts != {"one": total, "five": total, "object": total, "keyed": each}:
        game.problems.append(f"R13 runs {counts}, wanted {total} each and {each} with keys")
    for slug, most in (("one", 1), ("five", 5)):
        bounded(game, slug, most, FlowRun.objects.filter(flow__slug=slug).values_list("pk", flat=True))
    for subject in subjects:
        bounded(game, "object", 1, FlowRun.objects.about(subject).values_list("pk", flat=True))


def start(each: int, subjects: list[Subject]) -> None:
    for number in range(each):
        start_flow("one")
        start_flow("five")
        start_flow("object", subjects[number % len(subjects)])
        start_flow("keyed", key=f"key {number}")


def in_threads(work: Callable[[], None]) -> None:
    errors: list[BaseException] = []

    def body() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=body) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def bounded(game: Game, slug: str, most: int, run_ids: object) -> None:
    """I6: no instant at which more of these runs were calling the world than the limit says."""
    invariants.copy_calls()
    edges = []
    for began, ended in Call.objects.filter(run__in=list(run_ids)).values_list("began", "ended"):  # type: ignore[call-overload]
        edges += [(began, 1), (ended, -1)]
    now = peak = 0
    for _, change in sorted(edges):
        now += change
        peak = max(peak, now)
    game.figures[f"peak_{slug}"] = max(peak, game.figures.get(f"peak_{slug}", 0))
    if peak > most:
        game.problems.append(f'I6 {peak} runs of "{slug}" at once, allowed {most}')
