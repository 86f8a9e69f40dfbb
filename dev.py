#!/usr/bin/env python3
"""Everything that a person does in this repository: python3 dev.py demo, demo-plugins, test, lint and more.

Standard library only. Makes its own environment (.venv) on first use, with uv where it is installed and pip where not.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):
    sys.exit(
        "flowcontrol needs Python 3.11 or newer; %s is Python %d.%d. Run dev.py with a newer one, for example: "
        "python3.12 dev.py" % (sys.executable, *sys.version_info[:2])
    )

import argparse
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent
DIST = ROOT / "dist"
DOCS = ROOT / "docs" / "generate.py"
WINDOWS = os.name == "nt"
OLDEST_PYTHON = (3, 11)


class Failed(Exception):
    """Something did not work; the message says what, and what to do."""


# Distributions


def distributions() -> list[Path]:
    """The folder of each distribution, those first that others depend on."""
    folders = sorted(path.parent for path in ROOT.glob("*/pyproject.toml"))
    return sorted(folders, key=lambda folder: folder.name != "flowcontrol-core")


# Processes


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
    check: bool = True,
) -> int:
    """Run a command with its output going where ours goes; with ``check``, Failed unless it succeeds."""
    sys.stdout.flush()
    status = subprocess.run(
        [str(part) for part in command], cwd=cwd, env={**os.environ, **(env or {})}, check=False
    ).returncode
    if check and status:
        raise Failed(f"`{' '.join(str(part) for part in command)}` failed (exit code {status}); see above.")
    return status


def become(command: Sequence[str | Path]) -> int:
    """Run a command in place of this process, so that signals reach it and nothing of it is left behind."""
    if WINDOWS:
        return run(command, check=False)
    sys.stdout.flush()
    os.chdir(ROOT)
    return os.execv(str(command[0]), [str(part) for part in command])


def note(text: str) -> None:
    print(f"dev.py: {text}", flush=True)


# Interpreters


def answer(command: Sequence[str]) -> str:
    """The output of a command; empty when there is none, or it fails."""
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""


_SELF = "import sys; print(sys.executable, '%d.%d' % sys.version_info[:2], sep='\\n')"


def looked_at(python: str) -> tuple[str, str] | None:
    """Real path and version of an interpreter; None when it does not run, as with the shim of an inactive version."""
    told = answer([python, "-I", "-c", _SELF]).splitlines()
    return (told[0], told[1]) if len(told) == 2 else None


def candidates(version: str) -> Iterable[str]:
    yield sys.executable
    name = f"python{version}"
    for folder in os.get_exec_path():
        for path in (Path(folder) / name, Path(folder) / f"{name}.exe"):
            if path.is_file():
                yield str(path)
    if shutil.which("pyenv"):
        prefix = answer(["pyenv", "prefix", version])
        if prefix:
            yield str(Path(prefix) / "bin" / name)
    if shutil.which("uv"):
        yield answer(["uv", "python", "find", "--no-project", "--system", version])
    if WINDOWS and shutil.which("py"):
        yield answer(["py", f"-{version}", "-c", "import sys; print(sys.executable)"])


def find_python(wanted: str) -> tuple[str, str]:
    """Path and version of the interpreter that ``wanted`` names: empty (this one), a version or a path."""
    if not wanted:
        return sys.executable, f"{sys.version_info[0]}.{sys.version_info[1]}"
    is_version = wanted.replace(".", "").isdigit()
    for candidate in candidates(wanted) if is_version else [shutil.which(wanted) or wanted]:
        found = looked_at(candidate) if candidate else None
        if found is None or (is_version and found[1] != wanted):
            continue
        if tuple(map(int, found[1].split("."))) < OLDEST_PYTHON:
            raise Failed(f"{found[0]} is Python {found[1]}; flowcontrol needs Python 3.11 or newer.")
        return found
    raise Failed(
        f"No working Python {wanted} found: looked at PATH, pyenv and uv. Install it, or give --python a path to it."
    )


# Environments


class Environment:
    """A virtual environment that this file makes, and makes again when what it was made from has changed."""

    def __init__(self, folder: Path, python: str = "", extra: Sequence[str] = ()) -> None:
        self.folder = folder
        self.base = python or sys.executable
        self.extra = list(extra)

    def program(self, name: str) -> Path:
        return self.folder / ("Scripts" if WINDOWS else "bin") / (f"{name}.exe" if WINDOWS else name)

    @property
    def python(self) -> Path:
        return self.program("python")

    @property
    def _stamp(self) -> Path:
        return self.folder / "made-from"

    def install_once(
        self, requirements: Sequence[str], made_from: Iterable[Path], alone: Sequence[str] = ()
    ) -> None:
        """Have these installed, unless they are, from the same files; what is ``alone`` without what it requires."""
        wanted = [*requirements, *self.extra]
        stamp = self._fingerprint(wanted, made_from)
        if self._works() and self._stamp.is_file() and self._stamp.read_text() == stamp:
            return
        if not self._works():
            self.create()
        self._stamp.unlink(missing_ok=True)
        note(
            f"installing into {self.folder.relative_to(ROOT)} (once, and again when the requirements change)"
        )
        self.install(wanted)
        if alone:
            self.install(["--no-deps", *alone])
        self._stamp.write_text(stamp)

    def create(self) -> None:
        note(f"making {self.folder.relative_to(ROOT)} with {self.base}")
        if self.folder.exists():
            shutil.rmtree(self.folder)
        uv = shutil.which("uv")
        if uv:
            run([uv, "venv", "--quiet", "--no-project", "--python", self.base, self.folder])
        elif run([self.base, "-m", "venv", self.folder], check=False):
            raise Failed(
                f"{self.base} could not make an environment. On Debian and Ubuntu: apt install python3-venv. "
                "Or install uv, which dev.py uses where it finds it."
            )

    def install(self, arguments: Sequence[str]) -> None:
        uv = shutil.which("uv")
        if uv:
            command = [uv, "pip", "install", "--quiet", "--python", str(self.python), *arguments]
        else:
            command = [
                str(self.python),
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                *arguments,
            ]
        if run(command, check=False):
            raise Failed(
                f"Installing into {self.folder.relative_to(ROOT)} failed; see above. Without a network, dev.py works "
                "only once everything is installed. To begin anew: python3 dev.py clean"
            )

    def check(self) -> None:
        """Failed when what is installed does not fit together."""
        uv = shutil.which("uv")
        run([uv, "pip", "check", "--python", self.python] if uv else [self.python, "-m", "pip", "check"])

    def _works(self) -> bool:
        return self.python.exists() and looked_at(str(self.python)) is not None

    def _fingerprint(self, requirements: Sequence[str], files: Iterable[Path]) -> str:
        digest = hashlib.sha256(repr((sorted(requirements), self.base if self.extra else "")).encode())
        for file in sorted(files):
            digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
        return digest.hexdigest()


def ready(options: argparse.Namespace) -> Environment:
    """The environment to work in: .venv, or with --python or --django one of .venvs."""
    wanted = options.python or os.environ.get("FLOWCONTROL_PYTHON", "")
    if not wanted and not options.django:
        environment = Environment(ROOT / ".venv")
    else:
        path, version = find_python(wanted)
        extra = [f"Django~={options.django}.0"] if options.django else []
        environment = Environment(ROOT / ".venvs" / f"{version}-{options.django or 'default'}", path, extra)
    files = [
        *ROOT.glob("requirements-*.txt"),
        *ROOT.glob("*/tests/requirements*.txt"),
        *ROOT.glob("*/pyproject.toml"),
    ]
    # Packages that name the newest Django they support would keep a newer one from being installed: a release that
    # works with it may be months away from saying so.
    slow = sorted(ROOT.glob("*/tests/requirements-slow-to-follow.txt"))
    environment.install_once(
        ["-r", str(ROOT / "requirements-dev.txt")],
        files,
        alone=[part for file in slow for part in ("-r", str(file))],
    )
    return environment


# Commands


def demo(options: argparse.Namespace, rest: Sequence[str]) -> int:
    return become([ready(options).python, ROOT / "example" / "demo.py", *rest])


def demo_plugins(options: argparse.Namespace, rest: Sequence[str]) -> int:
    return become([ready(options).python, ROOT / "example" / "demo_plugins.py", *rest])


def bench(options: argparse.Namespace, rest: Sequence[str]) -> int:
    folder = ROOT / "benchmarks"
    programs = {path.stem: path for path in folder.glob("*.py")}
    programs |= {path.parent.name: path.parent for path in folder.glob("*/__main__.py")}
    if not rest or rest[0] not in programs:
        raise Failed(f"Say which benchmark: {', '.join(sorted(programs))}.")
    return become([ready(options).python, programs[rest[0]], *rest[1:]])


SERVERS = ("postgresql", "mariadb")
NO_TESTS_COLLECTED = 5
#: One per core, and not too many for the database; pytest's own options come after it and have the last word.
PROCESSES = ("-n", str(min(os.cpu_count() or 1, 4)))


def test(options: argparse.Namespace, rest: Sequence[str]) -> int:
    if options.isolated:
        return test_isolated(options, rest)
    environment = ready(options)
    if options.python or options.django:
        # Such a run is about these: what is about this repository is played with the ordinary ones.
        os.environ.setdefault("FLOWCONTROL_TEST_ONCE", "0")
    if options.coverage:
        return with_coverage(environment, rest, options.database or "sqlite")
    if options.database == "all":
        return max([pytest(environment, rest, database) for database in ("sqlite", *SERVERS)])
    if options.database:
        return pytest(environment, rest, options.database)
    if rest or os.environ.get("FLOWCONTROL_TEST_DATABASE"):
        return pytest(environment, rest, os.environ.get("FLOWCONTROL_TEST_DATABASE", "sqlite"))
    statuses = [pytest(environment, rest, "sqlite")]
    for server in SERVERS:
        # Where a server is, what differs between databases runs on it too; --database all runs everything on each.
        if reason := unreachable(environment, server):
            note(f"{server} was not found ({reason}); its tests were left out")
            continue
        marked = ["-m", f"every_database or {server}"]
        status = pytest(environment, marked, server)
        statuses.append(0 if status == NO_TESTS_COLLECTED else status)
    return max(statuses)


def pytest(environment: Environment, rest: Sequence[str], database: str, runner: Sequence[str] = ()) -> int:
    note(f"pytest on {database}")
    return run(
        # A folder may have settings of its own (a pack made with the template), which know nothing of this database.
        [
            environment.python,
            *runner,
            "-m",
            "pytest",
            "-c",
            ROOT / "pyproject.toml",
            "--rootdir",
            ROOT,
            *PROCESSES,
            *rest,
        ],
        env={"FLOWCONTROL_TEST_DATABASE": database},
        check=False,
    )


def with_coverage(environment: Environment, rest: Sequence[str], database: str) -> int:
    """Also fails when less is covered than pyproject.toml demands."""
    coverage = environment.program("coverage")
    run([coverage, "erase"])
    if status := pytest(environment, rest, database, ["-m", "coverage", "run"]):
        return status
    run([coverage, "combine", "--quiet"])
    return run([coverage, "report"], check=False)


def unreachable(environment: Environment, server: str) -> str:
    """Why the tests cannot use this server; empty when they can."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r}); from flowcontrol_tests import databases; "
        f"print(databases.unreachable(databases.DATABASES[{server!r}]))"
    )
    return answer([str(environment.python), "-W", "ignore", "-c", code])


def faults(options: argparse.Namespace, rest: Sequence[str]) -> int:
    return become([ready(options).python, ROOT / "tests" / "faults" / "run.py", *rest])


def wheels(options: argparse.Namespace, rest: Sequence[str]) -> int:
    build(ready(options), Path(rest[0]).resolve() if rest else DIST)
    return 0


def build(environment: Environment, folder: Path) -> None:
    """A fresh wheel of every distribution, and nothing else, in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("flowcontrol_*.whl"):
        old.unlink()
    for distribution in distributions():
        run([environment.python, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=distribution)


def test_isolated(options: argparse.Namespace, rest: Sequence[str]) -> int:
    """The tests of each distribution against its wheel, where nothing is installed that the wheel did not ask for."""
    build(ready(options), DIST)
    python, _ = find_python(options.python or os.environ.get("FLOWCONTROL_PYTHON", ""))
    statuses = []
    chosen = [each for each in distributions() if options.only in ("", each.name)]
    if not chosen:
        raise Failed(f"--only is one of {', '.join(each.name for each in distributions())}.")
    for distribution in chosen:
        note(f"{distribution.name}, from its wheel")
        environment = Environment(ROOT / ".venvs" / f"isolated-{distribution.name}", python)
        environment.create()
        wheel = next(DIST.glob(f"{distribution.name.replace('-', '_')}-*.whl"))
        requirements = [ROOT / "requirements-test.txt", *distribution.glob("tests/requirements*.txt")]
        environment.install(
            [
                str(wheel),
                "--find-links",
                str(DIST),
                *(part for file in requirements for part in ("-r", str(file))),
            ]
        )
        environment.check()
        import_from_wheel(environment, distribution)
        statuses.append(pytest_alone(environment, distribution, rest))
    return max(statuses)


def import_from_wheel(environment: Environment, distribution: Path) -> None:
    """Failed unless the package is imported from the environment, and not from the source."""
    (package,) = (path.parent.name for path in distribution.glob("src/*/__init__.py"))
    found = answer([str(environment.python), "-I", "-c", f"import {package}; print({package}.__file__)"])
    if not Path(found or "nothing").is_relative_to(environment.folder):
        raise Failed(
            f"{package} is imported from {found or 'nowhere'}, and not from the wheel in {environment.folder}."
        )


def pytest_alone(environment: Environment, distribution: Path, rest: Sequence[str]) -> int:
    tests = distribution / "tests"
    command: list[str | Path] = [environment.python, "-P", "-m", "pytest", tests, *PROCESSES, *rest]
    command += ["-c", ROOT / "pyproject.toml", "--rootdir", ROOT, "-p", "no:cacheprovider"]
    # Not the folders of the other distributions' tests.
    command += ["-o", f"pythonpath={ROOT / 'tests'} {tests}"]
    with tempfile.TemporaryDirectory() as elsewhere:
        return run(command, cwd=Path(elsewhere), env={"PYTHONPATH": ""}, check=False)


def lint(options: argparse.Namespace, rest: Sequence[str]) -> int:
    """All the linters, also when one complains: a person wants to see everything at once."""
    environment = ready(options)
    checks: dict[str, list[str | Path]] = {
        "ruff check": [environment.program("ruff"), "check", *rest],
        "ruff format": [environment.program("ruff"), "format", "--check", *rest],
        "mypy": [environment.program("mypy")],
        "import-linter": [environment.program("lint-imports")],
        "generated pages (mend with dev.py docs)": [environment.python, DOCS, "--check"],
    }
    failed = [name for name, command in checks.items() if run(command, check=False)]
    note(f"failed: {', '.join(failed)}" if failed else "lint found nothing")
    return 1 if failed else 0


def docs(options: argparse.Namespace, rest: Sequence[str]) -> int:
    return become([ready(options).python, DOCS, *rest])


#: What tools leave behind. Never a pattern that a file of git could match.
LEFTOVERS = [
    *(".venv", ".venvs", "dist", "demo", "htmlcov", ".coverage", ".coverage.*", ".hypothesis"),
    *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".import_linter_cache", "**/__pycache__", "*/dist"),
]


def clean(options: argparse.Namespace, rest: Sequence[str]) -> int:
    for pattern in LEFTOVERS:
        for path in list(ROOT.glob(pattern)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
    note("removed environments, caches, wheels and the demo's data")
    return 0


COMMANDS: dict[str, tuple[Callable[[argparse.Namespace, Sequence[str]], int], str]] = {
    "demo": (demo, "run the example project; --once leaves nothing running, see also demo --help"),
    "demo-plugins": (
        demo_plugins,
        "a pack is switched off under a run, and on again; leaves nothing running",
    ),
    "test": (test, "run the tests; arguments go to pytest"),
    "lint": (lint, "ruff, mypy, import-linter, and whether the generated pages are those of the code"),
    "docs": (docs, "write the pages of the documentation that are made from the code; --check only looks"),
    "faults": (
        faults,
        "kill workers and worse, in full sizes: faults [--database NAME] [--seed N] [--small] [R1 …]",
    ),
    "wheels": (wheels, "build the wheel of every distribution into dist/"),
    "bench": (bench, "run a benchmark: bench NAME"),
    "clean": (clean, "remove what dev.py and the tools made, environments included"),
}


def parser() -> argparse.ArgumentParser:
    # Only whole options: the rest belongs to pytest, the demo or the benchmark.
    top = argparse.ArgumentParser(
        prog="dev.py", description=(__doc__ or "").splitlines()[0], allow_abbrev=False
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (_, text) in COMMANDS.items():
        command = commands.add_parser(
            name, help=text, description=text, allow_abbrev=False, add_help=not name.startswith("demo")
        )
        command.add_argument("--python", default="", help="version or path of another interpreter, e.g. 3.13")
        command.add_argument("--django", default="", help="another Django, e.g. 6.1")
        if name == "test":
            command.add_argument(
                "--isolated",
                action="store_true",
                help="each distribution against its wheel, in its own environment",
            )
            command.add_argument(
                "--only", default="", metavar="NAME", help="with --isolated, this distribution alone"
            )
            command.add_argument("--coverage", action="store_true", help="measure what the tests run")
            command.add_argument(
                "--database",
                choices=["sqlite", *SERVERS, "all"],
                help="everything on this database (default: everything on SQLite, and on each server that is found "
                "what differs between databases)",
            )
    return top


def main(arguments: Sequence[str]) -> int:
    options, rest = parser().parse_known_args(arguments)
    try:
        return COMMANDS[options.command][0](options, [part for part in rest if part != "--"])
    except Failed as failure:
        print(f"dev.py: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
