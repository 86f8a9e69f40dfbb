"""What bounds flowcontrol, from one process to a fleet: the figures behind docs/scaling.md.

    python3 dev.py bench scale [--sizes 10000 100000 1000000] [--runs 2000] [--only NAME …] [--json FILE]

On a PostgreSQL of this machine, in a database of its own that is dropped afterwards; see benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness.databases import Databases
from world import set_up

NAMES = ("disk", "runs", "batches", "shares", "waiting", "paper", "history", "prefetch")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dev.py bench scale", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], metavar="N")
    parser.add_argument("--runs", type=int, default=2_000, metavar="N", help="runs of each profile; 2000")
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    return parser.parse_args()


def tell(line: str) -> None:
    print(f"  {line}", flush=True)


def programs(
    options: argparse.Namespace, database: dict[str, Any]
) -> dict[str, Callable[[dict[str, Any]], Any]]:
    # Settings come first.
    import disk  # noqa: PLC0415
    import history  # noqa: PLC0415
    import paper  # noqa: PLC0415
    import prefetch  # noqa: PLC0415
    import runs  # noqa: PLC0415
    import waiting  # noqa: PLC0415

    def on_paper(found: dict[str, Any]) -> Any:
        weights = found.get("waiting") or waiting.measure(options.sizes, lambda line: None)
        profiles = found.get("runs") or runs.measure(options.runs, lambda line: None)
        (wait,) = [each for each in profiles if "wait" in each.name]
        return paper.estimate(weights, wait)

    return {
        "disk": lambda found: disk.commits_per_second(database, [1, 2, 4, 8, 16], 2.0, tell),
        "runs": lambda found: runs.measure(options.runs, tell),
        "batches": lambda found: runs.batches([1, 10, 50, 100, 500, 1_000], 2 * options.runs, tell),
        "shares": lambda found: runs.shares([1, 10, 100, 1_000], tell),
        "waiting": lambda found: waiting.measure(options.sizes, tell),
        "paper": on_paper,
        "history": lambda found: history.measure(max(options.sizes) // 2, tell),
        "prefetch": lambda found: prefetch.simulate([1, 10, 100], [1, 4], 200_000),
    }


def main() -> int:
    options = arguments()
    found: dict[str, Any] = {}
    with Databases("postgresql") as databases:
        entry, _ = databases.entry("scale")
        set_up(entry)
        print(f"{databases.server()}; Python {platform.python_version()}, {os.cpu_count()} cores")
        for name, program in programs(options, entry).items():
            if options.only and name not in options.only:
                continue
            print(f"{name}:", flush=True)
            found[name] = program(found)
            for line in report(name, found[name]):
                tell(line)
        from django.db import connections  # noqa: PLC0415  settings come first

        connections.close_all()
    if options.json:
        options.json.write_text(json.dumps(found, default=asdict, indent=1))
    return 0


def report(name: str, found: Any) -> list[str]:
    """What is to be said at the end beside what was told on the way."""
    if name == "runs":
        return [
            f"{each.name:<32} python {1e3 * each.per_run('python_seconds'):.2f} ms, database "
            f"{1e3 * each.per_run('database_seconds'):.2f} ms, so {each.workers_per_core:.1f} workers per core of it; "
            f"rows {each.per_run('rows_inserted'):.2f} in, {each.per_run('rows_updated'):.2f} changed "
            f"({each.per_run('rows_updated_hot'):.2f} hot), commits {each.per_run('commits'):.3f}, "
            f"history {each.history_bytes:.0f} bytes, WAL {each.per_run('wal_bytes'):,.0f} bytes and "
            f"{each.per_run('wal_image_bytes'):,.0f} of images"
            for each in found
        ]
    if name == "waiting":
        return [
            f"{each.runs:>12,}: heap {each.heap / each.runs:.0f}, history {each.history / each.runs:.0f}, indexes "
            f"{sum(each.indexes.values()) / each.runs:.0f} bytes a run; look {each.look_ms:.2f} ms and "
            f"{each.look_blocks} blocks, start {each.start_ms:.2f} ms, next date {each.next_ms:.2f} ms, "
            f"count {each.count_ms:.2f} ms"
            for each in found
        ] + [f"{index}: {size / found[-1].runs:.1f} bytes a run" for index, size in found[-1].indexes.items()]
    if name == "paper":
        return [f"{field}: {number:,.4g}" for field, number in asdict(found).items()]
    if name == "prefetch":
        return [
            f"{each.batch:>4} ids in a message, {each.prefetch} ahead: median {each.median_ms:,.0f} ms, "
            f"99 % within {each.p99_ms:,.0f} ms"
            for each in found
        ]
    return []


if __name__ == "__main__":
    sys.exit(main())
