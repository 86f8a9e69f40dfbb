"""What has been written, for people who may see it."""

from __future__ import annotations

from django.contrib.auth.mixins import PermissionRequiredMixin
from django.views.generic import ListView

from .models import Entry

__all__ = ["EntryList"]


class EntryList(PermissionRequiredMixin, ListView):  # type: ignore[type-arg]  # only the stubs take an argument
    """Entries, the latest first. Others than those with the permission are sent to the login, or refused."""

    model = Entry
    paginate_by = 100
    permission_required = "{{ cookiecutter.__module }}.view_entry"
    template_name = "flowcontrol/packs/{{ cookiecutter.__pack }}/entries.html"
