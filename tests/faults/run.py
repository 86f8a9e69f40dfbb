#!/usr/bin/env python3
"""Fault tests: run.py [--database postgresql] [--small] [--seed N] [R1 R6 …]; one line of figures for each scenario.

Each scenario is played by a process of its own, on a database of its own. The seed of one that fails is printed;
with it, the same is played again, as far as the operating system allows.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

BOTH = ("postgresql", "mariadb")


@dataclass(frozen=True)
class Scenario:
    """Its module in ``scenarios``, what it is about, and what it needs."""

    module: str
    what: str
    databases: tuple[str, ...] = BOTH
    settings: Mapping[str, object] = field(default_factory=dict)
    #: A PostgreSQL of its own, which it may stop.
    needs_server: bool = False


SCENARIOS = {
    "R1": Scenario("killed", "a random worker is killed again and again"),
    "R2": Scenario(
        "points",
        "a worker is killed at every named point of the engine",
        # The same runs come to it again and again; that innocent ones survive is what R1 is about.
        settings={"MAX_CRASHES": 50, "LEASE_SECONDS": 1},
    ),
    "R3": Scenario(
        "disconnected",
        "sessions end, and the server crashes",
        ("postgresql",),
        {"MAX_CRASHES": 20},
        needs_server=True,
    ),
    "R5": Scenario("together", "workers of every kind at once"),
    "R6": Scenario(
        "zombies",
        "workers stand still past their leases, and go on",
        # Several may stand still at one run by chance, which is no poison here.
        settings={"MAX_CRASHES": 50, "LEASE_SECONDS": 1},
    ),
    "R7": Scenario("clocks", "workers whose clocks are wrong"),
    "R8": Scenario("deployed", "a deploy in mid-run, and back"),
    "R12": Scenario("events", "events before, during and after waits"),
    "R13": Scenario("limited", "limits and keys under 32 threads"),
    "R14": Scenario(
        "poisoned", "actions that crash, hang and worse among good ones", settings={"LEASE_SECONDS": 1}
    ),
    "R15": Scenario("bounds", "states, loops and families of runs that grow"),
    "R23": Scenario("stopped", "workers are told to stop under load"),
    "R24": Scenario("callers", "transactions of users that fail, before and after a trigger"),
    # A run takes so long there that the dice hit one of 17,000 three times in a row.
    "R26.1": Scenario(
        "killed", "a random worker is killed again and again", ("sqlite",), {"MAX_CRASHES": 20}
    ),
    "R26.2": Scenario(
        "points", "a worker is killed at every point", ("sqlite",), {"MAX_CRASHES": 50, "LEASE_SECONDS": 1}
    ),
    "R26.5": Scenario("together", "two workers at once", ("sqlite",)),
}

#: Settings that every scenario begins with.
DEFAULTS = {"LEASE_SECONDS": 2, "BLOCKED_RECHECK_SECONDS": 1, "WORKER_HEARTBEAT_SECONDS": 2}


def main() -> int:
    options = arguments()
    if options.play:
        return play(options.play, options)
    # R26 is R26.1 and so on.
    chosen = [name for name in SCENARIOS if {name, name.partition(".")[0]} & set(options.names)]
    unknown = set(options.names) - {*chosen, *(name.partition(".")[0] for name in chosen)}
    if unknown:
        sys.exit(f"There is no scenario {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}.")
    codes = []
    for name, scenario in SCENARIOS.items():
        kinds = scenario.databases
        if name in chosen or (not options.names and (options.database or kinds[0]) in kinds):
            codes.append(one(name, options))
    return max(codes, default=0)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "names", nargs="*", metavar="R1", help="which scenarios (default: all for the database)"
    )
    parser.add_argument("--database", choices=["sqlite", "postgresql", "mariadb"])
    parser.add_argument("--seed", type=int, help="what the dice of an earlier run fell by")
    parser.add_argument(
        "--small", action="store_true", help="the sizes for each change, instead of the full ones"
    )
    parser.add_argument("--play", help=argparse.SUPPRESS)
    return parser.parse_args()


def one(name: str, options: argparse.Namespace) -> int:
    """Play one scenario in a process of its own."""
    seed = options.seed if options.seed is not None else random.randrange(10**6)
    database = options.database or SCENARIOS[name].databases[0]
    command = [sys.executable, __file__, "--play", name, "--database", database, "--seed", str(seed)]
    return subprocess.run([*command, *(["--small"] if options.small else [])], check=False).returncode


def play(name: str, options: argparse.Namespace) -> int:
    scenario = SCENARIOS[name]
    began = time.monotonic()
    import databases

    with tempfile.TemporaryDirectory(prefix="flowcontrol-faults-") as folder:
        print(f"{name} {scenario.what} ({options.database}, seed {options.seed})", flush=True)
        if not scenario.needs_server:
            with databases.database(options.database) as settings:
                return told(name, scenario, options, Path(folder), settings, None, began)
        with databases.private_server() as server:
            own = None if isinstance(server, str) else server.settings()
            with databases.database(options.database, own) as settings:
                return told(name, scenario, options, Path(folder), settings, server, began)


def told(name, scenario, options, folder, settings, server, began) -> int:  # type: ignore[no-untyped-def]
    """Play it on this database, and print what came of it; the exit code."""
    prepare(settings, {**DEFAULTS, **scenario.settings}, folder)
    from game import Game, LeftOut

    game = Game(options.database, not options.small, options.seed, folder, server)
    try:
        import_module(f"scenarios.{scenario.module}").play(game)
    except LeftOut as reason:
        print(f"   left out: {reason}", flush=True)
        game.kill_all()
        return 0
    except Exception:
        game.problems.append(traceback.format_exc())
    finally:
        game.kill_all()
        from django.db import connections

        connections.close_all()
    figures = " ".join(f"{key}={value}" for key, value in game.figures.items())
    print(f"   {'FAILED' if game.problems else 'ok'} {figures} seconds={time.monotonic() - began:.1f}")
    for note in game.notes:
        print(f"   note: {note}")
    if game.problems:
        print("\n".join(f"   {problem}" for problem in game.problems[:30]))
        print(f"   … {len(game.problems)} in all; again: python3 dev.py faults --database {options.database} "
              f"--seed {options.seed} {name}{' --small' if options.small else ''}")  # fmt: skip
        print(game.tail())
    sys.stdout.flush()
    return 1 if game.problems else 0


def prepare(settings: dict[str, object], flowcontrol: dict[str, object], folder: Path) -> None:
    """Django with this database, migrated and watched."""
    os.environ["FAULTAPP_DATABASE"] = json.dumps(settings)
    os.environ["FAULTAPP_FLOWCONTROL"] = json.dumps(flowcontrol)
    os.environ["FAULTAPP_OUTSIDE"] = str(folder / "outside")
    os.environ["DJANGO_SETTINGS_MODULE"] = "faultapp.settings"
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", run_syncdb=True, verbosity=0)
    import claims

    claims.watch()
    # What a scenario provokes in its own process belongs to the log of the others, and not among the figures.
    logging.getLogger("flowcontrol").addHandler(logging.FileHandler(folder / "workers.log"))


if __name__ == "__main__":
    sys.exit(main())
