"""R23: SIGTERM under load: the step at hand is finished, the rest handed back, and the worker leaves with 0."""

from __future__ import annotations

import signal
import time

from game import Game, ten_steps


def play(game: Game) -> None:
    game.flow(ten_steps())
    game.start("ten", game.size(150, 5_000))
    slowest = 0.0
    for _ in range(game.size(20, 200)):
        if game.live() < 60:
            game.start("ten", 100)
        worker = game.worker("--batch", "20", *(("--threads", "4") if game.dice.random() < 0.5 else ()))
        # Into the middle of its work.
        time.sleep(game.dice.uniform(0.2, 0.6))
        began = time.monotonic()
        worker.signal(signal.SIGTERM)
        status = worker.join(35)
        slowest = max(slowest, time.monotonic() - began)
        if status:
            game.problems.append(f"R23 a worker left with {status}")
        held = game.held()
        if held:
            game.problems.append(f"R23 a worker that left still holds {held} runs")
    game.worker()
    game.worker()
    game.wait_for_ends(game.size(60, 600))
    game.stop_all()
    game.check(writes=game.started * 5, calls=game.started * 5)
    game.figures["slowest_stop"] = round(slowest, 2)
    if slowest > 30:
        game.problems.append(f"R23 a worker took {slowest:.0f} s to stop")
    game.bound_extra_calls(0)
