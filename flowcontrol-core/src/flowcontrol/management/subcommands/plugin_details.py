"""``flowcontrol plugins show`` and ``doctor``: a closer look at plugins, which needs the models and their actions."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping
from typing import Any

from django.db import Error as DatabaseError

from ... import registry
from ...plugins import PluginReport
from ..diagnosis import Finding, Level, about_plugins
from ..output import Console, columns, table
from ..usage import flows_using
from .doctor import tell
from .plugins import as_facts, named

__all__ = ["doctor", "show"]


def show(console: Console, options: Namespace) -> int:
    report = named(options)
    used = _used_by(report)
    if options.as_json:
        console.json({**as_facts(report), "used_by": used})
    else:
        console.lines(_page(report, used))
    return int(not report.is_active)


def _used_by(report: PluginReport) -> Mapping[str, list[str]] | None:
    """Of each flow that uses it, which of its actions; None when the database cannot tell."""
    try:
        return flows_using(f"{report.name}.")
    except DatabaseError:
        return None


def _page(report: PluginReport, used: Mapping[str, list[str]] | None) -> Iterator[str]:
    yield report.title
    yield from columns(
        {
            "label": report.label,
            "description": report.description,
            "state": report.state,
            "why": report.reason,
            "advice": report.hint,
            "from": report.source,
            "API": report.api,
            "app": report.app,
            "pages": report.urls,
            "hooks": ", ".join(report.hooks),
            "import": f"{report.import_ms:.1f} ms",
        }
    )
    for kind in ("actions", "triggers", "filters", "schedulers"):
        names = getattr(report, kind)
        if names:
            yield ""
            yield from table([kind.upper(), ""], [(name, _label(kind, name)) for name in names])
    yield ""
    if used is None:
        yield "Which flows use it is not known: the database cannot be read."
    for slug, names in (used or {}).items():
        yield f'The flow "{slug}" uses {", ".join(names)}.'
    if used == {}:
        yield "No published flow uses it."


def _label(kind: str, name: str) -> str:
    registries: Mapping[str, Any] = {
        "actions": registry.actions,
        "triggers": registry.triggers,
        "schedulers": registry.schedulers,
    }
    spec = registries[kind].get_spec(name) if kind in registries else None
    return str(spec.label) if spec else ""


def doctor(console: Console, options: Namespace) -> int:
    findings = list(about_plugins()) or [Finding("plugins", Level.OK, "All can be used.")]
    return tell(findings, console, as_json=options.as_json)
