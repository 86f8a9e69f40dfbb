"""``flowcontrol doctor``: what is wrong with the project, and what to do about it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable
from dataclasses import asdict

from ..diagnosis import Finding, Level, diagnose
from ..output import Console

__all__ = ["doctor", "tell"]


def doctor(console: Console, options: Namespace) -> int:
    return tell(diagnose(), console, as_json=options.as_json)


def tell(findings: Iterable[Finding], console: Console, *, as_json: bool) -> int:
    """Show findings; the exit code is 1 when one is an error."""
    found = list(findings)
    if as_json:
        console.json([asdict(finding) for finding in found])
    else:
        for finding in found:
            mark = console.good if finding.level is Level.OK else console.bad
            console.line(f"{mark(f'{finding.level:<8}')} {finding.area:<10} {finding.text}")
            if finding.advice:
                console.line(f"{'':<19} -> {finding.advice}")
    return int(any(finding.level is Level.ERROR for finding in found))
