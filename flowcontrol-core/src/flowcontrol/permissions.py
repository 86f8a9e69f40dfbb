"""Who may place which actions in flows: a Django permission for each plugin that brings some.

Staff who edit flows are no superusers, and a pack may bring actions that reach far, into other systems or at people's
money. So the admin asks for ``flowcontrol.use_<plugin>`` where somebody adds a step with one of a plugin's actions, or
changes such a step. An action that only steers the run (``ActionSpec.needs_permission``) is part of the language: it
asks for nothing. What stands in a flow already may stay, whoever edits the rest; the project's own actions are its own
business; and the command line and code ask for nothing.

The same goes for ``flowcontrol.use_credential`` where a step names a credential: it may be used by who may not see it,
and seen by who may not use it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from django.apps import apps as installed_apps
from django.apps.registry import Apps
from django.db import DEFAULT_DB_ALIAS, router
from django.utils.translation import gettext as _

from . import documents, plugins, registry
from .exceptions import DocumentError

__all__ = [
    "USE_CREDENTIAL",
    "codename",
    "create_permissions",
    "permission_for",
    "refusals",
    "usable_credentials",
]

#: For a step that names a credential.
USE_CREDENTIAL = "flowcontrol.use_credential"

#: What a step is called and what is noted about it change nothing of what it does.
_HARMLESS = {"name", "note", "steps", "branches"}


def codename(plugin: str) -> str:
    """Of the permission to use a plugin's actions."""
    return f"use_{plugin}"


def permission_for(action: str) -> str:
    """What placing an action asks for; empty for one that the project itself registers, or that needs none.

    An action that is missing asks for the permission of the plugin it would come from: it may be there tomorrow.
    """
    spec = registry.actions.get_spec(action)
    is_plugins = any(action in report.actions for report in plugins.reports())
    if spec is not None and not (is_plugins and spec.needs_permission):
        return ""
    return f"flowcontrol.{codename(action.partition('.')[0])}"


def refusals(
    document: Mapping[str, Any], present: Iterable[Mapping[str, Any]], may: Callable[[str], bool]
) -> list[str]:
    """A sentence for each step that somebody may not place. ``may`` tells of a permission whether it is there.

    ``present`` are the documents that the flow has now, draft and version; a step that stands in one of them is not
    new. ``document`` is in normal form.
    """
    known = [_essence(step) for one in present for step in _steps_now(one)]
    told = []
    for step in documents.walk(document.get("steps", [])):
        sentences = [*_action_refused(step, may), *_credentials_refused(step, may)]
        if sentences and _essence(step) not in known:
            told += sentences
    return told


def _action_refused(step: Mapping[str, Any], may: Callable[[str], bool]) -> Iterator[str]:
    permission = permission_for(step["action"])
    if permission and not may(permission):
        sentence = _(
            "Step “%(step)s”: placing or changing “%(action)s” asks for the permission %(permission)s."
        )
        said = sentence % {"step": step["id"], "action": step["action"], "permission": permission}
        yield " ".join([said, *_why_missing(step["action"])])


def _credentials_refused(step: Mapping[str, Any], may: Callable[[str], bool]) -> Iterator[str]:
    if may(USE_CREDENTIAL):
        return
    sentence = _("Step “%(step)s”: using the credential “%(name)s” asks for the permission %(permission)s.")
    for name in sorted(documents.credentials_of_step(step)):
        yield sentence % {"step": step["id"], "name": name, "permission": USE_CREDENTIAL}


def usable_credentials(may: Callable[[str], bool], kinds: Collection[str] = ()) -> list[tuple[str, str]]:
    """Name and kind of the credentials that somebody may choose; ``kinds``: those that will do, none: all."""
    if not may(USE_CREDENTIAL):
        return []
    credentials = installed_apps.get_model("flowcontrol", "Credential").objects.of_kinds(tuple(kinds))
    return list(credentials.order_by("name").values_list("name", "kind"))


def _why_missing(action: str) -> list[str]:
    """A misspelt name asks for a permission that nobody has; what there is instead is the better answer."""
    if action in registry.actions:
        return []
    missing = registry.actions.resolve(action)
    return [missing.reason, missing.hint] if isinstance(missing, registry.MissingAction) else []


def _steps_now(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """As they are stored, and as they would be stored today: configurations of an older version are migrated."""
    yield from documents.walk(document.get("steps", []))
    with suppress(DocumentError):
        yield from documents.walk(documents.normalise(document)["steps"])


def _essence(step: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in step.items() if key not in _HARMLESS}


def create_permissions(using: str = DEFAULT_DB_ALIAS, apps: Apps = installed_apps, **_: Any) -> None:
    """After ``migrate``: a permission for each plugin in use that brings actions. None is ever taken away here."""
    try:
        permissions = apps.get_model("auth", "Permission").objects.using(using)
        kinds = apps.get_model("contenttypes", "ContentType").objects.db_manager(using)
        flow = apps.get_model("flowcontrol", "Flow")
    except LookupError:
        # A project without users, or one whose tables are not there (any more).
        return
    if not router.allow_migrate_model(using, permissions.model):
        return
    kind = kinds.get_for_model(flow, for_concrete_model=False)
    there = set(permissions.filter(content_type=kind).values_list("codename", flat=True))
    wanted = {name: label for name, label in _wanted() if name not in there}
    permissions.bulk_create(
        permissions.model(content_type=kind, codename=name, name=label) for name, label in wanted.items()
    )


def _wanted() -> Iterator[tuple[str, str]]:
    for report in plugins.reports():
        for prefix in {action.partition(".")[0] for action in report.actions if permission_for(action)}:
            yield codename(prefix), f"Can use actions of {report.label or prefix} in flows"[:255]
