"""R14: actions that do what an action must never do, among good ones: these hardly notice, and the others fail."""

from __future__ import annotations

from faultapp.actions import KINDS
from flowcontrol.models import FlowRun
from game import Game, ten_steps

#: A crashed worker's runs wait for its lease; after that they are claimed one by one.
LEASE, TRIES = 1, 3
#: One worker calls in threads, and one does not.
TEAM = (("--batch", "10", "--threads", "4"), ("--batch", "10"))
#: A state is text in which these have a spelling: they are kept as they are.
HARMLESS = {"nul": "a\x00b", "surrogate": "\ud800"}


def play(game: Game) -> None:
    game.flow(ten_steps("good", 2))
    for kind in KINDS:
        step = {"id": "poison", "action": "faults.poison", "config": {"kind": kind}}
        if kind == "hang":
            step["timeout"] = 1
        game.flow(
            {"flowcontrol": 1, "slug": f"poison-{kind.replace('_', '-')}", "name": kind, "steps": [step]}
        )
    number = game.size(100, 1_000)
    base = p95(game, game.start("good", number), [])
    good: list[int] = []
    poison: dict[int, str] = {}
    for kind in KINDS:
        for _ in range(game.size(1, 10)):
            poison[game.start(f"poison-{kind.replace('_', '-')}", 1)[0]] = kind
            good += game.start("good", number // (len(KINDS) * game.size(1, 10)))
    worst = p95(game, good, list(poison))
    game.figures.update(base_p95=round(base, 2), p95=round(worst, 2))
    for run in FlowRun.objects.filter(pk__in=poison):
        kind = poison[run.pk]
        if kind in HARMLESS and run.status == "completed" and run.state["poison"] == HARMLESS[kind]:
            continue
        if run.status != "failed":
            game.problems.append(f"R14 the run with {poison[run.pk]} is {run.status}: {run.reason}")
    game.check(may_fail=True)
    bad = FlowRun.objects.filter(flow__slug="good").exclude(status="completed").count()
    if bad:
        game.problems.append(f"R14 {bad} good runs did not complete")
    from faultapp.models import Call

    for run_id, kind in poison.items():
        tries = Call.objects.filter(run=run_id).count()
        if tries > TRIES:
            game.problems.append(f"R14 {kind} was tried {tries} times")
    bound = 2 * base + LEASE * TRIES * 2
    if worst > bound:
        game.problems.append(f"R14 good runs took {worst:.1f} s (95 %), allowed {bound:.1f} s")


def p95(game: Game, good: list[int], poison: list[int]) -> float:
    """Work until all have ended, with workers that are replaced when poison kills them; how long good ones took."""
    team = [game.worker(*arguments) for arguments in TEAM]

    def ended() -> bool:
        for number, worker in enumerate(team):
            if worker.poll() is not None:
                game.kills += 1
                team[number] = game.worker(*TEAM[number])
        return not game.live()

    try:
        game.until(ended, game.size(30, 900), "the ends of good and bad")
    except AssertionError:
        for run in FlowRun.objects.live():
            game.problems.append(
                f"R14 a run of {run.flow.slug} is {run.status}, claimed {run.claim_count} times: {run.reason}"
            )
        raise
    game.stop_all()
    runs = FlowRun.objects.filter(pk__in=good)
    taken = sorted((run.ended_at - run.created_at).total_seconds() for run in runs if run.ended_at)
    return taken[int(len(taken) * 0.95)]
