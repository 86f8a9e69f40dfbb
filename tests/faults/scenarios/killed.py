"""R1: a random worker is killed with SIGKILL every 0.1 to 1 s, and another takes its place."""

from __future__ import annotations

import signal
import time

from game import Game, ten_steps


def play(game: Game) -> None:
    processes = 2 if game.database == "sqlite" else 4
    kills = game.size(20, 200)
    game.flow(ten_steps())
    game.start("ten", game.size(500, 10_000))
    workers = [game.worker("--batch", "20") for _ in range(processes)]
    while game.kills < kills:
        # The pace of the faults, and no wait for anything.
        time.sleep(game.dice.uniform(0.1, 1.0))
        if game.live() < 50:
            # Who has nothing to do is not killed in the middle of something.
            game.start("ten", 100)
        number = game.dice.randrange(processes)
        workers[number].signal(signal.SIGKILL)
        workers[number].join(10)
        game.kills += 1
        workers[number] = game.worker("--batch", "20")
    game.wait_for_ends(game.size(60, 900))
    game.stop_all()
    game.check(writes=game.started * 5, calls=game.started * 5)
    game.bound_extra_calls(game.kills)
