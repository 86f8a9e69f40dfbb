"""R6: workers stand still past their leases, others take over, and then they go on."""

from __future__ import annotations

import signal
from functools import partial

from game import Game, ten_steps
from workers import at

POINTS = ("claim.after", "effect.before", "effect.after", "checkpoint.before")


def play(game: Game) -> None:
    game.flow(ten_steps("few", 2))
    zombies = game.size(20, 100)
    for _ in range(zombies // 5):
        game.start("few", 5)
        herd = [
            game.worker(
                "--batch", "1", plan=at(game.dice.choice(POINTS), game.dice.randint(1, 3), signal.SIGSTOP)
            )
            for _ in range(5)
        ]
        # Runs for those that came too late to stop in one.
        game.until(partial(stands, game, herd), 30, "five workers that stand still")
        healthy = game.worker()
        game.wait_for_ends(30)
        for zombie in herd:
            zombie.signal(signal.SIGCONT)
        game.stop_all()
        if healthy.status:
            game.problems.append(f"R6 the healthy worker left with {healthy.status}")
    game.check(writes=game.started * 2, calls=game.started * 2)
    game.figures["zombies"] = zombies
    game.figures["refused"] = game.log.read_text().count("lease lost")
    if not game.figures["refused"]:
        game.problems.append("R6 no zombie was refused: did any stand still past its lease?")
    game.bound_extra_calls(zombies)


def stands(game: Game, herd: list) -> bool:  # type: ignore[type-arg]
    if game.live() < 2:
        game.start("few", 5)
    return all(worker.is_stopped for worker in herd)
