"""R2: a worker is killed at every named point of the engine; a point that none reaches is a failure."""

from __future__ import annotations

import signal
from typing import Any

from faultapp.models import Subject
from flowcontrol.engine import faults
from game import Game
from workers import at

#: What one run of ``everything`` comes to, with the runs that it starts.
WRITES, CALLS = 4, 2


def everything() -> dict[str, Any]:
    """A flow that comes by every point: it writes, calls, starts a child, fires, and waits for what it fired."""
    steps = [
        {"id": "write", "action": "faults.write"},
        {"id": "call", "action": "faults.call"},
        {"id": "child", "action": "builtin.call_flow", "config": {"flow": "child", "save_as": "child"}},
        {"id": "fire", "action": "faults.fire"},
        {
            "id": "wait",
            "action": "builtin.wait_for_trigger",
            "config": {"trigger": "faults.ping", "save_as": "ping"},
        },
        {"id": "call2", "action": "faults.call"},
        {"id": "write2", "action": "faults.write"},
    ]
    return {"flowcontrol": 1, "slug": "everything", "name": "Everything", "steps": steps}


def flows(game: Game) -> None:
    write = [{"id": "write", "action": "faults.write"}]
    game.flow({"flowcontrol": 1, "slug": "child", "name": "Child", "steps": write})
    triggers = [{"on": "faults.ping"}]
    game.flow(
        {"flowcontrol": 1, "slug": "listener", "name": "Listener", "triggers": triggers, "steps": write}
    )
    game.flow(everything())


def play(game: Game) -> None:
    flows(game)
    runs = 0
    points = [point for point in faults.POINTS for _ in range(game.size(3, 20))]
    game.dice.shuffle(points)
    missed: set[str] = set()
    for point in points:
        if point in missed:
            continue
        for _ in range(3):
            game.start("everything", 1, obj=Subject.objects.create(name="subject"))
            runs += 1
        plan = at(point, game.dice.randint(1, 3), signal.SIGKILL)
        doomed = game.worker("--batch", "5", plan=plan)
        try:
            status = doomed.join(20)
        except AssertionError:
            doomed.kill()
            missed.add(point)
        else:
            if status != -signal.SIGKILL:
                game.problems.append(f"R2 the worker that was to be killed at {point} left with {status}")
        game.kills += 1
    game.problems += [f"R2 no worker reaches {point}" for point in sorted(missed)]
    # Two at the end: leases have to pass, and what was claimed before is claimed alone.
    for _ in range(2):
        game.worker("--batch", "5")
    game.wait_for_ends(game.size(60, 300))
    game.stop_all()
    game.check(writes=runs * WRITES, calls=runs * CALLS)
    game.figures["points"] = len(faults.POINTS)
    game.bound_extra_calls(game.kills)
    if game.figures["runs"] != runs * 3:
        game.problems.append(f"I1 {game.figures['runs']} runs, wanted {runs * 3}: a child or a listener each")
