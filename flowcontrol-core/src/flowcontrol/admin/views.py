"""What the extra views of the admin share: who may, which object, and where to go afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, TypeVar

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.forms import Media
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_http_methods

from .generic import ModelAdmin

__all__ = [
    "STYLE",
    "View",
    "admin_path",
    "as_json",
    "change_url",
    "find",
    "has_permission",
    "log_changes",
    "require",
]

View = Callable[..., HttpResponse]
STYLE = Media(css={"all": ["flowcontrol/admin.css"]})

M = TypeVar("M", bound=Model)


def has_permission(request: HttpRequest, model: type[Model], codename: str) -> bool:
    """Whether the user has a permission of this model's own app, such as ``start_flow``."""
    return request.user.has_perm(f"{model._meta.app_label}.{codename}")


def require(allowed: bool) -> None:
    if not allowed:
        raise PermissionDenied


def find(model_admin: ModelAdmin[M], request: HttpRequest, object_id: str) -> M:
    """The object of a URL, if the user may see it. Raises ``Http404``, also for what is no key at all."""
    found = model_admin.get_object(request, unquote(object_id))
    if found is None:
        name = model_admin.opts.verbose_name
        raise Http404(f"There is no {name} {object_id}.")
    require(model_admin.has_view_permission(request, found))
    return found


def as_json(value: Any, indent: int | None = None) -> str:
    """JSON for people: letters stay letters. Half a surrogate pair, which no page can hold, is spelled out."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return text.encode(errors="backslashreplace").decode()


def log_changes(request: HttpRequest, objects: Iterable[Model], told: str) -> None:
    """Into the history of each, with one statement for all."""
    assert request.user.pk is not None, "nobody gets here without an account"
    LogEntry.objects.log_actions(request.user.pk, list(objects), CHANGE, told)


def change_url(model_admin: ModelAdmin[Any], obj: Model) -> str:
    return reverse(
        f"admin:{obj._meta.app_label}_{obj._meta.model_name}_change",
        args=[quote(obj.pk)],
        current_app=model_admin.admin_site.name,
    )


def admin_path(
    model_admin: ModelAdmin[Any], route: str, view: View, name: str, methods: tuple[str, ...]
) -> URLPattern:
    """A URL of a model's admin. Other methods than these are answered with 405."""
    limited = require_http_methods(methods)(view)

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return limited(request, *args, **kwargs)

    opts = model_admin.opts
    return path(
        route, model_admin.admin_site.admin_view(wrapped), name=f"{opts.app_label}_{opts.model_name}_{name}"
    )
