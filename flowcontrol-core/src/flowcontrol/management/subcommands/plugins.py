"""``flowcontrol plugins``: reads what the loader reported, and nothing else; no query, no import of a plugin."""

from __future__ import annotations

import traceback
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

from ... import __version__
from ... import plugins as loaded_plugins
from ...exceptions import PluginError
from ...plugins import LoadedPlugins, PluginReport
from ...suggestions import did_you_mean
from ..output import Console, table

__all__ = ["BRINGS", "as_data", "as_facts", "freeze", "listing", "named", "plugins"]


#: What a plugin's report lists, and how people call it.
BRINGS = {
    name: name.replace("_", " ")
    for name in ("actions", "triggers", "filters", "schedulers", "credential_kinds")
}


def plugins(console: Console, options: Namespace) -> int:
    loaded = loaded_plugins.current()
    if options.as_json:
        console.json(as_data(loaded))
    else:
        console.lines(listing(loaded, console))
    if options.traceback:
        for report in loaded.problems:
            if report.error is not None:
                console.lines(["", f"{report.name}:", *traceback.format_exception(report.error)])
    return 1 if loaded.problems or loaded.malformed else 0


def as_data(loaded: LoadedPlugins) -> dict[str, Any]:
    return {
        "entries": list(loaded.entries),
        "is_from_environment": loaded.is_from_environment,
        "malformed": list(loaded.malformed),
        "plugins": [as_facts(report) for report in loaded.reports],
    }


def as_facts(report: PluginReport) -> dict[str, Any]:
    texts = (
        "name", "state", "distribution", "version", "source", "phase", "reason", "hint", "label", "description",
        "api", "app", "urls",
    )  # fmt: skip
    lists = ("actions", "triggers", "filters", "schedulers", "credential_kinds", "hooks", "warnings")
    return {
        **{key: str(getattr(report, key)) for key in texts},
        **{key: list(getattr(report, key)) for key in lists},
        "problem": report.problem and str(report.problem),
        "import_ms": round(report.import_ms, 1),
    }


def listing(loaded: LoadedPlugins, console: Console) -> Iterator[str]:
    """The table, and below it a paragraph for each thing that is wrong."""
    where = (
        "the environment variable FLOWCONTROL_PLUGINS"
        if loaded.is_from_environment
        else 'FLOWCONTROL["PLUGINS"]'
    )
    yield f"Selected by {where}: {', '.join(loaded.entries) or 'nothing'}"
    if loaded.reports:
        yield ""
        yield from table(["PLUGIN", "STATE", "DISTRIBUTION", "BRINGS", "FROM"], map(_row, loaded.reports))
    else:
        yield "No plugin is installed. Try: pip install flowcontrol-actions-builtin, and restart."
    for sentence in loaded.malformed:
        yield ""
        yield console.bad(sentence)
    for report in loaded.reports:
        yield from _remarks(report, console)


def _row(report: PluginReport) -> tuple[str, ...]:
    distribution = " ".join(part for part in (report.distribution, report.version) if part)
    brings = ", ".join(
        f"{len(found)} {words if len(found) > 1 else words[:-1]}"
        for kind, words in BRINGS.items()
        if (found := getattr(report, kind))
    )
    return report.name, str(report.state), distribution or "-", brings or "-", report.source or "-"


def _remarks(report: PluginReport, console: Console) -> Iterator[str]:
    if report.problem is not None:
        phase = f" ({report.phase})" if report.phase else ""
        yield ""
        yield console.bad(f"{report.title}: {report.problem}{phase}")
        yield from (f"  {text}" for text in (report.reason, report.hint) if text)
    for warning in report.warnings:
        yield ""
        yield f"{report.title}: {warning}"


def named(options: Namespace) -> PluginReport:
    """The plugin that was named, by its own name or that of its distribution. Raises ``PluginError``."""
    reports = loaded_plugins.reports()
    if not options.name:
        raise PluginError(f"Name a plugin: flowcontrol plugins {options.task} NAME.")
    for report in reports:
        if options.name in (report.name, report.distribution):
            return report
    names = [report.name for report in reports]
    advice = did_you_mean(options.name, names) or f"There are: {', '.join(names) or 'none'}."
    raise PluginError(f'No plugin "{options.name}" is installed or on the list. {advice}')


def freeze(console: Console, options: Namespace) -> int:
    """The list to paste into the settings, and the requirements that bring exactly this set."""
    active = [report for report in loaded_plugins.reports() if report.is_active]
    names = [report.name for report in active]
    versions = {"flowcontrol-core": __version__} | {
        report.distribution: report.version for report in active if report.distribution
    }
    pins = [f"{name}=={version}" for name, version in versions.items()]
    if options.as_json:
        console.json({"plugins": names, "requirements": pins})
    elif options.constraints:
        console.lines(pins)
    else:
        listed = ", ".join(f'"{name}"' for name in names)
        console.lines([f'FLOWCONTROL = {{"PLUGINS": [{listed}]}}', "", "# requirements.txt", *pins])
    return 0
