"""Which credentials a document names, and which flows name a credential."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ..forms import CredentialField
from ..models import Credential, Flow
from ..registry import MissingAction, actions
from .configuration import migrated
from .normal_form import walk

__all__ = ["credentials_of_step", "flows_by_credential"]

logger = logging.getLogger(__name__)


def credentials_of_step(step: Mapping[str, Any], known: Collection[str] | None = None) -> set[str]:
    """The credentials that the configuration of a step names.

    Of an action that is missing nobody knows the form: each text that is the name of a credential counts, of one of
    the ``known`` or, without these, of one that is stored.
    """
    config = step.get("config")
    if not isinstance(config, dict) or not config:
        return set()
    action = actions.resolve(str(step.get("action")))
    if isinstance(action, MissingAction):
        return _stored({value for value in config.values() if isinstance(value, str)}, known)
    try:
        present = migrated(action, config, step.get("config_version") or 1)
        fields = action.Config(present).fields
    except Exception:
        # A plugin's code, on a configuration that may be anything; whoever validates it says so.
        logger.debug("credentials of a step not known action=%s", action.name, exc_info=True)
        present, fields = config, action.Config.base_fields
    named = (present.get(name) for name, field in fields.items() if isinstance(field, CredentialField))
    return {name for name in named if isinstance(name, str) and name}


def _stored(texts: set[str], known: Collection[str] | None) -> set[str]:
    if known is not None or not texts:
        return texts & set(known or ())
    return set(Credential.objects.filter(name__in=texts).values_list("name", flat=True))


def flows_by_credential(names: Collection[str]) -> dict[str, list[Flow]]:
    """By name, the flows whose published version or draft names the credential. One query."""
    found: dict[str, list[Flow]] = defaultdict(list)
    for flow in Flow.objects.with_published().order_by("slug"):
        for name in sorted(_named_by(flow, names) & set(names)):
            found[name].append(flow)
    return found


def _named_by(flow: Flow, known: Collection[str]) -> set[str]:
    steps = (step for document in _documents(flow) for step in walk(document.get("steps") or []))
    return {name for step in steps for name in credentials_of_step(step, known)}


def _documents(flow: Flow) -> Iterator[Mapping[str, Any]]:
    yield flow.draft
    if flow.published is not None:
        yield flow.published.document
