"""The registry of actions."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeVar

from django.apps import apps

from ..exceptions import ActionNotInstalled, RegistrationError
from ..suggestions import did_you_mean
from .specs import ActionSpec, MissingAction, import_path, is_name, path_of
from .table import Registry, declared_class

if TYPE_CHECKING:
    from ..base import BaseAction

__all__ = ["ActionRegistry", "actions", "register_action", "require_action_class"]

logger = logging.getLogger("flowcontrol.registry")

#: As text, because importing it here would bring Django's forms into every plugin's hook module.
_BASE_ACTION = "flowcontrol.base:BaseAction"


class ActionRegistry(Registry[ActionSpec]):
    """Actions: declared at start-up, imported on first use, one instance each."""

    def __init__(self) -> None:
        super().__init__("action")
        self._instances: dict[str, BaseAction | MissingAction] = {}
        #: By prefix: why a plugin's actions are not there, and what to do. Filled by the plugin loader.
        self._unavailable: dict[str, tuple[str, str]] = {}

    def resolve(self, name: str) -> BaseAction | MissingAction:
        """The action's one instance or, without one, a ``MissingAction`` that says why. Never raises."""
        found = self._instances.get(name)
        if found is not None:
            return found
        spec = self._specs.get(name)
        if spec is None:
            return self._missing(name)
        # Not under the lock: the module may be on its way in in another thread and about to register an
        # action.
        made = self._make(spec)
        with self._lock:
            if self._specs.get(name) is not spec:
                return made
            return self._instances.setdefault(name, made)

    def get(self, name: str) -> BaseAction:
        """The action's one instance. Raises ``ActionNotInstalled`` with the reason."""
        found = self.resolve(name)
        if isinstance(found, MissingAction):
            raise ActionNotInstalled(str(found))
        return found

    def mark_unavailable(self, prefix: str, reason: str, hint: str) -> None:
        """Remember why no action ``<prefix>.…`` is there, for the ``MissingAction`` of each."""
        with self._lock:
            self._unavailable[prefix] = (reason, hint)

    def why_unavailable(self, prefix: str) -> tuple[str, str]:
        """Why a plugin's declarations are not there, and what to do; both empty when nothing is known of it."""
        return self._unavailable.get(prefix, ("", ""))

    def is_same(self, taken: ActionSpec, spec: ActionSpec) -> bool:
        # A class that a plugin declares as text may register itself as well, when it is imported.
        return taken.path_text == spec.path_text

    def unregister(self, name: str) -> None:
        with self._lock:
            super().unregister(name)
            self._instances.pop(name, None)

    def _make(self, spec: ActionSpec) -> BaseAction | MissingAction:
        try:
            made: BaseAction = declared_class(spec, require_action_class)()
            return made
        except Exception as error:
            # The one place where an action's own module runs: whatever it raises is its plugin's fault.
            logger.exception("action cannot be imported action=%s path=%s", spec.name, spec.path_text)
            return MissingAction(
                spec.name,
                f"{self.provider(spec.name)} declares it as {spec.path_text}, which cannot be imported: "
                f"{type(error).__name__}: {error}",
                "Mend or update what provides it and restart.",
            )

    def _missing(self, name: str) -> MissingAction:
        if not is_name(name):
            return MissingAction(name, f"{name!r} is no name of an action.", did_you_mean(name, self.names()))
        prefix = name.partition(".")[0]
        suggestion = did_you_mean(name, self.names())
        if prefix in self._unavailable:
            return MissingAction(name, *self._unavailable[prefix])
        neighbours = [one for one in self.names() if one.startswith(f"{prefix}.")]
        if neighbours:
            listed = suggestion or f"There are: {', '.join(neighbours)}."
            return MissingAction(name, f"{self.provider(neighbours[0])} has no such action.", listed)
        if prefix in apps.app_configs:
            return MissingAction(
                name,
                f'The app "{prefix}" registers no such action.',
                suggestion
                or f"Register it in the module flow_actions of the app {apps.app_configs[prefix].name}.",
            )
        return MissingAction(
            name,
            f'No plugin "{prefix}" is installed.',
            suggestion or f"Try: pip install flowcontrol-actions-{prefix.replace('_', '-')}, and restart.",
        )

    def _tables(self) -> list[dict[str, Any]]:
        return [*super()._tables(), self._instances, self._unavailable]


def require_action_class(found: object, where: str) -> None:
    """Raises ``RegistrationError`` unless ``found`` is a class that inherits ``BaseAction``."""
    # Whoever defines an action has imported the base class already, so this costs a look-up.
    base: type = import_path(_BASE_ACTION)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise RegistrationError(
            f"{where} is {found!r}; an action is a class that inherits flowcontrol.base.BaseAction."
        )


actions = ActionRegistry()

Action = TypeVar("Action", bound="type[BaseAction]")


def register_action(action_class: Action) -> Action:
    """Register an action under its ``name``; a class decorator or a plain call, from any app.

    The module ``flow_actions`` of every installed app is imported at start-up, so that is where it belongs.
    Raises ``RegistrationError`` for a name of the wrong form, or one that is taken by another class.
    """
    where = getattr(action_class, "__qualname__", repr(action_class))
    require_action_class(action_class, where)
    name = action_class.name
    actions.register(ActionSpec(name, action_class), provider=path_of(action_class))
    return action_class
