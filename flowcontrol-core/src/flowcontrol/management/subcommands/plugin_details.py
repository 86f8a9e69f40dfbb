"""``flowcontrol plugins show`` and ``doctor``: a closer look at plugins, which needs the models and their actions."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.db import Error as DatabaseError

from ... import registry
from ...plugins import PluginReport
from ..diagnosis import Finding, Level, about_plugins
from ..output import Console, columns, table
from ..usage import Use, uses_of
from .doctor import tell
from .plugins import BRINGS, as_facts, named

__all__ = ["doctor", "show"]


def show(console: Console, options: Namespace) -> int:
    report = named(options)
    used = _used_by(report)
    if options.as_json:
        told = None if used is None else [use._asdict() for use in used]
        console.json({**as_facts(report), "used_by": told})
    else:
        console.lines(_page(report, used))
    return int(not report.is_active)


def _used_by(report: PluginReport) -> Sequence[Use] | None:
    """Where its actions are used; None when the database cannot tell."""
    try:
        return uses_of(f"{report.name}.")
    except DatabaseError:
        return None


def _page(report: PluginReport, used: Sequence[Use] | None) -> Iterator[str]:
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
    for kind, words in BRINGS.items():
        names = getattr(report, kind)
        if names:
            yield ""
            yield from table([words.upper(), ""], [(name, _label(kind, name)) for name in names])
    yield ""
    if used is None:
        yield "Which flows use it is not known: the database cannot be read."
    for use in used or ():
        yield f"{use.document} uses {', '.join(use.actions)}."
    if used is not None and not used:
        yield "No flow uses it."


def _label(kind: str, name: str) -> str:
    registries: Mapping[str, Any] = {
        "actions": registry.actions,
        "triggers": registry.triggers,
        "schedulers": registry.schedulers,
        "credential_kinds": registry.credential_kinds,
    }
    spec = registries[kind].get_spec(name) if kind in registries else None
    return str(spec.label) if spec else ""


def doctor(console: Console, options: Namespace) -> int:
    findings = list(about_plugins()) or [Finding("plugins", Level.OK, "All can be used.")]
    return tell(findings, console, as_json=options.as_json)
