"""Django's ``ModelAdmin``, ``StackedInline`` and ``ModelForm``, generic at run time as they are in the stubs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin

__all__ = ["ModelAdmin", "ModelForm", "StackedInline"]

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
