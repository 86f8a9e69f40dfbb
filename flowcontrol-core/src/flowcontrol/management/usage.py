"""Which flows use which actions: as published, as drafted, and in older versions that runs are still on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from django.db.models import Count, F, Q

from ..documents import walk
from ..engine.claims import database
from ..models import Flow, FlowRun, FlowVersion

__all__ = ["Use", "uses_of"]


class Use(NamedTuple):
    """A document of a flow that has such actions in it."""

    flow: str
    #: Of the version; None for the draft.
    version: int | None
    is_published: bool
    #: Live runs that are on this version.
    runs: int
    actions: tuple[str, ...]

    @property
    def document(self) -> str:
        """For people: what of the flow it is."""
        if self.version is None:
            return f'The draft of the flow "{self.flow}"'
        if self.is_published:
            return f'The flow "{self.flow}"'
        return f'Version {self.version} of the flow "{self.flow}", which {self.runs} live runs are on,'


def uses_of(prefix: str) -> list[Use]:
    """Where actions whose names begin so are used, by flow: the published version, older ones, the draft.

    A draft counts when it has such an action that the published version has not. Three queries.
    """
    live = FlowRun.objects.using(database()).live().order_by().values_list("version_id")
    runs = dict(live.annotate(Count("pk")))
    versions = FlowVersion.objects.using(database()).select_related("flow")
    wanted = versions.filter(Q(pk__in=list(runs)) | Q(flow__published=F("pk")))
    uses: list[Use] = []
    published: dict[str, set[str]] = {}
    for version in wanted.order_by("flow__slug", "-number"):
        slug, names = version.flow.slug, _actions(version.document, prefix)
        is_published = version.flow.published_id == version.pk
        if is_published:
            published[slug] = set(names)
        if names:
            uses.append(Use(slug, version.number, is_published, runs.get(version.pk, 0), names))
    for flow in Flow.objects.using(database()).order_by("slug"):
        names = _actions(flow.draft, prefix)
        if set(names) - published.get(flow.slug, set()):
            uses.append(Use(flow.slug, None, False, 0, names))
    return sorted(
        uses, key=lambda use: (use.flow, not use.is_published, use.version is None, -(use.version or 0))
    )


def _actions(document: Mapping[str, Any], prefix: str) -> tuple[str, ...]:
    names = {str(step.get("action", "")) for step in walk(document.get("steps") or [])}
    return tuple(sorted(name for name in names if name.startswith(prefix)))
