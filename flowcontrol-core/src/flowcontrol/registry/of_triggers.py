"""The registry of trigger types, and what fires them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .specs import TriggerSpec, import_path
from .table import Registry

if TYPE_CHECKING:
    from django.db.models import Model

__all__ = [
    "SignalHandler",
    "TriggerRegistry",
    "TriggerType",
    "register_trigger",
    "register_trigger_as_signal_handler",
    "set_fire",
    "triggers",
]

logger = logging.getLogger("flowcontrol.registry")


class TriggerRegistry(Registry[TriggerSpec]):
    """Trigger types, the signal handlers made for them, and the function that fires them."""

    def __init__(self) -> None:
        super().__init__("trigger type")
        # Django's signals hold receivers weakly, and a handler passed straight to connect() has no other
        # owner: without this list it would be collected at once and never be called.
        self._handlers: list[SignalHandler] = []
        self._fire: Callable[..., Any] | str | None = None

    def get(self, name: str) -> TriggerSpec | None:
        """The declaration of a trigger type, or None."""
        return self.get_spec(name)

    def keep(self, handler: SignalHandler) -> None:
        """Hold on to a handler for as long as the process lives."""
        with self._lock:
            self._handlers.append(handler)

    def set_fire(self, function: Callable[..., Any] | str) -> None:
        """Install ``function(name, obj=None, state=None)``, itself or as a path to import on first use."""
        self._fire = function

    def fire(self, name: str, obj: Model | None = None, state: Mapping[str, Any] | None = None) -> None:
        """Fire a trigger type. A trigger never hurts its caller: without an engine this logs an error."""
        function = import_path(self._fire) if isinstance(self._fire, str) else self._fire
        if function is None:
            logger.error(
                "trigger lost, because flowcontrol is not ready: is it in INSTALLED_APPS? trigger=%s", name
            )
            return
        self._fire = function
        function(name, obj, state)


triggers = TriggerRegistry()


class TriggerType:
    """What ``register_trigger`` returns: call it to fire the trigger."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, obj: Model | None = None, state: Mapping[str, Any] | None = None) -> None:
        """Start the flows that a trigger ties to this, about ``obj``, with ``state`` to begin with."""
        triggers.fire(self.name, obj, state)


class SignalHandler:
    """A receiver that fires a trigger type with the object that its signal is about.

    Fixtures being loaded (``raw=True``) fire nothing, and neither do objects of another model than the trigger's.
    """

    def __init__(self, name: str, model: str, argument: str) -> None:
        self.name = name
        #: "app.model", or empty for any.
        self.model = model
        #: Which argument of the signal is the object.
        self.argument = argument

    def __call__(self, sender: Any = None, **kwargs: Any) -> None:
        if kwargs.get("raw"):
            return
        obj = kwargs.get(self.argument)
        if self.model and not _is_of(obj, self.model):
            return
        triggers.fire(self.name, obj)


def _is_of(obj: Any, model: str) -> bool:
    """Whether an object is of the model "app.model", or of a proxy or child of it."""
    labels = (getattr(getattr(kin, "_meta", None), "label_lower", None) for kin in type(obj).__mro__)
    return model in labels


def register_trigger(
    name: str, model: str | type[Model] | None = None, label: str = "", description: str = ""
) -> TriggerType:
    """Register a trigger type and return the function that fires it: ``trigger(obj=None, state=None)``.

    ``model`` (class or "app.model") is what ``obj`` has to be. Firing never raises and starts nothing before
    the caller's transaction is committed. Raises ``RegistrationError`` for a name that is malformed or taken.
    """
    _declare_trigger(name, model, label, description)
    return TriggerType(name)


def register_trigger_as_signal_handler(
    name: str,
    model: str | type[Model] | None = None,
    label: str = "",
    description: str = "",
    *,
    argument: str = "instance",
) -> SignalHandler:
    """Register a trigger type and return a receiver that fires it.

        post_save.connect(register_trigger_as_signal_handler("shop.order_saved", model=Order))
        user_logged_in.connect(register_trigger_as_signal_handler("shop.login", argument="user"))

    With ``model``, other senders' objects are passed over. ``argument`` names what the signal calls its
    object. The handler may be handed straight to ``connect``: flowcontrol keeps it alive.
    """
    handler = SignalHandler(name, _declare_trigger(name, model, label, description).model, argument)
    triggers.keep(handler)
    return handler


def _declare_trigger(name: str, model: str | type[Model] | None, label: str, description: str) -> TriggerSpec:
    text = "" if model is None else model if isinstance(model, str) else model._meta.label
    spec = TriggerSpec(name, label=label, model=text.lower(), description=description)
    # Two frames up is the module that registers: the name by which a clash is found in the project.
    triggers.register(spec, provider=str(sys._getframe(2).f_globals.get("__name__", "a module")))
    return spec


def set_fire(function: Callable[..., Any] | str) -> None:
    """Install what firing a trigger calls; see ``TriggerRegistry.set_fire``."""
    triggers.set_fire(function)
