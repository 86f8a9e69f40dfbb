"""What ``python -m flowcontrol.testing`` writes; by itself, as it can be imported only once Django is set up."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from typing import Any

from ..exceptions import ConfigurationError
from .examination import examine, tier
from .examples import samples_in_readme
from .rules import RULES, Subject

__all__ = ["tell"]


def tell(name: str, samples: Any, credentials: Any, only: Collection[str] = (), *, as_json: bool) -> int:
    """Examine the pack and write what came of it; the exit code. Raises ``ConfigurationError`` for no rule's id."""
    unknown = sorted(set(only) - {rule.id for rule in RULES})
    if unknown:
        ids = ", ".join(rule.id for rule in RULES)
        raise ConfigurationError(f"There is no rule {', '.join(unknown)}. There are: {ids}.")
    subject = Subject(name, credentials=credentials)
    # Of actions without a sample the author has told what is right in the README.
    subject.samples = {**samples_in_readme(subject), **samples}
    results = list(examine(subject, only))
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
        # Some rules alone make no tier.
        sys.stdout.write("" if only else f"\n{name}: {tier(results) or 'no tier yet'}\n")
    return int(any(result.problems and result.rule.is_must for result in results))
