"""The pages that plugins bring, under one line of the project's own URLs.

    path("flowcontrol/", include("flowcontrol.urls"))

The pages of the plugin ``acme`` are then below ``flowcontrol/packs/acme/``, and their names begin with
``flowcontrol:acme:``. A plugin that is not in use answers 503, so that whoever calls it tries again.
"""

from __future__ import annotations

import logging
from importlib import import_module

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views.decorators.csrf import csrf_exempt

from . import plugins
from .plugins import PluginReport

__all__ = ["app_name", "patterns", "unavailable", "urlpatterns"]

logger = logging.getLogger(__name__)

app_name = "flowcontrol"

_RETRY_AFTER_SECONDS = 60


@csrf_exempt
def unavailable(request: HttpRequest) -> HttpResponse:
    """Says to come back: what is missing for a deployment's time must not look as if it were gone for good."""
    headers = {"Retry-After": str(_RETRY_AFTER_SECONDS)}
    return HttpResponse("Not available at present.\n", "text/plain", 503, headers=headers)


def patterns() -> list[URLPattern | URLResolver]:
    """For each plugin that has pages, or may have some once it is in use again."""
    found = (_pages(report) for report in plugins.reports())
    return [one for one in found if one is not None]


def _pages(report: PluginReport) -> URLPattern | URLResolver | None:
    route = f"packs/{report.name}/"
    if not report.is_active:
        return re_path(f"^{route}", unavailable)
    if not report.urls:
        return None
    try:
        module = import_module(report.urls)
        return path(route, include((module.urlpatterns, report.name)))
    except Exception:
        # The project's other pages are none of its business.
        logger.exception("pages cannot be used plugin=%s urls=%s", report.name, report.urls)
        return re_path(f"^{route}", unavailable)


urlpatterns = patterns()
