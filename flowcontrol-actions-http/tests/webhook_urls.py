"""URLs of a project with the admin and the pages of plugins."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("flowcontrol/", include("flowcontrol.urls")),
]
