"""Triggers: which event starts which flow is decided here."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import ForeignKey, QuerySet
from django.forms import Media, ModelChoiceField
from django.http import HttpRequest

from ..models import Flow, Trigger
from .forms import TriggerForm
from .generic import ModelAdmin
from .views import STYLE

__all__ = ["TriggerAdmin"]


@admin.register(Trigger)
class TriggerAdmin(ModelAdmin[Trigger]):
    form = TriggerForm
    list_display = ["on", "flow", "condition", "does", "is_active", "active_since"]
    list_filter = ["is_active", "does", "on"]
    search_fields = ["on", "flow__name", "flow__slug", "condition"]
    autocomplete_fields = ["flow"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Trigger]:
        return super().get_queryset(request).select_related("flow").defer("flow__draft")

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> ModelChoiceField[Any] | None:
        return super().formfield_for_foreignkey(
            db_field, request, **{"queryset": Flow.objects.defer("draft"), **kwargs}
        )

    @property
    def media(self) -> Media:
        return super().media + STYLE
