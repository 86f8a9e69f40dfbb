"""Pages of this pack; flowcontrol mounts them below ``packs/{{ cookiecutter.__pack }}/``."""

from __future__ import annotations

from django.urls import path

from .views import EntryList

__all__ = ["urlpatterns"]

urlpatterns = [path("", EntryList.as_view(), name="entries")]
