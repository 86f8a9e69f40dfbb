"""What enabling flowcontrol with its built-in pack adds to ``django.setup()``, among 200 distributions.

    python benchmarks/startup.py [--rounds 15] [--distributions 200] [--clock cpu] [--json FILE] [--limit-ms
    80]
    python benchmarks/startup.py --packs 10 [--packs-limit-ms 20]

Each measurement is a process of its own, and the variants take turns, so that a machine that slows down slows
all of them. Two projects are measured: a small one (contenttypes and auth) and one with the admin, whose own
start already brings much of what flowcontrol imports.

What is added is the difference of the medians, of the lower quartiles and of the least times. The limit
applies to the medians; the other two tell what a machine that is busy with something else added to them. The exit
code is 1 above the limit.

With ``--packs`` other starts are measured: of projects with so many more packs, each with an action, a trigger type and
a filter, against those that do not have them installed. What importing their hook modules took, which is
theirs to answer for, is told beside it and left out of what is judged.
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
from dataclasses import dataclass
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
    options["FLOWCONTROL"] = {{"PLUGINS": {plugins!r}}}
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
    active = [one for one in plugins.reports() if one.is_active and one.name != "builtin"]
    assert len(active) == {packs}, plugins.reports()
    print(sum(one.import_ms for one in active))
else:
    print(0)
print(elapsed)
"""


#: A pack's hook module, as the template writes it.
PACK = """
from flowcontrol.hookspecs import PluginInfo, hookimpl
from flowcontrol.registry import ActionSpec, FilterSpec, TriggerSpec


@hookimpl
def flowcontrol_plugin_info():
    return PluginInfo(api="1.0", label="{name}")


@hookimpl
def flowcontrol_register_actions():
    return [ActionSpec("{name}.act", "{name}_actions:Act", "Act")]


@hookimpl
def flowcontrol_register_triggers():
    return [TriggerSpec("{name}.happened", "Happened")]


@hookimpl
def flowcontrol_register_filters():
    return [FilterSpec("{name}", "{name}_filters:one")]
"""


@contextmanager
def distributions(count: int, packs: int = 0) -> Iterator[Path]:
    """A folder with ``count`` installed distributions, a third with entry points, and the built-in pack.

    Beside them so many packs.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(count):
            groups = (
                {"console_scripts": f"tool{number}", "pytest11": f"plugin{number}"} if number % 3 == 0 else {}
            )
            _distribution(folder, f"benchmark-package-{number}", groups, f"benchmark_package_{number}:main")
        for number in range(packs):
            name_of_pack = f"benchmarkpack{number}"
            (folder / f"{name_of_pack}_hooks.py").write_text(PACK.replace("{name}", name_of_pack))
            _distribution(folder, name_of_pack, {"flowcontrol": name_of_pack}, f"{name_of_pack}_hooks")
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


@dataclass(frozen=True)
class Start:
    """Milliseconds of one start, and of those what importing the packs' hook modules took."""

    whole: float
    imports: float


def measure(site: Path, apps: list[str], clock: str, *, enabled: bool, packs: int = 0) -> Start:
    plugins = ["builtin", *(["benchmarkpack*"] if packs else [])]
    code = PROBE.format(apps=apps, enabled=enabled, clock=clock, plugins=plugins, packs=packs)
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
    imports, whole = map(float, finished.stdout.split())
    return Start(whole, imports)


def run(rounds: int, count: int, clock: str) -> list[dict[str, object]]:
    """A row for each project: medians without and with flowcontrol, and what is added."""
    projects = {"contenttypes and auth": SMALL, "with the admin": WITH_ADMIN}
    times: dict[tuple[str, bool], list[float]] = {(name, on): [] for name in projects for on in (False, True)}
    with distributions(count) as site:
        for name, on in times:
            measure(site, projects[name], clock, enabled=on)  # writes the bytecode, and is not counted
        for _ in range(rounds):
            for (name, on), measured in times.items():
                measured.append(measure(site, projects[name], clock, enabled=on).whole)
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


def run_packs(rounds: int, count: int, clock: str, packs: int) -> dict[str, float]:
    """Starts without and with so many packs, and what is added beyond the packs' own imports."""
    times: dict[int, list[Start]] = {0: [], packs: []}
    with distributions(count) as bare, distributions(count, packs) as site:
        sites = {0: bare, packs: site}
        for number, where in sites.items():
            measure(where, WITH_ADMIN, clock, enabled=True, packs=number)
        for _ in range(rounds):
            for number, where in sites.items():
                times[number].append(measure(where, WITH_ADMIN, clock, enabled=True, packs=number))
    imports = statistics.median(start.imports for start in times[packs])
    figures = {"imports_ms": imports}
    for name, summary in (("median", statistics.median), ("least", min)):
        without, with_them = (summary([start.whole for start in times[number]]) for number in (0, packs))
        figures |= {
            f"without_{name}_ms": without,
            f"with_{name}_ms": with_them,
            f"added_{name}_ms": with_them - without - imports,
        }
    return {name: round(figure, 1) for name, figure in figures.items()}


def judge_packs(options: argparse.Namespace) -> int:
    row = run_packs(options.rounds, options.distributions, CLOCKS[options.clock], options.packs)
    print(
        f"milliseconds, medians; {options.packs} packs switched off and in use, in a project with the admin"
    )
    print(json.dumps({"packs": options.packs, "limit_ms": options.packs_limit_ms, **row}))
    return int(row["added_median_ms"] > options.packs_limit_ms)


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
    parser.add_argument("--packs", type=int, default=0, help="measure what so many more packs add instead")
    parser.add_argument("--packs-limit-ms", type=float, default=20.0)
    options = parser.parse_args()
    if options.packs:
        return judge_packs(options)
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
