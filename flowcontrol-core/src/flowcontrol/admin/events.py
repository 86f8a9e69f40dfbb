"""Events: what was fired, what came of it, and what was refused and why. To be read only."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.db.models import Model, Q, QuerySet
from django.forms import Media
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ..models import Event
from ..registry import triggers
from .generic import ModelAdmin
from .objects import object_models, spellings
from .views import STYLE, as_json, has_permission

__all__ = ["EventAdmin"]


_FIELDS = ["name", "created_at", "about", "results", "details"]


class NameFilter(admin.SimpleListFilter):
    """Names of trigger types, and of what the engine records. Django's own would read all events for theirs."""

    title = _("name")
    parameter_name = "name"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        value = self.used_parameters.get(self.parameter_name)
        return [(name, name) for name in sorted({*_names(), *([value] if value else [])})]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Event]) -> QuerySet[Event]:
        return queryset.filter(name=self.value()) if self.value() else queryset


@admin.register(Event)
class EventAdmin(ModelAdmin[Event]):
    list_display = ["created_at", "name", "about", "results"]
    list_filter = [NameFilter, "created_at"]
    # Only for Django to draw the field; see ``get_search_results``.
    search_fields = ["name"]
    search_help_text = _("Name of an event or a part of it, or key of the object that it is about.")
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER

    @property
    def media(self) -> Media:
        return super().media + STYLE

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        events = super().get_queryset(request)
        is_list = request.resolver_match and request.resolver_match.url_name == "flowcontrol_event_changelist"
        return events.defer("payload_json") if is_list else events

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Event], search_term: str
    ) -> tuple[QuerySet[Event], bool]:
        """What is typed, taken as a whole, by the index: events are too many to look into each."""
        term = search_term.strip()
        if not term:
            return queryset, False
        names = _names()
        named = {name for name in names if term.casefold() in name.casefold()} | {term}
        # Names and models are there for the index, whose first columns they are.
        about = Q(name__in=names, object_model__in=object_models(), object_id__in=spellings(term))
        return queryset.filter(Q(name__in=sorted(named)) | about), False

    @admin.display(description=_("object"))
    def about(self, event: Event) -> str:
        return f"{event.object_model} {event.object_id}" if event.object_model else "-"

    @admin.display(description=_("what came of it"))
    def results(self, event: Event) -> str:
        told = [_told(each) for each in event.outcome]
        return "; ".join(told) or "-"

    @admin.display(description=_("details"))
    def details(self, event: Event) -> SafeString:
        return format_html('<pre class="fc-code">{}</pre>', as_json(event.outcome, indent=2))

    def get_fields(self, request: HttpRequest, obj: Event | None = None) -> Any:
        return self.get_readonly_fields(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Event | None = None) -> list[str]:
        may_see = has_permission(request, Event, "view_flowrun_data")
        return [*_FIELDS, "payload"] if may_see else _FIELDS

    @admin.display(description=_("payload"))
    def payload(self, event: Event) -> SafeString:
        return format_html('<pre class="fc-code">{}</pre>', as_json(json.loads(event.payload_json), indent=2))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


def _names() -> list[str]:
    return [*triggers.names(), Event.START_REFUSED]


def _told(outcome: dict[str, Any]) -> str:
    """``welcome: started``, ``welcome: refused (limit)``."""
    reason = f" ({outcome['reason']})" if outcome.get("reason") else ""
    flow = f"{outcome['flow']}: " if outcome.get("flow") else ""
    return f"{flow}{outcome.get('result', '')}{reason}"
