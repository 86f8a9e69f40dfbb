"""The pages of this pack; found below ``packs/http/`` of ``flowcontrol.urls``."""

from __future__ import annotations

from django.urls import path

from .callbacks import callback
from .webhooks import webhook

__all__ = ["urlpatterns"]

urlpatterns = [
    path("webhooks/<str:token>", webhook, name="webhook"),
    path("callbacks/<str:token>", callback, name="callback"),
]
