"""The engine against the peer, against DBOS and against the plain driver: one table, one JSON.

    python3 dev.py bench engine [--rounds 5] [--only NAME …] [--database postgresql|sqlite] [--json FILE]

The contenders take turns within each round. See benchmarks/README.md. The exit code is 1 when something that has to
hold on PostgreSQL does not.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from harness.contenders import Contender
from harness.databases import Databases
from harness.results import Results
from harness.scenarios import Entry, Scenario, demands, scenarios


def measure(
    scenario: Scenario, databases: Databases, rounds: int, scale: float
) -> dict[str, list[dict[str, Any]]]:
    """The answers of each entry of a scenario, one a round."""
    answers: dict[str, list[dict[str, Any]]] = {entry.label: [] for entry in scenario.entries}
    with ExitStack() as stack:
        processes: dict[tuple[str, str], Contender] = {}
        for entry in scenario.entries:
            place = entry.script, entry.database
            if place not in processes:
                processes[place] = opened(entry, databases)
                stack.callback(processes[place].close)
        for entry in scenario.entries:
            # Nobody is measured at the first use of anything.
            processes[entry.script, entry.database].ask(entry.task, size=1, **entry.keys)
        for _ in range(rounds):
            for entry in scenario.entries:
                size = max(1, round(entry.size * scale))
                process = processes[entry.script, entry.database]
                answers[entry.label].append(process.ask(entry.task, size=size, **entry.keys))
    return answers


def opened(entry: Entry, databases: Databases) -> Contender:
    name = f"{entry.script.rstrip('_')}_{entry.database}"
    database, is_new = databases.entry(name)
    contender = Contender(entry.script, database, is_new=is_new)
    # Rows that the scenario finds are made once; a database of its own keeps them for the next scenario.
    if entry.before is not None and (is_new or entry.database == "main"):
        task, keys = entry.before
        contender.ask(task, **keys)
    return contender


def machine() -> str:
    return f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}"


def arguments() -> argparse.Namespace:
    names = [scenario.name for scenario in scenarios()]
    parser = argparse.ArgumentParser(prog="dev.py bench engine", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--scale", type=float, default=1.0, help="times the sizes; for trying things out")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    results = Results()
    with Databases(options.database) as databases:
        server = databases.server()
        print(f"{server}; {machine()}; medians of {options.rounds} rounds, with the slowest and the fastest")
        for scenario in scenarios():
            if options.only and scenario.name not in options.only:
                continue
            results.add(scenario, measure(scenario, databases, options.rounds, options.scale))
            print(results.table(scenario.name), flush=True)
    judged = [verdict for demand in demands() if (verdict := results.judged(demand)) is not None]
    print(f"\nmust hold on PostgreSQL{'' if options.database == 'postgresql' else ' (for comparison only)'}")
    for verdict in judged:
        mark = "ok" if verdict["holds"] else "MISSED"
        print(f"  {verdict['demand']:<44}{verdict['value']:>10,.2f}   must: {verdict['must']:<8}{mark}")
    if options.json:
        figures = {
            name: {"title": scenario.title, "entries": [each.as_json() for each in entries.values()]}
            for name, (scenario, entries) in results.scenarios.items()
        }
        told = {
            "database": server,
            "machine": machine(),
            "rounds": options.rounds,
            "scale": options.scale,
            "scenarios": figures,
            "demands": judged,
        }
        options.json.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return int(options.database == "postgresql" and not all(verdict["holds"] for verdict in judged))


if __name__ == "__main__":
    sys.exit(main())
