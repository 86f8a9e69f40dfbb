"""Rules about the distribution, and about what importing its hook module does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..plugins.entry_points import canonical
from .rules import NotApplicable, Subject, rule

#: Slow, or with effects of their own: none of a start's business.
_HEAVY = ("aiohttp", "boto3", "celery", "httpx", "numpy", "pandas", "requests", "yaml")
_MOST_MS = 50
#: So often it is measured again before it is called slow.
_TRIES = 3
_MODELS = "django.db.models"


@rule(
    "P1",
    "An installed distribution announces the pack",
    why="A wheel that lost its entry point is a pack that does not exist, and nobody is told.",
    fix='Write [project.entry-points.flowcontrol] with: acme = "flowcontrol_actions_acme.plugin", and install it.',
)
def entry_point(subject: Subject) -> Iterator[str]:
    if subject.installed is None:
        yield f'No installed distribution has an entry point "{subject.name}" in the group flowcontrol.'


@rule(
    "P2",
    "Its name can begin the names of actions",
    why="Names of actions lead to the plugin to install: <plugin>.<action>.",
    fix="Call the entry point by small letters, digits and underscores; not flow, core, credential or flowcontrol.",
)
def name(subject: Subject) -> Iterator[str]:
    report = subject.report
    if report is not None and report.phase == "name":
        yield report.reason


@rule(
    "P3",
    "It depends on flowcontrol-core, below the next incompatible version",
    why="Without an upper bound, pip puts it beside a core that it was never made for.",
    fix='Write dependencies = ["flowcontrol-core>=0.1,<0.2"].',
)
def requirement(subject: Subject) -> Iterator[str]:
    # Without those of extras, which nobody has to install.
    requires = [one.partition(";")[0] for one in subject.distribution.requires or () if "extra ==" not in one]
    cores = [one for one in requires if re.match(r"flowcontrol[-_.]core\b", one, re.IGNORECASE)]
    if not cores:
        yield "It does not depend on flowcontrol-core."
    for one in cores:
        if "==" in one:
            yield f'"{one}" is one version alone: no other pack could ever want another.'
        elif "<" not in one and "~=" not in one:
            yield f'"{one}" has no upper bound.'
        elif ">" not in one and "~=" not in one:
            yield f'"{one}" has no lower bound.'


@rule(
    "P4",
    "What lies in its package is in the wheel",
    why="Templates, migrations and catalogues that were left out are missed in production first.",
    fix="Have the build system include them: hatchling does, unless they are ignored by git.",
)
def files(subject: Subject) -> Iterator[str]:
    if subject.installed is not None and subject.installed.editable:
        raise NotApplicable("it is installed editable; install its wheel to have this looked at")
    recorded = {str(file) for file in subject.distribution.files or ()}
    packages = {file.partition("/")[0] for file in recorded if file.endswith("/__init__.py")}
    for package in sorted(packages):
        folder = Path(str(subject.distribution.locate_file(package)))
        for path in sorted(folder.rglob("*")):
            file = path.relative_to(folder.parent).as_posix()
            if path.is_file() and "__pycache__" not in file and file not in recorded:
                yield f"{file} lies there, and is no file of the distribution."


@rule(
    "P5",
    "It says under which licence it is, and where its project is",
    why="Whoever has to decide whether to install it looks for these first.",
    fix='Write license = "MIT" and [project.urls] with at least one URL.',
    is_must=False,
)
def metadata(subject: Subject) -> Iterator[str]:
    told = subject.distribution.metadata
    keys = set(told)
    classified = any(text.startswith("License ::") for text in told.get_all("Classifier") or ())
    if not ({"License", "License-Expression", "License-File"} & keys or classified):
        yield "Its metadata names no licence."
    if not {"Project-URL", "Home-page"} & keys:
        yield "Its metadata has no URL."


@rule(
    "P6",
    "It is typed",
    why="Without the file py.typed, type checkers take nothing of its annotations.",
    fix="Put an empty file py.typed into the package.",
    is_must=False,
)
def typed(subject: Subject) -> Iterator[str]:
    module = subject.installed.module if subject.installed else ""
    package = module.partition(".")[0]
    if not package:
        raise NotApplicable("the pack has no hook module")
    folder = _folder(package)
    if folder is not None and not (folder / "py.typed").is_file():
        yield f"{package} has no file py.typed."


@rule(
    "P7",
    "Its entry point leads to a hook module",
    why="An app alone says neither what it is nor for which plugin API it is made, so that nobody can refuse it.",
    fix='Write [project.entry-points.flowcontrol] beside [project.entry-points."flowcontrol.apps"], under one name.',
)
def module(subject: Subject) -> Iterator[str]:
    if subject.installed is not None and not subject.installed.module:
        yield f'Nothing but an app, {subject.installed.app}, is announced as "{subject.installed.name}".'


@rule(
    "P8",
    "The distribution is called flowcontrol-actions-<name>",
    why="Where an action is missing people are told to install that; under another's name it could be anybody's.",
    fix="Rename the project in pyproject.toml, or the entry point.",
    is_must=False,
)
def found(subject: Subject) -> Iterator[str]:
    if not subject.actions:
        raise NotApplicable("it brings no actions")
    assert subject.installed is not None, "what has actions is installed"
    told, wanted = subject.distribution.metadata["Name"], f"flowcontrol-actions-{subject.installed.name}"
    if canonical(told) != canonical(wanted):
        yield f"It is called {told}, and those who miss its actions are sent to {wanted.replace('_', '-')}."


def _folder(package: str) -> Path | None:
    spec = find_spec(package)
    return Path(spec.origin).parent if spec is not None and spec.origin else None


@rule(
    "I1",
    "Its hook module can be imported before Django is set up",
    why="Plugins are loaded while Django starts, and by tools that never set it up.",
    fix="Import in it nothing but flowcontrol.hookspecs and flowcontrol.registry; name all else by its path.",
)
def imports(subject: Subject) -> Iterator[str]:
    if "error" in subject.imported:
        yield f"Importing it raised {subject.imported['error']}"


@rule(
    "I2",
    "Importing its hook module is quick",
    why="Every process of the project pays for it at its start, most of them for nothing.",
    fix=f"Import {', '.join(_HEAVY[:4])} and the like where they are used: in the module of the action.",
)
def quick(subject: Subject) -> Iterator[str]:
    told = _imported(subject)
    heavy = sorted({name.partition(".")[0] for name in told["modules"]} & set(_HEAVY))
    if heavy:
        yield f"It imports {', '.join(heavy)}."
    # Models have a rule of their own.
    if told["ms"] > _MOST_MS and _MODELS not in told["modules"]:
        least = min(told["ms"], *(subject.import_anew()["ms"] for _ in range(_TRIES)))
        if least > _MOST_MS:
            yield f"It takes {least:.0f} ms; at most {_MOST_MS} are good."


@rule(
    "I3",
    "Its hook module imports no models",
    why="A model that is imported too early stops Django: AppRegistryNotReady.",
    fix="Name models by their label (auth.user), and classes by their path.",
)
def models(subject: Subject) -> Iterator[str]:
    if _MODELS in _imported(subject)["modules"]:
        yield f"It imports {_MODELS}."


@rule(
    "I4",
    "Importing its hook module does nothing",
    why="What it does at import - a file, a process, a thread, a connection - it does in every command, before a fork.",
    fix="Do it where it is needed, or in the ready() of the pack's AppConfig.",
)
def effects(subject: Subject) -> Iterator[str]:
    told = _imported(subject)
    if told["threads"]:
        yield f"It starts {told['threads']} threads."
    if told["environment"]:
        yield f"It changes the environment: {', '.join(told['environment'])}."
    yield from (f"It {what}." for what in told["does"])


def _imported(subject: Subject) -> Mapping[str, Any]:
    if "error" in subject.imported:
        raise NotApplicable("it cannot be imported, see I1")
    return subject.imported
