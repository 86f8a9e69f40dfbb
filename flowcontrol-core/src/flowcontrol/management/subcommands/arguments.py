"""Arguments whose meaning only models and the state's codec know."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.db.models import Model

from ... import state as states
from ...exceptions import StateError

__all__ = ["find_object", "typed_state"]


def typed_state(given: Mapping[str, Any]) -> dict[str, Any]:
    """The state that JSON stands for; ``{"$datetime": …}`` and the like as ``flowcontrol run`` writes them."""
    try:
        return dict(states.decode(json.dumps(given)))
    except (StateError, ValueError, TypeError, ArithmeticError) as error:
        raise CommandError(f"The value of --state is no state: {error}", returncode=2) from error


def find_object(model_name: str, key: str) -> Model:
    try:
        model = apps.get_model(model_name)
    except LookupError as error:
        raise CommandError(f"There is no model {model_name}: {error}", returncode=2) from error
    try:
        found: Model = model._base_manager.get(pk=key)
    except (model.DoesNotExist, ValidationError, ValueError, TypeError) as error:
        raise CommandError(f"There is no {model_name} with the key {key}.") from error
    return found
