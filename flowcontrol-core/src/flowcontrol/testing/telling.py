"""What ``python -m flowcontrol.testing`` writes; by itself, as it can be imported only once Django is set up."""

from __future__ import annotations

import json
import sys
from typing import Any

from .examination import examine, tier
from .rules import Subject

__all__ = ["tell"]


def tell(name: str, samples: Any, credentials: Any, *, as_json: bool) -> int:
    """Examine the pack and write what came of it; the exit code."""
    results = list(examine(Subject(name, samples, credentials=credentials)))
    if as_json:
        told = [
            {
                "rule": result.rule.id,
                "title": result.rule.title,
                "tier": result.rule.tier,
                "outcome": result.outcome,
                "problems": list(result.problems),
                "not_applicable": result.not_applicable,
            }
            for result in results
        ]
        sys.stdout.write(json.dumps({"pack": name, "tier": tier(results), "rules": told}, indent=2) + "\n")
    else:
        for result in results:
            sys.stdout.write(f"{result}\n")
        sys.stdout.write(f"\n{name}: {tier(results) or 'no tier yet'}\n")
    return int(any(result.problems and result.rule.is_must for result in results))
