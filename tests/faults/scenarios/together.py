"""R5: workers that call in threads and workers that do not, ticks, and a process that just continues, all at once."""

from __future__ import annotations

from django.core.management import call_command
from flowcontrol.engine import continue_flowruns
from game import Game, ten_steps


def tick() -> None:
    call_command("flowcontrol", "tick", verbosity=0)


def play(game: Game) -> None:
    once = []
    game.flow(ten_steps("three", 2))
    game.start("three", game.size(300, 5_000))
    kinds = [("--batch", "7"), ("--batch", "20"), ("--threads", "4"), ("--threads", "2", "--batch", "5")]
    for number in range(2 if game.database == "sqlite" else game.size(4, 8)):
        game.worker(*kinds[number % len(kinds)])
    if game.database != "sqlite":
        # These leave by themselves when nothing is due.
        once = [game.process(continue_flowruns), game.process(tick)]
    game.wait_for_ends(game.size(60, 300))
    for process in once:
        if process.join(30):
            game.problems.append(f"R5 a process that was to continue what is due left with {process.status}")
    game.stop_all()
    game.check(writes=game.started * 2, calls=game.started * 2)
    game.bound_extra_calls(0)
