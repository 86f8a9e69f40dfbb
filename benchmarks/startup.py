"""What enabling flowcontrol with its built-in pack adds to ``django.setup()``, among 200 distributions.

    python benchmarks/startup.py [--rounds 15] [--distributions 200] [--clock cpu] [--json FILE] [--limit-ms
    80]

Each measurement is a process of its own, and the variants take turns, so that a machine that slows down slows
all of them. Two projects are measured: a small one (contenttypes and auth) and one with the admin, whose own
start already brings much of what flowcontrol imports.

What is added is the difference of the medians, of the lower quartiles and of the least times. The limit
applies to the medians; the other two tell what a machine that is busy with something else added to them. The exit
code is 1 above the limit.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = [ROOT / "flowcontrol-core" / "src", ROOT / "flowcontrol-actions-builtin" / "src"]

SMALL = ["django.contrib.contenttypes", "django.contrib.auth"]
WITH_ADMIN = [*SMALL, "django.contrib.sessions", "django.contrib.messages", "django.contrib.admin"]

CLOCKS = {"wall": "perf_counter", "cpu": "process_time"}

#: Printed by each process: milliseconds for settings and setup together, as plugin_apps() works in the
#: former.
PROBE = """
import sys, time
began = time.{clock}()
import django
from django.conf import settings
installed = {apps!r}
options = {{}}
if {enabled!r}:
    from flowcontrol.plugins import plugin_apps
    options["FLOWCONTROL"] = {{"PLUGINS": ["*"]}}
    installed = [*installed, "flowcontrol", *plugin_apps(options["FLOWCONTROL"])]
settings.configure(
    SECRET_KEY="benchmark", USE_TZ=True, INSTALLED_APPS=installed,
    DATABASES={{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}}}, **options,
)
django.setup()
elapsed = (time.{clock}() - began) * 1000
if {enabled!r}:
    from flowcontrol import plugins
    assert plugins.current().report("builtin").is_active, plugins.reports()
print(elapsed)
"""


@contextmanager
def distributions(count: int) -> Iterator[Path]:
    """A folder with ``count`` installed distributions, a third with entry points, and the built-in pack."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(count):
            groups = (
                {"console_scripts": f"tool{number}", "pytest11": f"plugin{number}"} if number % 3 == 0 else {}
            )
            _distribution(folder, f"benchmark-package-{number}", groups, f"benchmark_package_{number}:main")
        if not _is_installed("flowcontrol-actions-builtin"):
            module = "flowcontrol_actions_builtin.plugin"
            _distribution(folder, "flowcontrol-actions-builtin", {"flowcontrol": "builtin"}, module)
        yield folder


def _distribution(folder: Path, name: str, groups: dict[str, str], value: str) -> None:
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    description = "A line of the long description that most packages have.\n" * 100
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n\n{description}")
    (info / "RECORD").write_text("")
    if groups:
        text = "\n".join(f"[{group}]\n{entry} = {value}\n" for group, entry in groups.items())
        (info / "entry_points.txt").write_text(text)


def _is_installed(name: str) -> bool:
    code = f"import importlib.metadata as m; m.version({name!r})"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def measure(site: Path, apps: list[str], clock: str, *, enabled: bool) -> float:
    """Milliseconds of one start."""
    code = PROBE.format(apps=apps, enabled=enabled, clock=clock)
    path = os.pathsep.join(map(str, [site, *SOURCES]))
    unwanted = ("FLOWCONTROL", "PYTHONDONTWRITEBYTECODE")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    finished = subprocess.run(
        [sys.executable, "-c", code],
        # Installed packages are compiled; here, beside the sources, that must not depend on who ran what
        # before.
        env={**environment, "PYTHONPATH": path, "PYTHONPYCACHEPREFIX": str(site / "bytecode")},
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode:
        raise SystemExit(f"A start failed:\n{finished.stderr}")
    return float(finished.stdout)


def run(rounds: int, count: int, clock: str) -> list[dict[str, object]]:
    """A row for each project: medians without and with flowcontrol, and what is added."""
    projects = {"contenttypes and auth": SMALL, "with the admin": WITH_ADMIN}
    times: dict[tuple[str, bool], list[float]] = {(name, on): [] for name in projects for on in (False, True)}
    with distributions(count) as site:
        for name, on in times:
            measure(site, projects[name], clock, enabled=on)  # writes the bytecode, and is not counted
        for _ in range(rounds):
            for (name, on), measured in times.items():
                measured.append(measure(site, projects[name], clock, enabled=on))
    rows: list[dict[str, object]] = []
    for name in projects:
        without, with_it = times[name, False], times[name, True]
        rows.append(
            {
                "project": name,
                "without_ms": round(statistics.median(without), 1),
                "with_ms": round(statistics.median(with_it), 1),
                "added_median_ms": round(statistics.median(with_it) - statistics.median(without), 1),
                "added_quiet_ms": round(_quartile(with_it) - _quartile(without), 1),
                "added_least_ms": round(min(with_it) - min(without), 1),
            }
        )
    return rows


def _quartile(times: list[float]) -> float:
    return statistics.quantiles(times, n=4)[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--distributions", type=int, default=200)
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="cpu on a machine that others use as well"
    )
    parser.add_argument("--limit-ms", type=float, default=80.0)
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    options = parser.parse_args()
    rows = run(options.rounds, options.distributions, CLOCKS[options.clock])
    print("milliseconds; without and with flowcontrol: medians")
    print(f"{'project':<24}{'without':>10}{'with':>10}{'added: median':>16}{'quartile':>10}{'least':>10}")
    for row in rows:
        print(
            f"{row['project']:<24}{row['without_ms']:>10}{row['with_ms']:>10}"
            f"{row['added_median_ms']:>16}{row['added_quiet_ms']:>10}{row['added_least_ms']:>10}"
        )
    result = {
        "distributions": options.distributions,
        "rounds": options.rounds,
        "clock": options.clock,
        "limit_ms": options.limit_ms,
        "rows": rows,
    }
    print(json.dumps(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return int(any(float(str(row["added_median_ms"])) > options.limit_ms for row in rows))


if __name__ == "__main__":
    sys.exit(main())
