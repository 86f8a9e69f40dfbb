"""R3: the server is stopped at once and started, and sessions are ended, while workers go on as they can."""

from __future__ import annotations

import time

from databases import PrivateServer
from django.db import Error, connection, connections
from flowcontrol.models import FlowRun
from game import Game, LeftOut, ten_steps


def play(game: Game) -> None:
    if game.database != "postgresql":
        raise LeftOut("ends the sessions of PostgreSQL")
    game.flow(ten_steps())
    game.start("ten", game.size(400, 5_000))
    workers = [game.worker("--batch", "20") for _ in range(4)]
    ended = terminate(game, game.size(60, 2_000))
    restarts = 0
    if isinstance(game.server, PrivateServer):
        for _ in range(game.size(3, 30)):
            game.start("ten", 20)
            # How long the server stays: part of the fault.
            time.sleep(game.dice.uniform(*((5, 40) if game.is_full else (1, 3))))
            game.server.stop("immediate")
            game.server.start()
            restarts += 1
            connections.close_all()
            game.start("ten", 20)
            progress(game)
    else:
        game.notes.append(f"the server was not restarted: {game.server}")
    gone = [worker.status for worker in workers if worker.poll() is not None]
    if gone:
        game.problems.append(f"R3 workers left because the database was away: {gone}")
    game.wait_for_ends(game.size(90, 900))
    game.stop_all()
    game.check(writes=game.started * 5, calls=game.started * 5)
    game.figures.update(terminated=ended, restarts=restarts)
    # A worker whose session ends in the middle of a call has to make it again.
    game.bound_extra_calls(ended + restarts * 4)


def terminate(game: Game, number: int) -> int:
    """End random sessions of the workers."""
    ended = 0
    limit = time.monotonic() + game.size(30, 900)
    while ended < number and time.monotonic() < limit:
        time.sleep(game.dice.uniform(0, 0.2))
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            sessions = sorted(pid for (pid,) in cursor.fetchall())
            if sessions:
                cursor.execute("SELECT pg_terminate_backend(%s)", [game.dice.choice(sessions)])
                ended += 1
        if game.live() < 20:
            game.start("ten", 50)
    return ended


def progress(game: Game) -> None:
    """A run ends within ten seconds of the server's return, as long as there are any."""
    began = time.monotonic()
    before = FlowRun.objects.filter(ended_at__isnull=False).count()

    def goes_on() -> bool:
        try:
            return FlowRun.objects.filter(ended_at__isnull=False).count() > before
        except Error:
            connections.close_all()
            return False

    try:
        game.until(goes_on, 10, "a run that ends after the server is back")
    except AssertionError as error:
        game.problems.append(f"R3 {error}")
        game.until(goes_on, 60, "any progress at all")
    slowest = max(game.figures.get("back_after", 0.0), round(time.monotonic() - began, 1))
    game.figures["back_after"] = slowest
