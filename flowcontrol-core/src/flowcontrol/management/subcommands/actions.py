"""``flowcontrol actions``: what steps can be made of."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from ...base import BaseAction
from ...registry import ActionSpec, MissingAction
from ...registry import actions as registered
from ..output import Console, table
from ..reference import described

__all__ = ["actions"]


def actions(console: Console, options: Namespace) -> int:
    found = [_told(spec, registered.resolve(spec.name)) for spec in registered.specs()]
    broken = [action for action in found if action["problem"]]
    if options.as_json:
        console.json(found)
    elif not found:
        console.line("There are no actions. Try: pip install flowcontrol-actions-builtin, and restart.")
    else:
        rows = [
            [one["name"], one["label"], one["effect"] or "-", ", ".join(one["config"]) or "-"]
            for one in found
        ]
        console.lines(table(["ACTION", "LABEL", "EFFECT", "CONFIG"], rows))
        for one in broken:
            console.lines(["", console.bad(f"{one['name']} cannot be used."), f"  {one['problem']}"])
    return 1 if broken else 0


def _told(spec: ActionSpec, action: BaseAction | MissingAction) -> dict[str, Any]:
    known = action if isinstance(action, BaseAction) else None
    return {
        "name": spec.name,
        "label": str(spec.label),
        "description": described(spec),
        "provider": registered.provider(spec.name),
        "path": spec.path_text,
        "effect": known.effect.value if known else "",
        "branches": list(known.branches) if known else [],
        "config": list(known.Config.base_fields) if known else [],
        "problem": f"{action.reason} {action.hint}".strip() if isinstance(action, MissingAction) else "",
    }
