"""R8: a deploy in mid-run: old and new workers together, an action that is gone, a roll-back."""

from __future__ import annotations

from flowcontrol.models import FlowRun
from game import Game

OLD, NEW = {"FAULTAPP_RELEASE": "old"}, {"FAULTAPP_RELEASE": "new"}


def play(game: Game) -> None:
    steps = [
        {"id": "write", "action": "faults.write"},
        {"id": "pause", "action": "builtin.delay", "config": {"seconds": 1}},
        {"id": "legacy", "action": "faults.legacy"},
        {"id": "steady", "action": "faults.steady"},
    ]
    game.flow({"flowcontrol": 1, "slug": "deployed", "name": "Deployed", "steps": steps})
    game.start("deployed", game.size(100, 1_000))
    old = game.spawned(("--batch", "10"), OLD)
    new = game.spawned(("--batch", "10"), NEW)
    game.until(
        lambda: blocked() or not game.live(), 60, "a run that meets the new release, or the ends of all"
    )
    if old.stop() != 0:
        game.problems.append("R8 the old worker did not leave well")
    # All have to pass the new release now: what it does not know is blocked, and what is left waits.
    game.start("deployed", 20)
    game.until(lambda: blocked() == game.live(), 60, "runs that are all blocked")
    game.figures["blocked"] = blocked()
    if not game.figures["blocked"]:
        game.problems.append("R8 no run was blocked by the action that is gone")
    failed = FlowRun.objects.filter(status="failed").count()
    if failed:
        game.problems.append(f"R8 {failed} runs failed because of the deploy")
    # Back to the old release, while the new one is still there.
    game.spawned(("--batch", "10"), OLD)
    new.stop()
    game.wait_for_ends(60)
    game.stop_all()
    game.check(writes=game.started * 2, calls=game.started)
    game.bound_extra_calls(0)


def blocked() -> int:
    return FlowRun.objects.filter(status="blocked").count()
