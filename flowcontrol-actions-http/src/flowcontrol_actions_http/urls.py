"""The pages of this pack; found below ``packs/http/`` of ``flowcontrol.urls``."""

from __future__ import annotations

from django.urls import path

from .views import texts

__all__ = ["urlpatterns"]

urlpatterns = [path("", texts, name="texts")]
