"""``flowcontrol plugins``: reads what the loader reported, and nothing else; no query, no import of a plugin."""

from __future__ import annotations

import traceback
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

from ... import plugins as loaded_plugins
from ...plugins import LoadedPlugins, PluginReport
from ..output import Console, table

__all__ = ["as_data", "listing", "plugins"]


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
        "plugins": [_report(report) for report in loaded.reports],
    }


def _report(report: PluginReport) -> dict[str, Any]:
    texts = (
        "name", "state", "distribution", "version", "source", "phase", "reason", "hint", "label", "description",
        "api", "app",
    )  # fmt: skip
    lists = ("actions", "triggers", "filters", "schedulers", "hooks", "warnings")
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
        f"{len(found)} {kind if len(found) > 1 else kind[:-1]}"
        for kind in ("actions", "triggers", "filters", "schedulers")
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
