"""R15: large states, long loops, deep flows, flows that start themselves: each is refused, or ends as bounded."""

from __future__ import annotations

from typing import Any

from faultapp.models import Subject
from flowcontrol.engine import fire_trigger
from flowcontrol.models import FlowRun
from game import Game

MEGABYTE = 1_000_000


def flow(game: Game, slug: str, *steps: dict[str, Any], **keys: Any) -> None:
    game.flow({"flowcontrol": 1, "slug": slug, "name": slug, **keys, "steps": list(steps)})


def loop(times: int, inner: dict[str, Any], step: int = 1) -> dict[str, Any]:
    config = {"start": 0, "end": times, "step": step}
    return {"id": f"for{abs(times)}", "action": "builtin.for", "config": config, "steps": [inner]}


def play(game: Game) -> None:
    wanted: dict[int, tuple[str, str]] = {}

    def expect(slug: str, status: str, told: str = "") -> None:
        wanted[game.start(slug, 1)[0]] = (status, told)

    pure = {"id": "set", "action": "builtin.update_state", "config": {"state": {"seen": True}}}
    sizes = {
        MEGABYTE // 4: "completed",
        MEGABYTE: "completed",
        2 * MEGABYTE: "completed",
        10 * MEGABYTE: "failed",
    }
    for size, status in sizes.items():
        flow(game, f"state-{size}", {"id": "grow", "action": "faults.grow", "config": {"size": size}})
        expect(f"state-{size}", status, "bytes" if status == "failed" else "")
    for times, status in ((10**4, "completed"), (10**6, "failed"), (10**9, "failed")):
        flow(game, f"loop-{times}", loop(times, pure))
        expect(f"loop-{times}", status, "MAX_STEPS" if status == "failed" else "")
    flow(game, "down", loop(-5, pure, step=-1))
    expect("down", "completed")
    deep: dict[str, Any] = pure
    for level in range(20):
        deep = {"id": f"if{level}", "action": "builtin.if", "config": {"condition": "True"}, "steps": [deep]}
    flow(game, "deep", deep)
    expect("deep", "completed")
    worker = game.worker()
    game.wait_for_ends(game.size(120, 300))
    again(game)
    game.stop_all()
    game.figures["peak_mb"] = worker.peak // MEGABYTE
    if worker.peak > 256 * MEGABYTE:
        game.problems.append(f"R15 a worker took {worker.peak // MEGABYTE} MB")
    for run in FlowRun.objects.filter(pk__in=wanted).select_related("flow"):
        status, told = wanted[run.pk]
        if run.status != status or told not in run.reason:
            game.problems.append(
                f"R15 {run.flow.slug} is {run.status} ({run.reason!r}), wanted {status} {told!r}"
            )
    # The history says how the state changed, and is cut where that is large; I5 knows. Refused ones end as failed.
    game.check(may_fail=True)


def again(game: Game) -> None:
    """Flows that start themselves, and a trigger that is fired by what it starts."""
    flow(game, "selfish", {"id": "self", "action": "faults.start_self", "config": {"flow": "selfish"}})
    flow(game, "echo", {"id": "fire", "action": "faults.fire"}, triggers=[{"on": "faults.ping"}])
    game.start("selfish", 1)
    fire_trigger("faults.ping", Subject.objects.create(name="echo"))
    game.wait_for_ends(60)
    selfish = FlowRun.objects.filter(flow__slug="selfish").count()
    echoes = FlowRun.objects.filter(flow__slug="echo").count()
    game.figures.update(selfish=selfish, echoes=echoes)
    # The setting MAX_ANCESTORS, and the first.
    for what, number in (("runs that start themselves", selfish), ("echoes of a trigger", echoes)):
        if number > 17:
            game.problems.append(f"R15 {number} {what}, allowed 17")
