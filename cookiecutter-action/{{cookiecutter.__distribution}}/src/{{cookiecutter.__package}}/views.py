"""The pages of this pack."""

from __future__ import annotations

from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from .models import Text

__all__ = ["texts"]


@permission_required("{{ cookiecutter.__package }}.view_text", raise_exception=True)
def texts(request: HttpRequest) -> HttpResponse:
    """The latest texts."""
    return render(request, "{{ cookiecutter.__package }}/texts.html", {"texts": Text.objects.all()[:100]})
