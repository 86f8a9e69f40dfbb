"""Triggers: which event starts which flow is decided here."""

from __future__ import annotations

from django.contrib import admin
from django.forms import Media

from ..models import Trigger
from .forms import TriggerForm
from .generic import ModelAdmin
from .views import STYLE

__all__ = ["TriggerAdmin"]


@admin.register(Trigger)
class TriggerAdmin(ModelAdmin[Trigger]):
    form = TriggerForm
    list_display = ["on", "flow", "condition", "does", "is_active", "active_since"]
    list_filter = ["is_active", "does", "on"]
    list_select_related = ["flow"]
    search_fields = ["on", "flow__name", "flow__slug", "condition"]
    autocomplete_fields = ["flow"]

    @property
    def media(self) -> Media:
        return super().media + STYLE
