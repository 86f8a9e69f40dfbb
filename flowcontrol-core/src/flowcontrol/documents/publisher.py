"""From a draft to a published version."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from ..exceptions import DocumentError, FlowcontrolError, FlowNotFound, Problem
from ..models import Flow, FlowVersion, Trigger
from .exporter import draft_of
from .normal_form import normalise, walk
from .paths import shorten
from .validator import require_valid

__all__ = [
    "DraftConflict",
    "add_version",
    "check_draft",
    "columns",
    "is_same",
    "publish",
    "restart_problems",
    "save_draft",
    "without_facts",
]


class DraftConflict(FlowcontrolError):
    """Somebody else saved the draft meanwhile: it has ``revision`` now, and ``expected`` is the one that the
    caller knows.
    """

    def __init__(self, flow: Flow, expected: int, revision: int) -> None:
        self.flow = flow
        self.expected = expected
        self.revision = revision
        super().__init__(
            f"The draft of “{flow.slug}” is at revision {revision}, and you had revision {expected} before you: "
            "somebody saved it meanwhile. Nothing was changed; load it anew and do it again."
        )


def check_draft(flow: Flow, document: Mapping[str, Any]) -> dict[str, Any]:
    """The document as ``save_draft`` would store it. Nothing is stored; raises ``DocumentError`` as that does."""
    draft = normalise(document)
    problems = [
        Problem(
            key,
            "This is not part of a draft; change it at the flow itself, or import the document.",
            document[key],
        )
        for key in ("active", "triggers")
        if document.get(key) is not None
    ]
    if draft["slug"] != flow.slug:
        problems.append(
            Problem(
                "slug",
                f"This is the draft of “{flow.slug}”; a slug is not changed by editing.",
                draft["slug"],
            )
        )
    if problems:
        raise DocumentError(problems)
    return draft


def save_draft(flow: Flow, document: Mapping[str, Any], revision: int) -> Flow:
    """Store a new draft, made from the one of ``revision``, and return the flow with its new revision.

    A draft may be unfinished: ``publish`` is what asks for a valid one. Raises ``DraftConflict`` when the
    draft has another revision by now, and ``DocumentError`` when this is no document, is that of another
    flow, or has ``triggers`` or ``active``, which are no part of a draft.
    """
    draft = check_draft(flow, document)
    values: dict[str, Any] = {"draft": draft, "draft_revision": revision + 1, "updated_at": timezone.now()}
    if flow.published_id is None:
        values |= columns(draft)
    # The condition, not a look beforehand, decides between two who save at once.
    if not Flow.objects.filter(pk=flow.pk, draft_revision=revision).update(**values):
        present = Flow.objects.filter(pk=flow.pk).values_list("draft_revision", flat=True).first()
        if present is None:
            raise FlowNotFound(f"The flow “{flow.slug}” was deleted meanwhile; the draft was not saved.")
        raise DraftConflict(flow, revision, present)
    for name, value in values.items():
        setattr(flow, name, value)
    return flow


def publish(flow: Flow, note: str = "", *, revision: int | None = None) -> FlowVersion:
    """Make the draft the version that new runs execute. A draft that is published already stays the same
    version. With a ``revision``, only the draft of that one.

    Raises ``DocumentError`` with all problems, those of the flow's triggers among them, ``DraftConflict`` when
    the draft has another revision by now, and ``FlowNotFound`` when the flow is gone.
    """
    with transaction.atomic():
        # Versions are numbered one after another: whoever publishes at the same time waits here.
        locked = Flow.objects.select_for_update().filter(pk=flow.pk).first()
        if locked is None:
            raise FlowNotFound(f"The flow “{flow.slug}” was deleted meanwhile; nothing was published.")
        if revision is not None and locked.draft_revision != revision:
            raise DraftConflict(flow, revision, locked.draft_revision)
        document = without_facts(draft_of(locked))
        require_valid([document])
        if problems := restart_problems(document, locked.triggers.all()):
            raise DocumentError(problems)
        version = add_version(locked, document, note)
    for name in ("draft", "draft_revision", *columns(document)):
        setattr(flow, name, getattr(locked, name))
    flow.published = version
    return version


def restart_problems(document: Mapping[str, Any], triggers: Iterable[Trigger]) -> list[Problem]:
    """A problem for each trigger row that restarts at a step which the document does not have."""
    ids = {step["id"] for step in walk(document["steps"])}
    return [
        Problem(
            "steps",
            f"A trigger on {trigger.on} restarts at the step “{trigger.step}”, which is not there. "
            "Keep the step, or change the trigger.",
            trigger.step,
        )
        for trigger in triggers
        if trigger.does == Trigger.Does.RESTART and trigger.step and trigger.step not in ids
    ]


def add_version(flow: Flow, document: dict[str, Any], note: str = "") -> FlowVersion:
    """Publish a valid, normalised document. The flow's row has to be locked by the caller."""
    if flow.published is not None and is_same(flow.published.document, document):
        return flow.published
    last = flow.versions.aggregate(last=Max("number"))["last"] or 0
    flow.published = FlowVersion.objects.create(
        flow=flow, number=last + 1, document=document, note=shorten(note, 200)
    )
    for name, value in columns(document).items():
        setattr(flow, name, value)
    flow.save(update_fields=["published", *columns(document), "updated_at"])
    return flow.published


def without_facts(document: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a document that versions hold: ``triggers`` and ``active`` are rows."""
    return {key: value for key, value in document.items() if key not in ("active", "triggers")}


def is_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two documents say the same. Not ``==``, to which 1 and true are alike."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def columns(document: Mapping[str, Any]) -> dict[str, Any]:
    """What of a document is on the flow's row too, for lists and queries."""
    return {
        "name": document["name"],
        "description": document.get("description", ""),
        "object_model": document.get("object", ""),
        "queue": document.get("queue", "default"),
        "priority": document.get("priority", 0),
    }
