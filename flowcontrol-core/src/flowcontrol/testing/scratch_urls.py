"""The URLs of ``flowcontrol.testing.scratch``."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

__all__ = ["urlpatterns"]

urlpatterns = [
    path("admin/", admin.site.urls),
    path("flowcontrol/", include("flowcontrol.urls")),
]
