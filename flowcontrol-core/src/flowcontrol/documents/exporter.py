"""From rows to documents."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..models import Flow, Trigger
from .normal_form import canonical, in_utc
from .schema import FORMAT

__all__ = ["draft_of", "export_flow", "trigger_documents"]


def export_flow(flow: Flow, *, draft: bool = False) -> dict[str, Any]:
    """The flow as a document: its published version (its draft, if there is none or when asked for), and as
    they are now its triggers and whether it is active. Importing it changes nothing; two queries at most.
    """
    document = draft_of(flow) if draft or flow.published is None else flow.published.document
    document = {**document, "slug": flow.slug, "active": flow.is_active}
    document["triggers"] = trigger_documents(flow.triggers.order_by("id"))
    return canonical(document)


def draft_of(flow: Flow) -> dict[str, Any]:
    """The flow's draft; of a flow that has none yet, one without steps."""
    if flow.draft:
        return canonical({**flow.draft, "slug": flow.slug})
    return canonical(
        {
            "flowcontrol": FORMAT,
            "slug": flow.slug,
            "name": flow.name or flow.slug,
            "description": flow.description,
            "object": flow.object_model,
            "queue": flow.queue,
            "priority": flow.priority,
            "steps": [],
        }
    )


def trigger_documents(triggers: Iterable[Trigger]) -> list[dict[str, Any]]:
    """Trigger rows as a document's ``triggers`` has them, in full."""
    return [
        {
            "on": trigger.on,
            "condition": trigger.condition,
            "active": trigger.is_active,
            "active_since": in_utc(trigger.active_since) if trigger.active_since else None,
            "does": trigger.does,
            "step": trigger.step,
        }
        for trigger in triggers
    ]
