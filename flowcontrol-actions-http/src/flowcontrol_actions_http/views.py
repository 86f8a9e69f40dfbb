"""The pages of this pack."""

from __future__ import annotations

from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from .models import Text

__all__ = ["texts"]


@permission_required("flowcontrol_actions_http.view_text", raise_exception=True)
def texts(request: HttpRequest) -> HttpResponse:
    """The latest texts."""
    return render(request, "flowcontrol_actions_http/texts.html", {"texts": Text.objects.all()[:100]})
