"""Django's ``ModelAdmin``, ``StackedInline`` and ``ModelForm``, generic at run time as they are in the stubs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

__all__ = ["ModelAdmin", "ModelForm", "OneAtATime", "StackedInline"]

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin, StackedInline
    from django.forms import ModelForm
else:

    class ModelAdmin(admin.ModelAdmin):
        def __class_getitem__(cls, item: Any) -> type:
            return cls

    class StackedInline(admin.StackedInline):
        def __class_getitem__(cls, item: Any) -> type:
            return cls

    class ModelForm(forms.ModelForm):
        def __class_getitem__(cls, item: Any) -> type:
            return cls


class OneAtATime(admin.ModelAdmin):  # type: ignore[type-arg]  # a mixin for any model
    """Objects are deleted from their own pages, which tell what goes with each; no action deletes many."""

    def get_actions(self, request: HttpRequest, action_location: Any = None) -> dict[str, Any]:
        # Django 6.1 asks for a place, and earlier ones know none.
        place = () if action_location is None else (action_location,)
        actions: dict[str, Any] = super().get_actions(request, *place)
        actions.pop("delete_selected", None)
        return actions
