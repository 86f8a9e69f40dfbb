"""URLs of the tests: the admin, and the pages of packs."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("flowcontrol/", include("flowcontrol.urls")),
]
