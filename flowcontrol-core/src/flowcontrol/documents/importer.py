"""From documents to rows: all or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from ..exceptions import DocumentError, Problem
from ..models import Flow, FlowVersion, Trigger
from .exporter import trigger_documents
from .normal_form import canonical, normalise
from .publisher import add_version, columns, is_same, restart_problems, without_facts
from .validator import require_valid

__all__ = ["ImportResult", "import_flow", "import_flows"]


@dataclass(frozen=True)
class ImportResult:
    """What an import did to one flow. ``version`` is the version it published; None: there was no need."""

    flow: Flow
    is_new: bool
    is_changed: bool
    version: FlowVersion | None


def import_flow(document: Mapping[str, Any], publish: bool = True) -> Flow:
    """Store a document as the flow of its slug; see ``import_flows``."""
    return import_flows([document], publish)[0].flow


def import_flows(documents: Sequence[Mapping[str, Any]], publish: bool = True) -> list[ImportResult]:
    """Store documents as the flows of their slugs, new or not, and publish them. All in one transaction or
    none.

    Raises ``DocumentError`` with every problem of every document. Importing the same again changes nothing.
    A document replaces the draft. ``triggers`` replaces the flow's triggers and ``active`` sets its switch;
    when they are left out, those of a flow that is there already stay as they are. Without ``publish``
    nothing goes live: the triggers and the switch of a published flow stay then, too.
    """
    require_valid(documents)
    normal = [normalise(document) for document in documents]
    with transaction.atomic():
        flows = _locked([document["slug"] for document in normal])
        imports = [
            _Import(flows.get(document["slug"]), document, given, publish)
            for document, given in zip(normal, documents, strict=True)
        ]
        if problems := [problem for one in imports for problem in one.problems()]:
            raise DocumentError(problems)
        return [one.store() for one in imports]


def _locked(slugs: list[str]) -> dict[str, Flow]:
    # Always in the same order, so that two imports cannot wait for each other.
    flows = {
        flow.slug: flow for flow in Flow.objects.select_for_update().filter(slug__in=slugs).order_by("pk")
    }
    versions = FlowVersion.objects.in_bulk(
        [flow.published_id for flow in flows.values() if flow.published_id]
    )
    for flow in flows.values():
        # Not joined above: PostgreSQL locks no row of the outer side.
        flow.published = versions.get(flow.published_id) if flow.published_id else None
    return flows


class _Import:
    """One document on its way into the rows."""

    def __init__(
        self, flow: Flow | None, document: dict[str, Any], given: Mapping[str, Any], publish: bool
    ) -> None:
        self.document = without_facts(document)
        self.is_new = flow is None
        self.flow = flow or self.create()
        goes_live = publish or self.flow.published is None
        self.active: bool | None = given.get("active") if goes_live else None
        self.triggers: list[dict[str, Any]] | None = None
        if goes_live and given.get("triggers") is not None:
            self.triggers = document.get("triggers", [])
        self.publish = publish

    def create(self) -> Flow:
        flow, self.is_new = Flow.objects.get_or_create(slug=self.document["slug"])
        if not self.is_new:
            # Another import made it between our look and now.
            flow = Flow.objects.select_for_update().get(pk=flow.pk)
        return flow

    def problems(self) -> list[Problem]:
        """Those with trigger rows that stay."""
        if self.is_new or self.triggers is not None or not self.publish:
            return []
        return restart_problems(self.document, self.flow.triggers.all())

    def store(self) -> ImportResult:
        before = self.flow.published_id
        is_changed = any([self.store_draft(), self.store_active(), self.store_triggers()])
        if self.publish:
            add_version(self.flow, self.document)
        version = self.flow.published if self.flow.published_id != before else None
        return ImportResult(self.flow, self.is_new, is_changed or version is not None, version)

    def store_draft(self) -> bool:
        flow = self.flow
        if is_same(flow.draft, self.document):
            return False
        flow.draft = self.document
        flow.draft_revision += 1
        fields = columns(self.document) if flow.published is None else {}
        for name, value in fields.items():
            setattr(flow, name, value)
        flow.save(update_fields=["draft", "draft_revision", *fields, "updated_at"])
        return True

    def store_active(self) -> bool:
        if self.active is None or self.active == self.flow.is_active:
            return False
        self.flow.is_active = self.active
        self.flow.save(update_fields=["is_active", "updated_at"])
        return True

    def store_triggers(self) -> bool:
        """Bring the flow's trigger rows in line; those up to the first difference keep their ids."""
        if self.triggers is None:
            return False
        rows = [] if self.is_new else list(self.flow.triggers.order_by("id"))
        present = _normal(trigger_documents(rows))
        same = 0
        while same < min(len(present), len(self.triggers)) and present[same] == self.triggers[same]:
            same += 1
        if same == len(present) == len(self.triggers):
            return False
        if rows[same:]:
            Trigger.objects.filter(pk__in=[row.pk for row in rows[same:]]).delete()
        # One by one and not in bulk: their order is that of their ids.
        for trigger in self.triggers[same:]:
            _row(self.flow, trigger).save()
        return True


def _normal(triggers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    empty = {"slug": "", "name": "", "steps": [], "flowcontrol": 1}
    normal: list[dict[str, Any]] = canonical({**empty, "triggers": triggers}).get("triggers", [])
    return normal


def _row(flow: Flow, trigger: Mapping[str, Any]) -> Trigger:
    since = trigger.get("active_since")
    return Trigger(
        flow=flow,
        on=trigger["on"],
        condition=trigger.get("condition", ""),
        is_active=trigger.get("active", True),
        active_since=datetime.fromisoformat(since) if since else None,
        does=trigger.get("does", Trigger.Does.START),
        step=trigger.get("step", ""),
    )
