"""Events: what was fired, what came of it, and what was refused and why. To be read only."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.forms import Media
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ..models import Event
from .generic import ModelAdmin
from .views import STYLE, as_json, has_permission

__all__ = ["EventAdmin"]


_FIELDS = ["name", "created_at", "about", "results", "details"]


@admin.register(Event)
class EventAdmin(ModelAdmin[Event]):
    list_display = ["created_at", "name", "about", "results"]
    list_filter = ["name", "created_at"]
    search_fields = ["name", "object_id"]
    show_full_result_count = False

    @property
    def media(self) -> Media:
        return super().media + STYLE

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


def _told(outcome: dict[str, Any]) -> str:
    """``welcome: started``, ``welcome: refused (limit)``."""
    reason = f" ({outcome['reason']})" if outcome.get("reason") else ""
    flow = f"{outcome['flow']}: " if outcome.get("flow") else ""
    return f"{flow}{outcome.get('result', '')}{reason}"
