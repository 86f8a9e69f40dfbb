"""R7: workers whose clocks are wrong by hours and days, or stand at the ends of summer time and on a leap day."""

from __future__ import annotations

from pathlib import Path

from flowcontrol.models import FlowRun
from game import Game, LeftOut

#: What libfaketime takes: an offset, or the moment at which the worker's clock begins.
CLOCKS = ("-1h", "+1h", "-1d", "+1d", "@2027-03-28 00:59:58", "@2026-10-25 00:59:58", "@2028-02-29 12:00:00")
PAUSE = 2


def play(game: Game) -> None:
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not found:
        raise LeftOut("there is no libfaketime here (apt-get install faketime)")
    if game.database == "sqlite":
        raise LeftOut("the clock of SQLite is the process's own")
    steps = [
        {"id": "before", "action": "faults.write"},
        {"id": "pause", "action": "builtin.delay", "config": {"seconds": PAUSE}},
        {"id": "after", "action": "faults.call"},
    ]
    game.flow({"flowcontrol": 1, "slug": "pausing", "name": "Pausing", "steps": steps})
    clocks = CLOCKS if game.is_full else game.dice.sample(CLOCKS, 3)
    for clock in clocks:
        game.spawned(("--batch", "5"), {"LD_PRELOAD": str(found[0]), "FAKETIME": clock})
    game.worker("--batch", "5")
    # Workers with wrong clocks have to have begun before there is anything for them to get wrong.
    game.until(lambda: game.log.read_text().count("Worker started") == len(clocks) + 1, 60, "all workers")
    for _ in range(10):
        game.start("pausing", game.size(8, 20))
    game.wait_for_ends(60)
    game.stop_all()
    game.check(writes=game.started, calls=game.started)
    game.bound_extra_calls(0)
    game.figures["clocks"] = len(clocks)
    seconds = [
        (run.ended_at - run.created_at).total_seconds()
        for run in FlowRun.objects.filter(ended_at__isnull=False)
    ]
    game.figures["shortest"], game.figures["longest"] = round(min(seconds), 2), round(max(seconds), 2)
    if min(seconds) < PAUSE:
        game.problems.append(f"R7 a run that pauses {PAUSE} s ended after {min(seconds):g} s")
    if max(seconds) > 60:
        game.problems.append(f"R7 a run that pauses {PAUSE} s ended after {max(seconds):g} s")
